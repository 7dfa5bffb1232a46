"""Deserts, snow fields and islands in the sky."""

from typing import Any

import numpy as np

from kagebench.assets.draw.canvas import (
    FINE,
    SCALE,
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
    cloud,
    clouds,
    ground,
    hill,
    moon,
    palm,
    pine,
    range_layer,
    rock,
    stars,
    sun,
    tree,
)


def desert(
    c: Canvas, rng: Rng, sky: list[str], sand: Colour, shade: Colour, light: Colour, **o: Any
) -> None:
    """Dunes with lit and shaded sides; `extra`: pyramids, mesas, cacti, palms or ribs."""
    c.gradient(*zip(np.linspace(0, 78, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 80, 70)
    sun(c, o.get("sun_x", 90), o.get("sun_y", 30), o.get("sun", 9), light, 5)
    if o.get("clouds"):
        clouds(c, rng, 5, 20, 50, "#ffffff", mix(sky[0], "#ffffff", 0.5), 22)
    far_shapes(
        c,
        rng,
        o.get("extra"),
        mix(mix(sky[-1], shade, 0.85), sky[0], 0.15),
        mix(sky[-1], sand, 0.9),
    )
    for i in range(4):
        t = i / 3
        dune(
            c,
            rng,
            80 + 14 * i,
            12 + 4 * i,
            mix(sky[-1], sand, 0.55 + 0.45 * t),
            mix(sky[-1], shade, 0.5 + 0.5 * t),
        )
    if o.get("extra") == "cacti":
        for _ in range(7):
            cactus(c, rng, rng.uniform(0, SIZE), rng.uniform(92, 120), o.get("plant", "#3f7d46"))
    if o.get("extra") == "palms":
        c.ellipse(64, 108, 40, 6, "#3fb6c9")
        c.ellipse(60, 107, 30, 3, "#9be6ea", 0.7)
        for x in (14, 30, 44, 88, 101, 118):
            palm(
                c,
                rng,
                x + rng.uniform(-3, 3),
                rng.uniform(103, 116),
                rng.uniform(24, 40),
                "#3d9a48",
            )
    for _ in range(8):
        rock(c, rng, rng.uniform(0, SIZE), rng.uniform(100, 126), rng.uniform(2, 6), shade)


def dune(c: Canvas, rng: Rng, base: float, height: float, sand: Colour, shade: Colour) -> None:
    """One row of dunes, shaded on the side away from the light, with wind ripples."""
    x = np.arange(FINE) / FINE
    knots = (np.arange(6) + rng.uniform(-0.3, 0.3, 6)) / 6 + rng.uniform(0, 1)
    level = np.where(np.arange(6) % 2, rng.uniform(0, 0.25, 6), rng.uniform(0.6, 1, 6))
    crest = np.interp(x, knots, level, period=1.0)
    outline = base - height * (0.35 * crest + 0.65 * crest**2)
    depth = np.clip(c.y - outline[None, :], 0, None)
    # The lee side starts at the crest and its edge runs down and to the right.
    behind = (np.arange(FINE)[None, :] - (depth * 1.1 * SCALE).astype(int)) % FINE
    side = smooth(-0.02, 0.03, np.gradient(outline))[behind]
    blend = np.clip(depth / (height * 1.5), 0, 1)
    weight = np.clip(side * (1 - blend) + 0.3 * blend, 0, 1)[..., None]
    ripple = 0.05 * np.sin(
        c.y * 1.7 + 6 * fbm(rng, 4, 3) + 0.3 * np.sin(c.x * 2 * np.pi * 3 / SIZE)
    )
    tone = (rgb(sand) * (1 - weight) + rgb(shade) * weight) * (1 + ripple[..., None])
    c.paint(c.below(outline), np.clip(tone, 0, 1))


def cactus(c: Canvas, rng: Rng, x: float, base: float, colour: Colour) -> None:
    """Saguaro with two arms, sized by its nearness."""
    h = 8 + (base - 88) * 0.6
    w = h * 0.2
    dark = mix(colour, "#06281c", 0.4)
    for dx, tone, width in ((0, dark, w), (-w * 0.18, colour, w * 0.6)):
        c.line(x + dx, base, x + dx, base - h, tone, width)
        for side, low in ((-1, 0.35), (1, 0.5)):
            elbow = x + side * h * 0.28
            c.line(x + dx, base - h * low, elbow + dx, base - h * low, tone, width * 0.7)
            c.line(
                elbow + dx, base - h * low, elbow + dx, base - h * (low + 0.32), tone, width * 0.7
            )
    if rng.random() < 0.6:
        c.ellipse(x, base - h - w * 0.4, w * 0.35, colour="#ff7fa8")


def far_shapes(c: Canvas, rng: Rng, kind: str | None, dark: Colour, light: Colour) -> None:
    """Pyramids or table mountains on the horizon."""
    if kind == "pyramids":
        for x, y, half in ((28, 84, 24), (62, 86, 15), (102, 88, 32)):
            top = (x, y - half * 1.25)
            c.polygon([(x - half, y), top, (x + half, y)], light)
            c.polygon([(x + half * 0.25, y), top, (x + half, y)], dark)
            for i in range(1, 8):
                c.rect(
                    x - half,
                    y - i * half * 0.15,
                    x + half * 0.9,
                    y - i * half * 0.15 + 0.3,
                    dark,
                    0.12,
                )
    if kind == "mesas":
        for _ in range(6):
            x, half, tall = rng.uniform(0, SIZE), rng.uniform(7, 16), rng.uniform(16, 40)
            points = [(x - half * 1.35, 90), (x - half, 90 - tall), (x + half, 90 - tall)]
            c.polygon([*points, (x + half * 1.35, 90)], light)
            c.polygon([(x + half * 0.3, 90), points[2], (x + half * 1.35, 90)], dark, 0.8)
            for i in range(5):
                y = 90 - tall * (0.2 + 0.16 * i)
                c.rect(x - half, y, x + half, y + 1, dark, 0.4)
    if kind == "ribs":
        for i in range(8):
            x = 20 + i * 12
            c.ellipse(x, 92, 9, 34 - abs(i - 3.5) * 3, mix(light, "#ffffff", 0.6), ring=2.2)


def snow(
    c: Canvas, rng: Rng, sky: list[str], white: Colour, shade: Colour, wood: Colour, **o: Any
) -> None:
    """Snow fields with pines; `aurora` colours light the night sky."""
    c.gradient(*zip(np.linspace(0, 84, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 110, 76)
    for i, colour in enumerate(o.get("aurora", ())):
        middle = 30 + 11 * i + 13 * (curve(rng, 3, 3) - 0.5)[None, :]
        ray = 0.55 + 0.75 * fbm(rng, 24, 2, stretch=20.0)
        rise = np.clip((middle - c.y) / 26, 0, 1)
        c.add(
            np.where(c.y < middle, (1 - rise) ** 1.5, smooth(3, 0, c.y - middle)) * ray, colour, 0.8
        )
    if o.get("sun"):
        sun(c, rng.uniform(30, 98), 42, 6, o["sun"], 6)
    if o.get("moon"):
        moon(c, rng, rng.uniform(20, 108), 26, 8, o["moon"])
    if o.get("clouds"):
        clouds(c, rng, 5, 22, 50, "#ffffff", mix(sky[0], "#ffffff", 0.5), 26)
    for i in range(2):
        outline = 88 + 4 * i - (40 - 14 * i) * ridges(rng, 4, 5)
        tone = mix(sky[-1], shade, 0.55 + 0.25 * i)
        range_layer(c, rng, outline, tone, mix(sky[-1], white, 0.5), white, 0.3)
    for i in range(4):
        outline = hill(rng, 92 + 11 * i, 9 + 2 * i)
        tone = mix(shade, white, 0.4 + 0.2 * i)
        for _ in range((26, 15, 8, 0)[i]):
            x = rng.uniform(0, SIZE)
            y = outline[int(x * FINE / SIZE) % FINE] + 2
            pine(
                c,
                x,
                y,
                (7 + 6 * i) * rng.uniform(0.8, 1.4),
                mix(sky[-1], wood, 0.5 + 0.2 * i),
                white,
            )
        ground(c, rng, outline, tone, mix(tone, shade, 0.6), 18, 0.05)
    if o.get("cabin"):
        c.rect(80, 95, 100, 108, "#5a3a26")
        c.polygon([(77, 97), (90, 86), (103, 97)], white)
        c.rect(84, 99, 89, 104, "#ffd27a")
        c.rect(93, 99, 97, 108, "#3a2216")
        c.glow(86, 101, 16, "#ffb347", 0.5)
    if o.get("bare"):
        for x in (20, 70, 112):
            bare_tree(c, rng, x, 112, 11, mix(wood, "#0a0a14", 0.4), rng.uniform(-0.1, 0.1))
    for _ in range(o.get("flakes", 90)):
        c.ellipse(
            rng.uniform(0, SIZE), rng.uniform(0, SIZE), rng.uniform(0.3, 0.9), None, "#ffffff", 0.8
        )


def sky_islands(
    c: Canvas, rng: Rng, sky: list[str], grass_colour: Colour, stone: Colour, **o: Any
) -> None:
    """Islands that float among clouds, with trees and falling water."""
    c.gradient(*zip(np.linspace(0, SIZE, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 90, 100)
    sun(c, 100, 24, 8, "#fff2b0", 6)
    clouds(c, rng, 7, 30, 120, o.get("cloud", "#ffffff"), mix(sky[1], "#ffffff", 0.45), 34)
    spots = [(24, 52, 11), (70, 34, 9), (112, 70, 13), (58, 82, 22), (6, 100, 12)]
    for x, y, half in spots:
        for i in range(7):
            at = x + (i - 3) * half * 0.28
            drop = half * (1.5 - 0.4 * abs(i - 3)) * rng.uniform(0.8, 1.2)
            points = [(at - half * 0.3, y), (at + half * 0.3, y), (at, y + drop)]
            c.polygon(points, mix(stone, "#140f28" if i > 3 else "#ffffff", 0.12 * abs(i - 3)))
        c.ellipse(x, y, half, half * 0.24, grass_colour)
        c.ellipse(x, y - half * 0.06, half * 0.9, half * 0.14, mix(grass_colour, "#ffffcc", 0.3))
        for _ in range(3):
            tree(
                c,
                rng,
                x + rng.uniform(-0.7, 0.7) * half,
                y,
                half * rng.uniform(0.7, 1.1),
                o.get("leaf", grass_colour),
                "#5f4028",
            )
        if half > 11:
            c.rect(x + half * 0.4, y, x + half * 0.52, y + half * 1.9, "#d9f4ff", 0.75)
    for _ in range(5):
        cloud(
            c,
            rng,
            rng.uniform(0, SIZE),
            rng.uniform(112, 130),
            40,
            o.get("cloud", "#ffffff"),
            sky[-1],
        )
