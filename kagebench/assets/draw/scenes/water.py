"""Water: sea and coast, the world below the surface, swamps and waterfalls."""

from typing import Any

import numpy as np

from kagebench.assets.draw.canvas import (
    FINE,
    SIZE,
    Canvas,
    Colour,
    curve,
    fbm,
    mix,
    rgb,
    ridges,
    smooth,
)
from kagebench.assets.draw.elements import (
    Rng,
    bare_tree,
    bush,
    clouds,
    embers,
    grass,
    ground,
    mirror,
    moon,
    palm,
    pine,
    range_layer,
    rock,
    shafts,
    stars,
    sun,
    tree,
    veil,
)


def coast(
    c: Canvas, rng: Rng, sky: list[str], sea: list[str], foam: Colour, light: Colour, **o: Any
) -> None:
    """Open sea with waves and a glittering path of light; islands, palms, ships or ice."""
    c.gradient(*zip(np.linspace(0, 66, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 80, 60)
    x = o.get("sun_x", 64)
    if o.get("moon"):
        moon(c, rng, x, 30, 8, light)
    else:
        sun(c, x, o.get("sun_y", 54), o.get("sun", 9), light, 6)
    clouds(
        c,
        rng,
        o.get("clouds", 6),
        16,
        52,
        mix(sky[-1], "#ffffff", 0.6),
        mix(sky[0], sky[-1], 0.4),
        30,
    )
    extra = o.get("extra")
    if extra == "islands":
        for base, tall in ((67, 22), (68, 13)):
            outline = base + 8 - (tall + 8) * ridges(rng, 3, 5)
            tone = mix(sky[-1], o.get("rock", "#35506a"), 0.4 + tall * 0.012)
            range_layer(c, rng, outline, tone, mix(tone, sky[-1], 0.6))
    waves(c, rng, 66, sea, foam)
    glitter = np.exp(-((c.dx(x) / (5 + 0.24 * np.maximum(c.y - 66, 0))) ** 2))
    sparkle = smooth(0.5, 0.68, fbm(rng, 16, 3, stretch=0.2)) * smooth(66, 67, c.y)
    c.add(glitter * sparkle, light, 0.85)
    if extra == "ship":
        ship(c, 40, 84, 1.3)
        ship(c, 100, 71, 0.6)
    if extra == "ice":
        for _ in range(9):
            iceberg(c, rng, rng.uniform(0, SIZE), rng.uniform(70, 112))
    if extra == "palms":
        outline = 112 - 9 * curve(rng, 2, 3)
        ground(c, rng, outline, "#f5dfa5", "#d9b172", 16, 0.08)
        c.paint(smooth(2.5, 0, np.abs(c.y - outline[None, :])), "#ffffff", 0.7)
        for place in (12, 28, 98, 114):
            palm(c, rng, place, 118, rng.uniform(36, 56), "#2f9a4c")
    if extra == "cliff":
        height = 40 + 70 * smooth(22, 34, np.abs(c.dx(100)))[0]
        outline = height + 8 * ridges(rng, 8, 4)
        range_layer(c, rng, outline, o["rock"], mix(o["rock"], sea[-1], 0.5), None, 0.4)
        c.paint(smooth(4, 0, np.abs(c.y - outline[None, :] - 1)) * c.below(outline), o["turf"])
        lighthouse(c, 100, float(outline[300]) + 1)


def waves(c: Canvas, rng: Rng, top: float, sea: list[str], foam: Colour) -> None:
    """Sea surface from y = top down: swell that grows towards the viewer, with foam."""
    c.gradient((top, sea[0]), (SIZE, sea[-1]), mask=smooth(top - 0.5, top + 0.5, c.y))
    count = 14
    for i in range(count):
        t = (i / count) ** 1.5
        y = top + 2 + (SIZE - top) * t
        outline = y - (0.6 + 4.5 * t) * curve(rng, 5 + 12 * (1 - i // 7), 3)
        under = c.y - outline[None, :]
        swell = smooth(0, 1, under) * np.clip(1 - under / (2 + 12 * t), 0, 1)
        c.paint(swell, mix(sea[-1], "#02081a", 0.25 - 0.2 * t), 0.5)
        broken = smooth(0.45, 0.6, fbm(rng, 12, 3, stretch=0.5))
        c.paint(smooth(0.3 + 0.9 * t, 0, np.abs(under)) * broken, foam, 0.75)


def ship(c: Canvas, x: float, y: float, s: float) -> None:
    """Sailing ship of scale s."""
    c.polygon(
        [(x - 11 * s, y - 5 * s), (x + 12 * s, y - 5 * s), (x + 8 * s, y), (x - 8 * s, y)],
        "#5b3a24",
    )
    c.rect(x - 10 * s, y - 5 * s, x + 11 * s, y - 3.8 * s, "#8a5c38")
    for dx, tall in ((-4, 21), (4, 24)):
        c.rect(x + dx * s - 0.3, y - tall * s, x + dx * s + 0.3, y - 5 * s, "#3d2817")
        for low, high in ((0.3, 0.6), (0.64, 0.93)):
            a, b = y - tall * low * s, y - tall * high * s
            c.polygon(
                [
                    (x + (dx - 3.4) * s, a),
                    (x + (dx - 2.4) * s, b),
                    (x + (dx + 3) * s, b),
                    (x + (dx + 4) * s, a),
                ],
                "#f3ead2",
            )
            c.polygon(
                [
                    (x + (dx + 0.6) * s, a),
                    (x + (dx + 0.6) * s, b),
                    (x + (dx + 3) * s, b),
                    (x + (dx + 4) * s, a),
                ],
                "#d4c39b",
            )


def iceberg(c: Canvas, rng: Rng, x: float, y: float) -> None:
    """Floating ice with a lit and a blue side and its reflection."""
    s = 4 + (y - 66) * 0.22
    tall = s * rng.uniform(0.9, 1.8)
    top = (x - s * 0.2, y - tall)
    knee = (x + s * 0.7, y - tall * 0.6)
    c.polygon([(x - s, y), (x - s * 0.6, y - tall * 0.7), top, knee, (x + s, y)], "#f2fbff")
    c.polygon([(x + s * 0.15, y), top, knee, (x + s, y)], "#8fc4e6")
    c.polygon(
        [(x - s, y), (x + s, y), (x + s * 0.6, y + tall * 0.3), (x - s * 0.6, y + tall * 0.3)],
        "#bfeaf5",
        0.4,
    )


def lighthouse(c: Canvas, x: float, y: float) -> None:
    """Banded lighthouse with a lit lantern."""
    for i in range(5):
        a, b = 3.6 - 0.35 * i, 3.6 - 0.35 * (i + 1)
        low, high = y - 4.4 * i, y - 4.4 * (i + 1)
        c.polygon(
            [(x - a, low), (x - b, high), (x + b, high), (x + a, low)],
            "#c8372f" if i % 2 else "#f7f1e6",
        )
    c.rect(x - 2.5, y - 23, x + 2.5, y - 22, "#333843")
    c.rect(x - 1.5, y - 26, x + 1.5, y - 23, "#fff1a0")
    c.polygon([(x - 2.4, y - 26), (x, y - 29), (x + 2.4, y - 26)], "#c8372f")
    c.glow(x, y - 24.5, 18, "#fff1a0", 0.6)


def underwater(
    c: Canvas, rng: Rng, water: list[str], sand: Colour, coral: list[str], fish: list[str], **o: Any
) -> None:
    """Below the surface: beams of light, kelp, coral, fish, bubbles."""
    c.gradient(*zip(np.linspace(0, 116, len(water)), water, strict=True))
    shafts(c, rng, o.get("light", "#d8fff4"), 0.6, -0.35, 105)
    web = np.abs(fbm(rng, 6, 3, stretch=0.5) - 0.5) * 2
    c.add(smooth(0.12, 0.0, web) * np.clip(1 - c.y / 34, 0, 1), "#ffffff", 0.6)
    for i in range(3):
        tone = mix(water[-1], sand, 0.2 + 0.4 * i)
        outline = 100 + 9 * i - (30 - 10 * i) * ridges(rng, 4 + i, 5) * (0.4 if i == 2 else 1)
        range_layer(c, rng, outline, mix(tone, "#04101c", 0.25 - 0.1 * i), tone, None, 0.25)
        for _ in range((0, 9, 7)[i] if o.get("kelp", True) else 0):
            kelp(
                c,
                rng,
                rng.uniform(0, SIZE),
                104 + 12 * i,
                rng.uniform(28, 66),
                mix(water[-1], o.get("weed", "#3f9a4f"), 0.4 + 0.25 * i),
            )
        for _ in range((0, 9, 12)[i]):
            x = rng.uniform(0, SIZE)
            y = outline[int(x * FINE / SIZE)] + 3
            tone = mix(water[-1], coral[rng.integers(len(coral))], 0.5 + 0.25 * i)
            growth(c, rng, x, y, rng.uniform(6, 13), tone)
    if o.get("wreck"):
        ship(c, 76, 104, 2.0)
        c.paint(smooth(30, 128, c.y) * np.ones((1, FINE)), water[-1], 0.45)
    for _ in range(o.get("school", 16)):
        x, y, s = rng.uniform(0, SIZE), rng.uniform(22, 96), rng.uniform(1.2, 3.8)
        swim(c, x, y, s, fish[rng.integers(len(fish))], 1 if rng.random() < 0.7 else -1)
    for _ in range(30):
        x, y, r = rng.uniform(0, SIZE), rng.uniform(8, 120), rng.uniform(0.5, 1.6)
        c.ellipse(x, y, r, colour="#e8ffff", ring=0.5, alpha=0.7)
        c.ellipse(x - r * 0.3, y - r * 0.3, r * 0.3, colour="#ffffff", alpha=0.8)
    if o.get("jelly"):
        for _ in range(7):
            jellyfish(
                c, rng, rng.uniform(0, SIZE), rng.uniform(18, 84), rng.uniform(4, 8), o["jelly"]
            )


def kelp(c: Canvas, rng: Rng, x: float, base: float, height: float, colour: Colour) -> None:
    """Swaying stem with leaves to both sides."""
    phase, steps = rng.uniform(0, 6.28), int(height / 3)
    previous = (x, base)
    for i in range(1, steps + 1):
        at = (x + 3.2 * np.sin(phase + i * 0.45) * i / steps, base - 3 * i)
        tone = mix(colour, "#e6ffb0", 0.3 * i / steps)
        c.line(*previous, *at, tone, 1.1)
        side = 1 if i % 2 else -1
        c.line(*at, at[0] + side * 4, at[1] - 2.4, tone, 1.7, 0.3)
        previous = at


def growth(c: Canvas, rng: Rng, x: float, y: float, size: float, colour: Colour) -> None:
    """One of three corals: fan, tubes, brain."""
    kind = rng.integers(3)
    if kind == 0:
        bare_tree(c, rng, x, y, size * 0.5, colour)
    elif kind == 1:
        for i in range(4):
            top = y - size * rng.uniform(0.4, 0.9)
            at = x + (i - 1.5) * size * 0.2
            c.line(at, y, at, top, mix(colour, "#ffffff", 0.1 * i), size * 0.18)
            c.ellipse(at, top, size * 0.09, size * 0.05, mix(colour, "#1a0a28", 0.6))
    else:
        c.ellipse(x, y, size * 0.45, size * 0.4, colour)
        for i in range(3):
            c.ellipse(
                x,
                y,
                size * 0.12 * (i + 1),
                size * 0.4 * (i + 1) / 3.3,
                mix(colour, "#ffffff", 0.4),
                ring=0.5,
            )


def swim(c: Canvas, x: float, y: float, s: float, colour: Colour, way: int) -> None:
    """Fish of length about 3 s that looks to the right (way 1) or to the left (way -1)."""
    tail = x - way * 1.9 * s
    c.polygon(
        [(tail, y - s * 0.7), (x - way * s * 0.8, y), (tail, y + s * 0.7)],
        mix(colour, "#10203a", 0.3),
    )
    c.ellipse(x, y, s * 1.3, s * 0.7, colour)
    c.ellipse(x, y + s * 0.3, s * 0.95, s * 0.3, mix(colour, "#ffffff", 0.5))
    if s > 2:
        c.rect(x - s * 0.2, y - s * 0.6, x + s * 0.1, y + s * 0.6, "#ffffff", 0.85)
    c.ellipse(x + way * s * 0.75, y - s * 0.12, s * 0.16, colour="#0a1020")


def jellyfish(c: Canvas, rng: Rng, x: float, y: float, s: float, colour: Colour) -> None:
    """Glowing bell with wavy arms."""
    c.glow(x, y, s * 3, colour, 0.5)
    for i in range(5):
        previous = (x + (i - 2) * s * 0.35, y)
        for k in range(1, 6):
            at = (x + (i - 2) * s * 0.35 + np.sin(k + i) * s * 0.15, y + k * s * 0.42)
            c.line(*previous, *at, colour, 0.5, alpha=0.7)
            previous = at
    c.ellipse(x, y, s, s * 0.75, mix(colour, "#ffffff", 0.25), 0.85)
    c.ellipse(x - s * 0.25, y - s * 0.25, s * 0.4, s * 0.25, "#ffffff", 0.5)


def swamp(
    c: Canvas, rng: Rng, sky: list[str], mist: Colour, wood: Colour, water: Colour, **o: Any
) -> None:
    """Still water between dead trees under a moon or a pale sun."""
    c.gradient(*zip(np.linspace(0, 92, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 70, 60)
    moon(c, rng, o.get("moon_x", 40), 28, 9, "#f4f0d8")
    veil(c, rng, mist, 0.7, 40, 14)
    for i in range(3):
        t = i / 2
        tone = mix(mist, wood, 0.35 + 0.6 * t)
        outline = 84 + 5 * i - 4 * curve(rng, 5, 4)
        for _ in range(8 - 2 * i):
            x = rng.uniform(0, SIZE)
            bare_tree(c, rng, x, 88 + 4 * i, 9 + 4 * i, tone, rng.uniform(-0.2, 0.2))
        ground(c, rng, outline, tone, mix(tone, water, 0.5), 14)
        veil(c, rng, mist, 0.55, 84 + 3 * i, 8)
    mirror(c, 97, water, 0.25, rng)
    for _ in range(14):
        x, y = rng.uniform(0, SIZE), rng.uniform(100, 126)
        size = 1.5 + (y - 96) * 0.12
        c.ellipse(x, y, size, size * 0.35, "#4f7a44")
        if rng.random() < 0.5:
            c.ellipse(x, y - size * 0.3, size * 0.35, colour=o.get("bloom", "#f6c6e0"))
    for x in (8, 60, 118):
        grass(c, rng, np.full(FINE, 124.0), 24, mix(wood, water, 0.5), 9)
        bush(c, rng, x, 126, 12, mix(wood, "#2f4a30", 0.5))
    embers(c, rng, 22, o.get("embers", "#d8ff7a"), 50, 120)


def waterfall(
    c: Canvas, rng: Rng, sky: list[str], rock_colour: Colour, leaf: Colour, water: Colour, **o: Any
) -> None:
    """Cliffs with falling water, a pool and plants."""
    c.gradient(*zip(np.linspace(0, 60, len(sky)), sky, strict=True))
    clouds(c, rng, 5, 8, 26, "#ffffff", mix(sky[0], "#ffffff", 0.5), 24)
    falls = o.get("falls", (64,))
    for i in range(2):
        tone = mix(sky[-1], rock_colour, 0.5 + 0.5 * i)
        outline = 22 + 12 * i + 22 * curve(rng, 3, 4)
        range_layer(c, rng, outline, tone, mix(tone, "#0a1a20", 0.3), None, 0.45)
        turf = smooth(6, 0, c.y - outline[None, :] - 5 * fbm(rng, 20, 2)) * c.below(outline)
        c.paint(turf, mix(sky[-1], leaf, 0.6 + 0.4 * i))
        for _ in range(12):
            x = rng.uniform(0, SIZE)
            place = outline[int(x * FINE / SIZE)] + 2
            if o.get("pines"):
                pine(c, x, place, 12, mix(leaf, "#04140c", 0.35))
            else:
                tree(c, rng, x, place, 11, leaf, "#4a3020")
    for x in falls:
        start = float(outline[int(x * FINE / SIZE)])
        half = 5 + 0.03 * np.maximum(c.y - start, 0)
        column = smooth(half.max(), half.max() - 2, np.abs(c.dx(x) + 1.5 * np.sin(c.y / 9)))
        streak = 0.65 + 0.5 * fbm(rng, 32, 2, stretch=9)
        tone = rgb(water) * 0.4 + 0.6 * streak[..., None]
        c.paint(column * smooth(start - 1, start + 2, c.y), np.clip(tone, 0, 1))
    c.gradient(
        (98, mix(water, "#ffffff", 0.3)),
        (128, mix(water, "#04283c", 0.5)),
        mask=smooth(98, 99, c.y + 2 * curve(rng, 6, 3)[None, :]),
    )
    glint = smooth(0.58, 0.72, fbm(rng, 10, 3, stretch=0.15)) * smooth(98, 100, c.y)
    c.add(glint, "#ffffff", 0.6)
    for x in falls:
        for _ in range(26):
            c.ellipse(
                x + rng.normal(0, 7),
                99 + rng.normal(0, 2.5),
                rng.uniform(1, 4),
                None,
                "#ffffff",
                0.35,
                soft=3,
            )
        c.glow(x, 96, 24, "#ffffff", 0.35)
    for _ in range(9):
        rock(
            c,
            rng,
            rng.uniform(0, SIZE),
            rng.uniform(106, 128),
            rng.uniform(5, 11),
            mix(rock_colour, "#6a7a80", 0.3),
        )
    for _ in range(10):
        bush(c, rng, rng.uniform(0, SIZE), 129, rng.uniform(8, 16), leaf)
    for _ in range(o.get("palms", 0)):
        palm(c, rng, rng.uniform(0, SIZE), 128, rng.uniform(40, 62), leaf)
