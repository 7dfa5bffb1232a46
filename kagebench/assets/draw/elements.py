"""Things that several scenes contain: skies, clouds, hills, trees, rocks, light."""

import numpy as np

from kagebench.assets.draw.canvas import (
    SIZE,
    Canvas,
    Colour,
    curve,
    edge,
    fbm,
    mix,
    rgb,
    smooth,
)

Rng = np.random.Generator


def stars(c: Canvas, rng: Rng, count: int, bottom: float, colour: Colour = "#ffffff") -> None:
    """Scattered stars above y = bottom, a few of them large with a halo."""
    for _ in range(count):
        x, y = rng.uniform(0, SIZE), rng.uniform(0, bottom)
        size = 0.28 + 0.5 * rng.random() ** 4
        c.ellipse(x, y, size, colour=mix(colour, "#ffffff", rng.random()), alpha=0.9 - y / 250)
        if size > 0.6:
            c.glow(x, y, 4, colour, 0.5)


def sun(c: Canvas, x: float, y: float, radius: float, colour: Colour, halo: float = 4.0) -> None:
    """Disc with a bright core and two halos."""
    c.glow(x, y, radius * halo, colour, 0.45)
    c.glow(x, y, radius * halo / 2, colour, 0.5)
    c.ellipse(x, y, radius, colour=mix(colour, "#ffffff", 0.55))


def moon(c: Canvas, rng: Rng, x: float, y: float, radius: float, colour: Colour) -> None:
    """Full moon with craters and a soft halo."""
    c.glow(x, y, radius * 4, colour, 0.4)
    c.ellipse(x, y, radius, colour=colour)
    for _ in range(7):
        angle, far = rng.uniform(0, 6.28), radius * 0.75 * np.sqrt(rng.random())
        size = radius * rng.uniform(0.08, 0.22)
        at = x + far * np.cos(angle), y + far * np.sin(angle)
        c.ellipse(*at, size, colour=mix(colour, "#5a6080", 0.35), alpha=0.6)


def cloud(
    c: Canvas, rng: Rng, x: float, y: float, width: float, light: Colour, shade: Colour
) -> None:
    """Heap cloud: a shaded body of puffs with lit puffs above it and a flat base."""
    puffs = max(5, int(width / 2.6))
    along = np.linspace(-0.5, 0.5, puffs)
    radius = width * (0.06 + 0.17 * np.cos(along * 2.7) * rng.uniform(0.55, 1.25, puffs))
    for drop, grow, colour in (
        (0.0, 1.0, shade),
        (-0.035, 0.9, mix(shade, light, 0.6)),
        (-0.08, 0.74, light),
    ):
        for place, r in zip(along, radius * grow, strict=True):
            c.ellipse(x + place * width, y - r * 0.75 + drop * width, r, r, colour, 0.92, soft=1.2)


def clouds(
    c: Canvas,
    rng: Rng,
    count: int,
    top: float,
    bottom: float,
    light: Colour,
    shade: Colour,
    size: float = 26,
) -> None:
    """Heap clouds spread over a band of the sky, smaller towards the horizon."""
    offset = rng.uniform(0, SIZE)
    for i in range(count):
        depth = rng.random()
        y = bottom + (top - bottom) * depth
        x = offset + (i + rng.uniform(-0.3, 0.3)) * SIZE / count
        cloud(c, rng, x, y, size * (0.45 + 0.7 * depth), light, shade)


def veil(c: Canvas, rng: Rng, colour: Colour, alpha: float, centre: float, spread: float) -> None:
    """Streaky high clouds or mist around y = centre."""
    noise = fbm(rng, 3, 5, stretch=0.22)
    band = np.exp(-(((c.y - centre) / spread) ** 2))
    c.paint(smooth(0.45, 0.75, noise) * band, colour, alpha)


def ground(
    c: Canvas,
    rng: Rng,
    outline: np.ndarray,
    top: Colour,
    bottom: Colour,
    depth: float = 30.0,
    grain: float = 0.12,
    stretch: float = 0.6,
) -> np.ndarray:
    """Everything below an outline, shaded from top to bottom colour and textured with noise.

    Returns:
        Coverage of the ground.
    """
    mask = c.below(outline)
    t = np.clip((c.y - outline[None, :]) / depth, 0, 1)[..., None]
    colour = rgb(top) * (1 - t) + rgb(bottom) * t
    noise = fbm(rng, 8, 4, stretch=stretch) - 0.5
    c.paint(mask, np.clip(colour * (1 + 2 * grain * noise[..., None]), 0, 1))
    return mask


def hill(rng: Rng, base: float, height: float, cells: int = 2, octaves: int = 2) -> np.ndarray:
    """Outline of rolling hills between y = base - height and base."""
    return base - height * curve(rng, cells, octaves, 0.35)


def relief(rng: Rng, cells: int = 5, octaves: int = 5, stretch: float = 1.4) -> np.ndarray:
    """Light minus shade of a rough surface lit from the left, in about [-1, 1]."""
    height = fbm(rng, cells, octaves, stretch=stretch, gain=0.6)
    slope = np.roll(height, -1, axis=1) - np.roll(height, 1, axis=1)
    return np.clip(slope / (2.2 * slope.std()), -1, 1)


def pine(
    c: Canvas, x: float, base: float, height: float, colour: Colour, lit: Colour | None = None
) -> None:
    """Conifer of stacked skirts; `lit` colours the upper left of every skirt (snow or light)."""
    c.rect(
        x - height * 0.04, base - height * 0.2, x + height * 0.04, base, mix(colour, "#1a0f08", 0.5)
    )
    tiers = 4
    for i in range(tiers):
        low = base - height * (0.1 + 0.2 * i)
        half = height * (0.27 - 0.05 * i)
        tip = low - height * 0.36
        c.polygon([(x - half, low), (x, tip), (x + half, low)], colour)
        if lit is not None:
            c.polygon([(x - half, low), (x, tip), (x + half * 0.15, low - height * 0.1)], lit, 0.85)


def tree(
    c: Canvas, rng: Rng, x: float, base: float, height: float, leaf: Colour, bark: Colour
) -> None:
    """Broad-leaved tree: a trunk and a crown of puffs, lit from above."""
    c.line(x, base, x, base - height * 0.6, bark, height * 0.11, height * 0.05)
    c.line(x, base - height * 0.35, x + height * 0.16, base - height * 0.6, bark, height * 0.05)
    crown = height * 0.3
    dark, light = mix(leaf, "#0a1420", 0.35), mix(leaf, "#fff7b0", 0.28)
    for tone, count, lift, size in ((dark, 8, 0.0, 0.6), (leaf, 9, 0.1, 0.5), (light, 7, 0.3, 0.3)):
        for _ in range(count):
            angle, far = rng.uniform(0, 6.28), crown * np.sqrt(rng.random()) * 0.85
            cx = x + far * np.cos(angle) - lift * crown * 0.5
            cy = base - height * 0.7 + far * np.sin(angle) * 0.85 - lift * crown
            c.ellipse(cx, cy, crown * size * rng.uniform(0.7, 1.2), None, tone, 0.95, soft=1)


def bush(c: Canvas, rng: Rng, x: float, base: float, width: float, leaf: Colour) -> None:
    """Low leafy clump."""
    for tone, lift, size in ((mix(leaf, "#06101a", 0.4), 0, 0.3), (leaf, 0.12, 0.24)):
        for _ in range(6):
            cx = x + rng.uniform(-0.4, 0.4) * width
            c.ellipse(cx, base - (lift + rng.uniform(0, 0.2)) * width, width * size, None, tone)
    for _ in range(5):
        cx, cy = x + rng.uniform(-0.4, 0.3) * width, base - rng.uniform(0.2, 0.5) * width
        c.ellipse(cx, cy, width * 0.08, None, mix(leaf, "#fff9c0", 0.35), 0.8)


def bare_tree(
    c: Canvas, rng: Rng, x: float, y: float, length: float, colour: Colour, angle: float = 0.0
) -> None:
    """Leafless tree that branches down to twigs; `angle` is the lean in radians."""
    x1, y1 = x + length * np.sin(angle), y - length * np.cos(angle)
    width = length * 0.17
    c.line(x, y, x1, y1, colour, width, width * 0.65)
    if length < 3:
        return
    for side in (-1, 1):
        lean = angle + side * rng.uniform(0.25, 0.7)
        bare_tree(c, rng, x1, y1, length * rng.uniform(0.6, 0.78), colour, lean)


def palm(c: Canvas, rng: Rng, x: float, base: float, height: float, leaf: Colour) -> None:
    """Palm with a bent, ringed trunk."""
    lean = height * rng.uniform(-0.3, 0.3)
    steps = 10
    place = [(x + lean * (i / steps) ** 2, base - height * i / steps) for i in range(steps + 1)]
    for i in range(steps):
        tone = "#8a5a34" if i % 2 else "#73482a"
        c.line(*place[i], *place[i + 1], tone, height * 0.075 * (1.3 - 0.5 * i / steps))
    top_x, top_y = place[-1]
    for angle in np.linspace(-0.5, 3.64, 9):
        reach = height * rng.uniform(0.32, 0.42)
        tone = mix(leaf, "#06281c" if angle % 2 > 1 else "#e8ff9a", 0.25)
        previous = (top_x, top_y)
        for i in range(1, 7):
            t = i / 6
            at = (
                top_x + reach * t * np.cos(angle),
                top_y - reach * (t * np.sin(angle) - 0.85 * t * t + 0.1),
            )
            c.line(*previous, *at, tone, height * 0.075 * (1.15 - t))
            previous = at


def rock(c: Canvas, rng: Rng, x: float, base: float, width: float, colour: Colour) -> None:
    """Boulder with a lit and a shaded side."""
    height = width * rng.uniform(0.5, 0.9)
    peak = x - width * rng.uniform(-0.1, 0.2)
    shoulder = (x + width * 0.4, base - height * 0.6)
    left, right, top = (x - width / 2, base), (x + width / 2, base), (peak, base - height)
    knee = (x - width * 0.4, base - height * 0.5)
    c.polygon([left, knee, top, shoulder, right], colour)
    c.polygon([(peak + width * 0.1, base), top, shoulder, right], mix(colour, "#0a0c1c", 0.4))
    c.polygon([knee, top, (peak - width * 0.05, base - height * 0.6)], mix(colour, "#ffffff", 0.25))


def flowers(
    c: Canvas, rng: Rng, outline: np.ndarray, count: int, colours: list[str], bottom: float = SIZE
) -> None:
    """Blossoms below an outline, larger and denser towards the viewer."""
    for _ in range(count):
        x = rng.uniform(0, SIZE)
        top = outline[int(x * len(outline) / SIZE)] + 1
        t = np.sqrt(rng.random())
        y = top + (bottom - top) * t
        size = 0.35 + 0.85 * t
        c.line(x, y, x, y + size * 2.2, "#2f6b2a", size * 0.4)
        c.ellipse(x, y, size, colour=colours[rng.integers(len(colours))])
        c.ellipse(x, y, size * 0.4, colour="#fff3a8")


def grass(
    c: Canvas, rng: Rng, outline: np.ndarray, count: int, colour: Colour, tall: float
) -> None:
    """Blades along and below an outline."""
    for _ in range(count):
        x = rng.uniform(0, SIZE)
        top = outline[int(x * len(outline) / SIZE)]
        t = rng.random() ** 2
        y = top + (SIZE + 2 - top) * t
        size = tall * (0.5 + t) * rng.uniform(0.6, 1.2)
        tone = mix(colour, "#f5ffb0" if rng.random() < 0.4 else "#06140c", rng.uniform(0.1, 0.4))
        c.line(x, y, x + rng.uniform(-0.4, 0.4) * size, y - size, tone, 0.16 * tall, 0.1)


def shafts(
    c: Canvas, rng: Rng, colour: Colour, alpha: float, slant: float = 0.5, reach: float = 110
) -> None:
    """Slanted beams of light from above that fade out at y = reach."""
    along = (c.x + slant * c.y) % SIZE
    beams = np.zeros(along.shape)
    for _ in range(7):
        centre, width = rng.uniform(0, SIZE), rng.uniform(2, 7)
        away = (along - centre + SIZE / 2) % SIZE - SIZE / 2
        beams += rng.uniform(0.3, 1) * np.exp(-((away / width) ** 2))
    c.add(np.clip(beams, 0, 1) * np.clip(1 - c.y / reach, 0, 1), colour, alpha)


def mirror(c: Canvas, horizon: float, tint: Colour, alpha: float, rng: Rng) -> None:
    """Turns everything below y = horizon into water that reflects what stands above it."""
    rows = c.pixels.shape[0]
    line = int(horizon * rows / SIZE)
    depth = np.arange(rows - line)
    source = np.clip(line - 1 - (depth * 0.9).astype(int), 0, rows - 1)
    image = c.pixels[source].copy()
    noise = fbm(rng, 6, 3, stretch=0.08)[line:]
    shift = ((noise - 0.5) * (6 + depth[:, None] * 0.12)).astype(int)
    column = (np.arange(rows)[None, :] + shift) % rows
    image = np.take_along_axis(image, column[..., None], axis=1)
    fade = alpha + 0.25 * (depth / max(1, len(depth)))[:, None, None]
    image = image * (1 - fade) + rgb(tint) * fade
    glint = smooth(0.62, 0.8, fbm(rng, 8, 3, stretch=0.06)[line:])
    c.pixels[line:] = image + (1 - image) * 0.22 * glint[..., None]


def embers(
    c: Canvas, rng: Rng, count: int, colour: Colour, top: float = 0, bottom: float = SIZE
) -> None:
    """Glowing specks: sparks, fireflies, spores."""
    for _ in range(count):
        x, y = rng.uniform(0, SIZE), rng.uniform(top, bottom)
        size = rng.uniform(0.3, 0.8)
        c.glow(x, y, size * 6, colour, 0.55)
        c.ellipse(x, y, size, colour=mix(colour, "#ffffff", 0.5))


def vignette(c: Canvas, strength: float) -> None:
    """Darkens the top and the bottom (not the sides, which have to tile)."""
    c.scale(1 - strength * np.abs(c.y / SIZE - 0.5) ** 2 * 4)


def capsule_mask(c: Canvas, x: float, y0: float, y1: float, half: float) -> np.ndarray:
    """Coverage of an arched opening: a rectangle with a half disc on top."""
    across = c.dx(x)
    arch = np.hypot(across, np.minimum(c.y - y0 - half, 0)) - half
    return edge(np.maximum(np.maximum(arch, c.y - y1), y0 - c.y))


def range_layer(
    c: Canvas,
    rng: Rng,
    outline: np.ndarray,
    colour: Colour,
    haze: Colour,
    cap: Colour | None = None,
    relief_gain: float = 0.22,
) -> None:
    """One mountain range with rocky shading, haze at its foot and optionally snow on its peaks."""
    mask = c.below(outline)
    depth = (c.y - outline[None, :]) / 45
    rough = relief(rng)
    rock_colour = rgb(colour) * (1 + relief_gain * rough[..., None])
    fade = np.clip(depth, 0, 1)[..., None] ** 1.3 * 0.8
    c.paint(mask, np.clip(rock_colour * (1 - fade) + rgb(haze) * fade, 0, 1))
    if cap is not None:
        high = (outline.max() - outline[None, :]) / max(1.0, float(np.ptp(outline)))
        line = high * 26 - 9 + 14 * (fbm(rng, 16, 3) - 0.5)
        snow = mask * smooth(-1, 1, line - (c.y - outline[None, :]))
        lit = rgb(cap) * (0.88 + 0.16 * rough[..., None])
        c.paint(snow, np.clip(lit, 0, 1), 0.95)
