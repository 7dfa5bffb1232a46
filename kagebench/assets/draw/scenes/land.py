"""Landscapes: mountains, forests, meadows, fields."""

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
    bush,
    clouds,
    embers,
    flowers,
    grass,
    ground,
    hill,
    mirror,
    moon,
    pine,
    range_layer,
    shafts,
    stars,
    sun,
    tree,
    veil,
)


def mountains(
    c: Canvas, rng: Rng, sky: list[str], far: Colour, near: Colour, light: Colour, **o: Any
) -> None:
    """Ranges behind ranges. sky: colours top to horizon; far, near: of the layers."""
    horizon = 88
    c.gradient(*zip(np.linspace(0, horizon, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 90, 70)
    body_x, body_y = rng.uniform(25, 100), o.get("sun_y", 38)
    if o.get("moon"):
        moon(c, rng, body_x, body_y, 8, light)
    else:
        sun(c, body_x, body_y, o.get("sun", 8), light, 6)
    veil(c, rng, mix(light, sky[-1], 0.3), 0.6, 30, 18)
    if o.get("clouds"):
        clouds(
            c, rng, o["clouds"], 20, 50, mix(sky[-1], "#ffffff", 0.7), mix(sky[0], "#ffffff", 0.3)
        )
    layers = o.get("layers", 4)
    for i in range(layers):
        t = i / max(1, layers - 1)
        base = 62 + (horizon + 18 - 62) * t
        height = (46 - 18 * t) * o.get("tall", 1.0)
        outline = base + 14 - height * ridges(rng, 3 + i % 2, 5)
        colour = mix(far, near, t)
        cap = o.get("cap") if t < 0.7 else None
        range_layer(c, rng, outline, colour, mix(colour, sky[-1], 0.75 - 0.45 * t), cap)
    if o.get("lake"):
        mirror(c, 92, mix(sky[0], near, 0.3), 0.2, rng)
    foot = hill(rng, 124 if o.get("lake") else 120, 14, 3, 3)
    ground(c, rng, foot, mix(near, "#05060c", 0.25), mix(near, "#05060c", 0.5), 16)
    for _ in range(o.get("pines", 26)):
        x = rng.uniform(0, SIZE)
        base = foot[int(x * FINE / SIZE)] + rng.uniform(0, 5)
        pine(c, x, base, rng.uniform(9, 19), mix(near, "#060a10", rng.uniform(0.4, 0.6)))


def forest(
    c: Canvas,
    rng: Rng,
    glow: Colour,
    mist: Colour,
    leaf: Colour,
    bark: Colour,
    floor: Colour,
    **o: Any,
) -> None:
    """Trunks in depth under a canopy, with light falling through."""
    c.gradient((0, mix(glow, leaf, 0.45)), (50, glow), (96, mix(glow, mist, 0.6)), (128, floor))
    c.glow(64, 44, 70, glow, 0.5)
    for layer in range(4):
        t = layer / 3
        tone = mix(mix(mist, bark, 0.25 + 0.1 * layer), bark, t)
        base = 92 + 8 * layer
        for i in range(13 - 3 * layer):
            x = (i + rng.uniform(0.1, 0.9)) * SIZE / (13 - 3 * layer)
            width = (1.6 + 2.2 * layer) * rng.uniform(0.8, 1.3)
            lean = rng.uniform(-3, 3)
            c.line(x, base + 4, x + lean, -6, tone, width * 1.25, width * 0.8)
            c.line(
                x + width * 0.3,
                base + 3,
                x + lean + width * 0.25,
                -6,
                mix(tone, "#05060a", 0.35),
                width * 0.5,
                width * 0.35,
            )
            for _ in range(2 if layer > 1 else 0):
                y, side = rng.uniform(15, 65), rng.choice([-1.0, 1.0])
                c.line(
                    x + lean * 0.5,
                    y + 8,
                    x + side * rng.uniform(8, 15),
                    y - 4,
                    tone,
                    width * 0.35,
                    0.5,
                )
        crown(c, rng, 36 - 6 * layer, mix(mist, leaf, 0.35 + 0.65 * t), 9 + layer)
        outline = base - 4 * curve(rng, 5, 3)
        tone = mix(mix(mist, floor, 0.4), floor, t)
        ground(c, rng, outline, tone, mix(tone, "#05070a", 0.35), 22, 0.2)
        for _ in range(9):
            x = rng.uniform(0, SIZE)
            bush(c, rng, x, base + 1, 5 + 2.5 * layer, mix(mist, leaf, 0.3 + 0.6 * t))
        if layer < 3:
            veil(c, rng, mist, 0.45, base - 6, 12)
    shafts(c, rng, glow, o.get("shafts", 0.4), 0.45)
    if o.get("path"):
        half = 3 + 0.02 * np.maximum(c.y - 90, 0) ** 1.9
        wind = 6 * np.sin(c.y / 9)
        c.paint(
            smooth(2, -2, np.abs(c.dx(64 + wind)) - half) * smooth(92, 96, c.y), o["path"], 0.85
        )
    grass(c, rng, np.full(FINE, 116.0), 130, mix(leaf, floor, 0.4), 6)
    if o.get("flowers"):
        flowers(c, rng, np.full(FINE, 108.0), 40, o["flowers"])
    if o.get("embers"):
        embers(c, rng, 26, o["embers"], 30, 115)


def crown(c: Canvas, rng: Rng, depth: float, leaf: Colour, puffs: int) -> None:
    """Canopy that hangs from the top edge: dark mass, then leaves that catch the light."""
    fringe = depth * (0.45 + 0.55 * curve(rng, 5, 4, 0.6))
    inside = np.clip(fringe[None, :] - c.y, -1, 1) * 0.5 + 0.5
    noise = fbm(rng, 10, 4)
    tone = rgb(leaf) * (0.55 + 0.85 * noise[..., None])
    c.paint(inside, np.clip(tone, 0, 1))
    for _ in range(puffs * 9):
        x = rng.uniform(0, SIZE)
        y = fringe[int(x * FINE / SIZE)] * rng.uniform(0.5, 1.08)
        warm = mix(leaf, "#f8ffa8" if rng.random() < 0.4 else "#04100c", rng.uniform(0.1, 0.45))
        c.ellipse(x, y, rng.uniform(0.8, 2.2), None, warm, 0.85)


def meadow(
    c: Canvas, rng: Rng, sky: list[str], far: Colour, near: Colour, blossoms: list[str], **o: Any
) -> None:
    """Rolling hills under heap clouds, with trees, flowers, and optionally a path or houses."""
    c.gradient(*zip(np.linspace(0, 80, len(sky)), sky, strict=True))
    if o.get("sun"):
        sun(c, rng.uniform(20, 108), o.get("sun_y", 30), 7, o["sun"], 6)
    clouds(
        c,
        rng,
        6,
        18,
        62,
        o.get("cloud", "#ffffff"),
        mix(sky[0], "#ffffff", 0.55),
        o.get("cloud_size", 28),
    )
    for i in range(2):
        tone = mix(sky[-1], far, 0.35 + 0.25 * i)
        ground(c, rng, 74 + 5 * i - (16 - 6 * i) * curve(rng, 3, 3), tone, mix(tone, sky[-1], 0.3))
    outlines = [hill(rng, 80 + 13 * i, 10 + 3 * i) for i in range(4)]
    for i, outline in enumerate(outlines):
        tone = mix(far, near, i / 3)
        ground(c, rng, outline, mix(tone, "#ffffaa", 0.16), mix(tone, "#0a3030", 0.28), 22, 0.16)
        for _ in range((9, 6, 3, 1)[i]):
            x = rng.uniform(0, SIZE)
            base = outline[int(x * FINE / SIZE) % FINE] + 1.5
            if o.get("pines"):
                pine(c, x, base, 6 + 6 * i, mix(far, "#0c2c2c", 0.5), mix(far, "#ffffff", 0.1))
            else:
                tree(
                    c, rng, x, base, 6 + 6 * i, o.get("leaf", mix(tone, "#1f6b2c", 0.5)), "#5f4028"
                )
        if i == 1:
            landmark(c, outline, o.get("landmark"))
        if i == 2 and o.get("path"):
            half = 0.6 + 0.0035 * np.maximum(c.y - 84, 0) ** 2.1
            wind = 64 + 16 * np.sin(c.y / 11 + o["path_phase"]) * smooth(128, 86, c.y)
            c.paint(smooth(1, -1, np.abs(c.dx(wind)) - half) * c.below(outline), o["path"])
    grass(c, rng, outlines[-1], 160, near, 5)
    flowers(c, rng, outlines[-1] - 12, o.get("count", 120), blossoms)


def landmark(c: Canvas, outline: np.ndarray, kind: str | None) -> None:
    """A windmill, houses, a tower or nothing, standing on an outline."""
    if kind is None:
        return
    x = 88.0
    y = outline[int(x * FINE / SIZE)] + 2
    if kind == "windmill":
        c.polygon([(x - 5, y), (x - 3, y - 17), (x + 3, y - 17), (x + 5, y)], "#efe6d0")
        c.polygon([(x + 1, y), (x + 0.5, y - 17), (x + 3, y - 17), (x + 5, y)], "#c9b894")
        c.polygon([(x - 4, y - 16), (x, y - 21), (x + 4, y - 16)], "#a8452f")
        for turn in np.arange(4) * np.pi / 2 + 0.5:
            tip = (x + 12 * np.cos(turn), y - 17 + 12 * np.sin(turn))
            c.line(x, y - 17, *tip, "#f7f2e4", 1.8, 2.6)
            c.line(x, y - 17, *tip, "#6b4a2e", 0.6)
        c.rect(x - 1.2, y - 5, x + 1.2, y, "#5b3a22")
    elif kind == "houses":
        for i, (wall, roof) in enumerate(
            (("#f1dfbd", "#b5472e"), ("#e8c9a0", "#8f3b3b"), ("#f7efe0", "#4f6f8f"))
        ):
            left = x - 24 + 15 * i
            base = outline[int(left * FINE / SIZE)] + 4
            c.rect(left, base - 7, left + 10, base, wall)
            c.polygon(
                [(left - 1.5, base - 6.5), (left + 5, base - 13), (left + 11.5, base - 6.5)], roof
            )
            c.rect(left + 2, base - 5, left + 4, base - 2.5, "#5b7f9c")
            c.rect(left + 6, base - 5, left + 8.5, base, "#6a4128")
    elif kind == "tower":
        c.rect(x - 4, y - 24, x + 4, y, "#b9b3a6")
        c.rect(x + 1, y - 24, x + 4, y, "#8f897f")
        for i in range(4):
            c.rect(x - 5.5 + 3 * i, y - 28, x - 3.7 + 3 * i, y - 24, "#a7a195")
        c.rect(x - 5.5, y - 25, x + 5.3, y - 23, "#a7a195")
        c.rect(x - 1, y - 18, x + 1, y - 13, "#3b3f4c", corner=0.9)


def field(
    c: Canvas, rng: Rng, sky: list[str], crop: Colour, soil: Colour, light: Colour, **o: Any
) -> None:
    """Farm land: rows of crop that meet at the horizon."""
    c.gradient(*zip(np.linspace(0, 70, len(sky)), sky, strict=True))
    sun(c, o.get("sun_x", 64), o.get("sun_y", 46), 7, light, 8)
    clouds(c, rng, 6, 14, 50, mix(light, "#ffffff", 0.6), mix(sky[0], light, 0.35), 30)
    for i in range(2):
        tone = mix(sky[-1], crop, 0.3 + 0.2 * i)
        ground(c, rng, 70 + 2 * i - 12 * curve(rng, 3 + i, 3), tone, mix(tone, soil, 0.2))
    for i in range(9):
        tree(
            c,
            rng,
            i * 14.2 + rng.uniform(-4, 4),
            72,
            rng.uniform(6, 11),
            o.get("leaf", "#4d7a33"),
            "#4a3018",
        )
    depth = np.maximum(c.y - 68, 0.01)
    mask = smooth(68, 69, c.y)
    # Rows that converge at the horizon; an even function of the distance from the middle tiles.
    row = np.cos(c.dx(64) * 9.0 / (depth + 5))
    noise = fbm(rng, 16, 4, stretch=0.5)
    shade = 0.5 + 0.5 * row * np.clip(depth / 12, 0, 1)
    tone = rgb(soil) * (1 - shade[..., None]) + rgb(crop) * shade[..., None]
    c.paint(mask, np.clip(tone * (0.75 + 0.5 * noise[..., None]), 0, 1))
    for _ in range(700):
        t = rng.random() ** 0.6
        x, y = rng.uniform(0, SIZE), 70 + 62 * t
        size = 0.8 + 5 * t * t
        tone = mix(crop, light if rng.random() < 0.5 else soil, rng.uniform(0.1, 0.6))
        c.line(x, y, x + rng.uniform(-0.2, 0.2) * size, y - size, tone, 0.25 + 0.5 * t, 0.2)
        if o.get("heads"):
            c.ellipse(x, y - size, 0.2 + 0.9 * t, colour=o["heads"])
    if o.get("fence"):
        for x in np.arange(0.0, SIZE, 16):
            c.rect(x, 84, x + 2, 100, "#6e4a2c")
        c.rect(0, 87, SIZE, 88.5, "#815a38")
        c.rect(0, 93, SIZE, 94.5, "#815a38")
