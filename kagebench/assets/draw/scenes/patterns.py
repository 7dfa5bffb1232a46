"""Regular patterns: optical art, tiles, circuits, neon grids."""

from typing import Any

import numpy as np

from kagebench.assets.draw.canvas import (
    FINE,
    SIZE,
    Canvas,
    Colour,
    edge,
    fbm,
    mix,
    rgb,
    ridges,
    smooth,
)
from kagebench.assets.draw.elements import Rng, stars

TURN = 2 * np.pi


def palette_map(c: Canvas, value: np.ndarray, colours: list[str]) -> None:
    """Paints the whole surface by looking values in [0, 1] up in evenly spaced colours."""
    table = np.array([rgb(colour) for colour in colours])
    place = np.linspace(0, 1, len(colours))
    image = np.stack([np.interp(value, place, table[:, i]) for i in range(3)], axis=-1)
    c.paint(np.ones((FINE, 1)), image)


def checker(c: Canvas, rng: Rng, first: Colour, second: Colour, **o: Any) -> None:
    """Checker board bulged by lenses, with soft shading."""
    x, y = c.x + 0 * c.y, c.y + 0 * c.x
    shade = np.ones((FINE, FINE))
    for cx, cy, radius in o.get("lenses", ((36, 40, 30), (96, 84, 34))):
        dx, dy = c.dx(cx), c.y - cy
        far = np.hypot(dx, dy) / radius
        pull = np.where(far < 1, (1 - far**2) * 0.55, 0)
        x, y = x - dx * pull, y - dy * pull
        shade *= np.where(far < 1, 1.12 - 0.45 * far**3 - 0.12 * (dx + dy) / radius, 1)
    cells = o.get("cells", 12)
    wave = np.sin(TURN * x * cells / SIZE / 2) * np.sin(TURN * y * cells / SIZE / 2)
    t = smooth(-0.06, 0.06, wave)[..., None]
    c.paint(
        np.ones((FINE, 1)),
        np.clip((rgb(first) * (1 - t) + rgb(second) * t) * shade[..., None], 0, 1),
    )


def rings(c: Canvas, rng: Rng, colours: list[str]) -> None:
    """Interfering concentric rings around several centres."""
    total = np.zeros((FINE, FINE))
    for _ in range(3):
        cx, cy = rng.uniform(0, SIZE), rng.uniform(0, SIZE)
        lift = (SIZE / np.pi) * np.abs(np.sin(np.pi * c.dx(cx) / SIZE))
        total += np.sin(np.hypot(lift, c.y - cy) * 0.5)
    value = 0.5 + 0.5 * np.sin(total * 2.0)
    palette_map(c, value, colours)
    c.scale(0.86 + 0.14 * np.sin(total * 4))


def sunburst(c: Canvas, rng: Rng, colours: list[str], **o: Any) -> None:
    """Rays from a point behind halftone dots and a badge."""
    cx, cy = 64, 70
    angle = np.arctan2(c.y - cy, c.dx(cx))
    count = o.get("rays", 12)
    # An even number of rays agrees on the left and the right edge; so does a twist that ends there.
    twist = o.get("twist", 0.0) * np.hypot(c.dx(cx), c.y - cy) * (1 - (c.dx(cx) / 64) ** 2)
    ray = smooth(-0.06, 0.06, np.cos(angle * count + twist))
    c.paint(np.ones((FINE, 1)), colours[0])
    c.paint(ray, colours[1])
    c.add(np.exp(-np.hypot(c.dx(cx), c.y - cy) / 40), colours[2], 0.7)
    step = 8
    dot_x = (c.x % step) - step / 2
    dot_y = (c.y % step) - step / 2
    size = 3.2 * np.clip((c.y - 30) / 100, 0, 1)
    c.paint(edge(np.hypot(dot_x, dot_y) - size), colours[2], 0.5)
    for radius, tone in ((26, 3), (22, 1), (18, 4)):
        c.ellipse(cx, cy, radius, colour=colours[tone % len(colours)])
    star = [
        (cx + r * np.sin(a), cy - r * np.cos(a))
        for r, a in zip([14, 5.6] * 5, np.arange(10) * np.pi / 5, strict=True)
    ]
    for k in range(0, 10, 2):
        c.polygon([(cx, cy), star[k - 1], star[k], star[(k + 1) % 10]], colours[2])
        c.polygon([(cx, cy), star[k], star[(k + 1) % 10]], mix(colours[2], colours[3], 0.35))


def stripes(c: Canvas, rng: Rng, colours: list[str], **o: Any) -> None:
    """Flowing bands of colour."""
    warp = (fbm(rng, 3, 3) - 0.5) * o.get("warp", 70)
    pitch = o.get("pitch", 14)
    phase = (c.y + warp) / pitch
    band = np.floor(phase).astype(int) % len(colours)
    table = np.array([rgb(colour) for colour in colours])
    inner = phase - np.floor(phase)
    c.paint(np.ones((FINE, 1)), table[band])
    c.scale(0.8 + 0.32 * np.sin(inner * np.pi) ** 0.7)
    c.paint(smooth(0.07, 0.02, np.minimum(inner, 1 - inner)), "#ffffff", 0.6)


def tiles(c: Canvas, rng: Rng, colours: list[str], **o: Any) -> None:
    """Truchet tiles: quarter rings that join into a labyrinth."""
    step = o.get("step", 16)
    count = SIZE // step
    turn = rng.integers(0, 2, (count, count))
    c.paint(np.ones((FINE, 1)), colours[0])
    tone = fbm(rng, 4, 3)
    c.paint(smooth(0.3, 0.7, tone), colours[1], 0.8)
    row, column = np.floor(c.y / step).astype(int), np.floor(c.x / step).astype(int)
    u, v = (c.x % step) / step, (c.y % step) / step
    u = np.where(turn[row, column] == 1, 1 - u, u)
    far = np.minimum(np.hypot(u, v), np.hypot(1 - u, 1 - v))
    for k, (width, colour) in enumerate(
        ((0.22, colours[2]), (0.15, colours[3]), (0.05, colours[-1]))
    ):
        c.paint(edge((np.abs(far - 0.5) - width) * step), colour, 1.0 if k else 0.95)


def squares(c: Canvas, rng: Rng, colours: list[str], **o: Any) -> None:
    """Nested rounded squares or circles in a grid, each with its own palette order."""
    step = o.get("step", 16)
    c.paint(np.ones((FINE, 1)), colours[0])
    for i in range(SIZE // step):
        for j in range(SIZE // step):
            x, y = (j + 0.5) * step, (i + 0.5) * step
            order = rng.permutation(len(colours))
            for k, size in enumerate((0.48, 0.36, 0.23, 0.1)):
                colour, half = colours[order[k % len(colours)]], size * step
                if (i + j + k) % 2:
                    c.ellipse(x, y, half, colour=colour)
                else:
                    c.rect(x - half, y - half, x + half, y + half, colour, corner=half * 0.25)


def weave(c: Canvas, rng: Rng, colours: list[str]) -> None:
    """Tartan or basket weave of crossing bands."""
    step = 16
    pattern = np.array([0, 0, 1, 1, 2, 1, 1, 0, 0, 3, 0, 0, 2, 2, 3, 2])
    table = np.array([rgb(colour) for colour in colours])
    across = table[pattern[np.floor(c.x / SIZE * 64).astype(int) % step] % len(colours)]
    along = table[pattern[np.floor(c.y / SIZE * 64).astype(int) % step] % len(colours)]
    twill = smooth(-0.3, 0.3, np.sin(TURN * (c.x + c.y) / 4))[..., None]
    c.paint(np.ones((FINE, 1)), across * twill + along * (1 - twill))
    c.scale(0.9 + 0.2 * fbm(rng, 4, 4))


def circuit(c: Canvas, rng: Rng, board: Colour, trace: Colour, glow: Colour, **o: Any) -> None:
    """Printed circuit: traces at right angles, pads, chips, glowing nodes."""
    c.gradient((0, mix(board, "#ffffff", 0.08)), (64, board), (128, mix(board, "#04060c", 0.35)))
    c.paint(smooth(0.3, 0.8, fbm(rng, 4, 4)), mix(board, glow, 0.3), 0.6)
    for at in np.arange(0.0, SIZE, 8):
        c.rect(at, 0, at + 0.3, SIZE, mix(board, "#ffffff", 0.12), 0.5)
        c.rect(0, at, SIZE, at + 0.3, mix(board, "#ffffff", 0.12), 0.5)
    for _ in range(46):
        x, y = 4.0 * int(rng.integers(0, 32)), 4.0 * int(rng.integers(0, 32))
        colour = mix(trace, glow, float(rng.choice([0.0, 0.0, 0.8])))
        c.ellipse(x, y, 1.5, colour=colour)
        for _ in range(rng.integers(2, 5)):
            run = 4.0 * int(rng.integers(1, 6)) * int(rng.choice([-1, 1]))
            kind = rng.integers(3)
            dx, dy = (run if kind != 1 else 0), (run if kind != 0 else 0)
            c.line(x, y, x + dx, y + dy, mix(colour, "#04060c", 0.4), 1.5)
            c.line(x, y, x + dx, y + dy, colour, 0.8)
            x, y = x + dx, y + dy
        c.ellipse(x, y, 1.7, colour=colour)
        c.ellipse(x, y, 0.8, colour=mix(board, "#04060c", 0.4))
    for x, y, half in o.get("chips", ((32, 34, 13), (94, 78, 17), (34, 100, 9))):
        chip(c, x, y, half, board, trace, glow)
    for _ in range(16):
        x, y = 4.0 * int(rng.integers(0, 32)), 4.0 * int(rng.integers(0, 32))
        c.glow(x, y, 9, glow, 0.8)
        c.ellipse(x, y, 0.9, colour=mix(glow, "#ffffff", 0.7))


def chip(
    c: Canvas, x: float, y: float, half: float, board: Colour, trace: Colour, glow: Colour
) -> None:
    """Square package with pins on four sides and a lit core."""
    for k in np.arange(-half + 2, half - 1, 3):
        c.rect(x + k, y - half - 2.5, x + k + 1.3, y + half + 2.5, trace)
        c.rect(x - half - 2.5, y + k, x + half + 2.5, y + k + 1.3, trace)
    c.rect(x - half, y - half, x + half, y + half, mix(board, "#0a0c14", 0.75), corner=1.2)
    c.rect(
        x - half + 2, y - half + 2, x + half - 2, y + half - 2, mix(board, "#1a1e2a", 0.6), corner=1
    )
    c.rect(x - half * 0.4, y - half * 0.4, x + half * 0.4, y + half * 0.4, glow, 0.85, corner=1)
    c.glow(x, y, half * 1.6, glow, 0.6)


def synthwave(
    c: Canvas, rng: Rng, sky: list[str], grid: Colour, ridge: Colour, light: list[str]
) -> None:
    """Striped sun over a neon grid that runs to the horizon."""
    horizon = 80
    c.gradient(*zip(np.linspace(0, horizon, len(sky)), sky, strict=True))
    stars(c, rng, 90, 60)
    cy, radius = 56, 24
    c.glow(64, cy, 66, light[1], 0.6)
    gap = ((c.y - cy) % 6) < np.clip((c.y - cy + 6) / 9, 0, 3.4)
    disc = edge(np.hypot(c.dx(64), c.y - cy) - radius) * (1 - gap)
    t = np.clip((c.y - cy + radius) / (2 * radius), 0, 1)[..., None]
    c.paint(disc, rgb(light[0]) * (1 - t) + rgb(light[1]) * t)
    for k in range(2):
        outline = (
            horizon
            + 2
            - (30 - 12 * k) * ridges(rng, 5 + 2 * k, 3) * np.clip(np.abs(c.dx(64)[0]) / 40, 0.15, 1)
        )
        c.paint(c.below(outline), mix(ridge, sky[-1], 0.35 - 0.3 * k))
        c.paint(smooth(1.0, 0.2, np.abs(c.y - outline[None, :])), grid, 0.9)
    c.gradient(
        (horizon, mix(ridge, grid, 0.25)),
        (SIZE, mix(ridge, "#08041a", 0.3)),
        mask=smooth(horizon - 0.3, horizon + 0.3, c.y),
    )
    depth = np.maximum(c.y - horizon, 0.05)
    across = np.abs(np.sin(np.pi * c.dx(64) * 7 / (depth + 4)))
    along = np.abs((60 / (depth + 5)) % 1 - 0.5)
    floor = smooth(horizon, horizon + 1, c.y)
    for sharp, alpha in ((0.05, 1.0), (0.2, 0.3)):
        c.add(smooth(sharp * 2.2, 0, across) * floor, grid, alpha)
        c.add(smooth(0.5 - sharp * 1.3, 0.5, along) * floor * np.ones((1, FINE)), grid, alpha)
    c.add(np.exp(-np.abs(c.y - horizon) / 5) * np.ones((1, FINE)), grid, 0.6)
