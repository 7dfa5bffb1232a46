"""Irregular patterns: mosaics, marble, watercolour, paper cuts."""

from typing import Any

import numpy as np

from kagebench.assets.draw.canvas import FINE, SIZE, Canvas, Colour, fbm, mix, rgb, smooth
from kagebench.assets.draw.elements import Rng, relief
from kagebench.assets.draw.scenes.patterns import palette_map


def polygons(c: Canvas, rng: Rng, colours: list[str], **o: Any) -> None:
    """Low-poly mosaic: jittered triangles coloured by a smooth field."""
    count = o.get("count", 9)
    step = SIZE / count
    rows = count + 2
    jitter = rng.uniform(-0.36, 0.36, (rows, count, 2)) * step
    field = fbm(rng, 3, 3)

    def corner(i: int, j: int) -> tuple[float, float]:
        dx, dy = jitter[i % rows, j % count]
        return (j + 0.5 * (i % 2)) * step + dx, (i - 0.5) * step + dy

    for i in range(rows - 1):
        for j in range(count):
            k = i % 2
            upper, right = corner(i, j), corner(i, j + 1)
            low, low_right = corner(i + 1, j + k - 1), corner(i + 1, j + k)
            for triangle in ((upper, right, low_right), (upper, low_right, low)):
                cx, cy = np.mean(triangle, axis=0)
                value = field[int(np.clip(cy, 0, 127) * 3), int(cx * 3) % FINE]
                t = np.clip(0.65 * cy / SIZE + 0.9 * (value - 0.5) + 0.18, 0, 1) * (
                    len(colours) - 1
                )
                at = min(int(t), len(colours) - 2)
                tone = mix(colours[at], colours[at + 1], t - at)
                tone = mix(
                    tone, "#ffffff" if rng.random() < 0.5 else "#101030", rng.uniform(0, 0.16)
                )
                c.polygon(list(triangle), tone)
                c.line(*triangle[0], *triangle[1], mix(tone, "#ffffff", 0.25), 0.3)


def mosaic(c: Canvas, rng: Rng, colours: list[str], **o: Any) -> None:
    """Cells around random points, like stained glass or paving."""
    count = o.get("count", 46)
    px, py = rng.uniform(0, SIZE, count), rng.uniform(-8, SIZE + 8, count)
    distance = np.stack([np.hypot(c.dx(a), c.y - b) for a, b in zip(px, py, strict=True)])
    order = np.argsort(distance, axis=0)[:2]
    near, second = np.take_along_axis(distance, order, axis=0)
    owner = order[0]
    tones = np.array(
        [
            mix(colours[rng.integers(len(colours))], "#ffffff", rng.uniform(0, 0.25))
            for _ in range(count)
        ]
    )
    light = 1.12 - 0.35 * near / (near.mean() * 2.2)
    sheen = 0.92 + 0.16 * fbm(rng, 12, 3)
    c.paint(np.ones((FINE, 1)), np.clip(tones[owner] * (light * sheen)[..., None], 0, 1))
    c.paint(smooth(1.9, 1.0, second - near), o.get("lead", "#1c1a2e"))


def marble(c: Canvas, rng: Rng, colours: list[str], **o: Any) -> None:
    """Domain-warped noise: marble, agate or plasma."""
    first, second = fbm(rng, 3, 4), fbm(rng, 3, 4)
    warp = o.get("warp", 50)
    value = fbm(rng, 3, 5, x=c.x + warp * (first - 0.5), y=c.y + warp * (second - 0.5))
    bands = o.get("bands", 0)
    value = np.clip((value - 0.22) / 0.56, 0, 1)
    if bands:
        value = 0.5 + 0.5 * np.sin(value * bands)
    palette_map(c, value, colours)
    c.scale(1 + 0.12 * relief(rng, 4, 5, 1.0))
    vein = np.abs(fbm(rng, 4, 5, x=c.x + warp * (second - 0.5), y=c.y + warp * first) - 0.5)
    c.paint(smooth(0.025, 0.004, vein), o.get("vein", "#ffffff"), 0.7)


def watercolour(c: Canvas, rng: Rng, paper: Colour, washes: list[str]) -> None:
    """Transparent washes with dark rims and splashes on paper."""
    c.paint(np.ones((FINE, 1)), paper)
    for k, colour in enumerate(washes):
        field = fbm(rng, 3 + k % 2, 5)
        level = 0.55 + 0.015 * k
        blob = smooth(level - 0.02, level + 0.05, field)
        rim = smooth(0.035, 0.0, np.abs(field - level - 0.01))
        pigment = 0.55 + 0.5 * fbm(rng, 12, 4)
        wash = (blob * np.clip(pigment, 0, 1) * 0.75 + 0.35 * rim)[..., None]
        c.pixels *= 1 - np.clip(wash, 0, 1) * (1 - rgb(colour))
    for _ in range(50):
        x, y, r = rng.uniform(0, SIZE), rng.uniform(0, SIZE), 0.4 + 2.4 * rng.random() ** 4
        colour = washes[rng.integers(len(washes))]
        c.ellipse(x, y, r, colour=colour, alpha=0.5)
        c.ellipse(x, y, r, colour=mix(colour, "#202040", 0.3), ring=0.4, alpha=0.5)
    c.scale(1 + 0.05 * relief(rng, 16, 3, 1.0))


def bokeh(c: Canvas, rng: Rng, back: list[str], lights: list[str]) -> None:
    """Out-of-focus lights over a gradient."""
    c.gradient(*zip(np.linspace(0, SIZE, len(back)), back, strict=True))
    c.add(smooth(0.4, 0.8, fbm(rng, 3, 3)), lights[0], 0.25)
    for _ in range(64):
        x, y, r = rng.uniform(0, SIZE), rng.uniform(0, SIZE), rng.uniform(2, 11)
        colour = lights[rng.integers(len(lights))]
        c.ellipse(x, y, r, colour=colour, alpha=rng.uniform(0.15, 0.4), soft=1.2)
        c.ellipse(x, y, r, colour=mix(colour, "#ffffff", 0.4), alpha=0.4, ring=0.6)
    for _ in range(30):
        x, y = rng.uniform(0, SIZE), rng.uniform(0, SIZE)
        c.glow(x, y, rng.uniform(3, 8), lights[rng.integers(len(lights))], 0.9)


def contours(c: Canvas, rng: Rng, colours: list[str]) -> None:
    """Paper-cut layers: stacked height lines with shadows between them."""
    field = fbm(rng, 3, 3) * 0.75 + 0.35 * (1 - np.abs(c.y / SIZE - 0.5) * 2)
    shadow = np.roll(field, (4, 4), axis=(0, 1))
    count = len(colours)
    levels = np.quantile(field, np.linspace(0.08, 0.92, count - 1))
    c.paint(np.ones((FINE, 1)), colours[0])
    for level, colour in zip(levels, colours[1:], strict=True):
        c.scale(1 - 0.35 * smooth(level - 0.04, level + 0.01, shadow))
        c.paint(smooth(level - 0.004, level + 0.004, field), colour)
        c.paint(
            smooth(0.012, 0.004, np.abs(field - level - 0.008)), mix(colour, "#ffffff", 0.5), 0.6
        )
    c.scale(1 + 0.03 * relief(rng, 24, 2, 1.0))
