"""Places that are not of this world: caves, volcanoes, space, candy land, alien jungle."""

from itertools import pairwise
from typing import Any

import numpy as np

from kagebench.assets.draw.canvas import (
    FINE,
    SIZE,
    Canvas,
    Colour,
    curve,
    edge,
    fbm,
    mix,
    rgb,
    ridges,
    smooth,
)
from kagebench.assets.draw.elements import (
    Rng,
    clouds,
    embers,
    ground,
    hill,
    mirror,
    range_layer,
    relief,
    rock,
    stars,
    veil,
)


def cave(
    c: Canvas, rng: Rng, glow: Colour, rock_colour: Colour, crystals: list[str], **o: Any
) -> None:
    """Cavern opening on a glow, with stalactites, stalagmites, crystals, water or torches."""
    centre = o.get("x", 64)
    deep = mix(rock_colour, glow, 0.35)
    c.gradient((0, mix(deep, "#0a0814", 0.2)), (66, mix(deep, glow, 0.45)), (128, deep))
    c.scale(1 + 0.12 * relief(rng, 3, 4, 1.0))
    for radius, alpha in ((76, 0.5), (44, 0.7), (24, 0.6)):
        c.glow(centre, 62, radius, glow, alpha)
    for layer in range(3):
        near = mix(rock_colour, "#080610", 0.45)
        tone = mix(mix(rock_colour, glow, 0.3), near, layer / 2)
        for floor in (False, True):
            rock_edge(c, rng, layer, floor, tone, glow)
        if layer == 1 and o.get("pool"):
            mirror(c, 100, o["pool"], 0.3, rng)
        for _ in range(o.get("count", 5)):
            colour = crystals[rng.integers(len(crystals))]
            x = rng.uniform(0, SIZE)
            if rng.random() < 0.75:
                cluster(c, rng, x, 108 + 9 * layer, 9 + 5 * layer, colour, 1)
            else:
                cluster(c, rng, x, 14 - 4 * layer, 8 + 3 * layer, colour, -1)
        if layer == 0:
            for x in o.get("torches", ()):
                torch(c, rng, x, 70)
    embers(c, rng, 24, crystals[0], 20, 110)


def rock_edge(c: Canvas, rng: Rng, layer: int, floor: bool, tone: Colour, glow: Colour) -> None:
    """Ceiling or floor of a cave with dripstones; nearer layers are darker and reach less far."""
    base = (26, 17, 8)[layer] + 9 * curve(rng, 3, 4)
    for _ in range(13):
        away = np.abs(c.dx(rng.uniform(0, SIZE)))[0]
        half, tall = rng.uniform(2.5, 6.5), rng.uniform(8, 30 if not floor else 20)
        base = np.maximum(base, base + tall * np.clip(1 - away / half, 0, 1) ** 1.6)
    reach = base if not floor else 0.72 * base
    inward = c.y - reach[None, :] if not floor else SIZE - reach[None, :] - c.y
    depth = np.clip(1 + inward / 26, 0, 1)
    light = 0.62 + 0.42 * depth + 0.22 * relief(rng, 7, 4, 2.0)
    colour = rgb(tone) * light[..., None] + rgb(glow) * (0.3 * depth**8 / (layer + 1))[..., None]
    c.paint(edge(inward), np.clip(colour, 0, 1))


def cluster(c: Canvas, rng: Rng, x: float, y: float, size: float, colour: Colour, up: int) -> None:
    """Fan of faceted crystals that grow up (1) or hang down (-1), with their glow."""
    c.glow(x, y - up * size * 0.5, size * 2.2, colour, 0.45)
    for lean in rng.permutation([-0.7, -0.35, 0.0, 0.3, 0.65]):
        tall = size * rng.uniform(0.6, 1.3) * (1 - 0.4 * abs(lean))
        half = tall * 0.15
        dx, dy = np.sin(lean), -up * np.cos(lean)
        px, py = -dy * half, dx * half
        neck = (x + dx * tall * 0.75, y + dy * tall * 0.75)
        tip = (x + dx * tall, y + dy * tall)
        left, right = (x - px, y - py), (x + px, y + py)
        c.polygon([left, (neck[0] - px, neck[1] - py), tip, (x, y)], mix(colour, "#ffffff", 0.45))
        c.polygon([right, (neck[0] + px, neck[1] + py), tip, (x, y)], mix(colour, "#100828", 0.3))
        c.line(x, y, *tip, mix(colour, "#ffffff", 0.75), 0.4)


def torch(c: Canvas, rng: Rng, x: float, y: float) -> None:
    """Wall torch and the light that it throws."""
    c.glow(x, y - 3, 44, "#ff9a3c", 0.55)
    c.line(x, y + 7, x, y, "#4a2c16", 2.2, 2.8)
    c.rect(x - 2, y - 0.5, x + 2, y + 1, "#8a8a94")
    for size, colour in ((3.2, "#ff6a1a"), (2.2, "#ffb52e"), (1.2, "#fff3b0")):
        c.ellipse(x, y - size, size * 0.75, size, colour)
        c.polygon(
            [
                (x - size * 0.6, y - size * 1.4),
                (x + 0.4, y - size * 3),
                (x + size * 0.6, y - size * 1.4),
            ],
            colour,
        )


def volcano(
    c: Canvas, rng: Rng, sky: list[str], rock_colour: Colour, lava: Colour, **o: Any
) -> None:
    """Smoking cones over rivers of lava."""
    c.gradient(*zip(np.linspace(0, 92, len(sky)), sky, strict=True))
    smoke = smooth(0.4, 0.75, fbm(rng, 4, 5, stretch=0.7))
    c.paint(smoke * smooth(90, 10, c.y), mix(sky[0], "#1a1218", 0.5), 0.6)
    for x, top, half in o.get("cones", ((40, 34, 46), (104, 56, 30))):
        plume(c, rng, x, top, half * 0.3, mix(sky[0], "#2a2024", 0.4), lava)
        away = np.abs(c.dx(x))[0]
        outline = top + np.maximum(away - half * 0.13, 0) ** 0.86 * 1.5 + 3 * ridges(rng, 14, 3)
        range_layer(
            c,
            rng,
            outline,
            mix(sky[-1], rock_colour, 0.7),
            mix(sky[-1], rock_colour, 0.3),
            None,
            0.35,
        )
        for _ in range(4):
            stream(c, rng, x + rng.uniform(-0.1, 0.1) * half, top + 2, 104, lava, 1.6)
    for i in range(3):
        outline = 100 + 10 * i - (16 - 3 * i) * ridges(rng, 5 + i, 4)
        tone = mix(rock_colour, "#0a0608", 0.15 + 0.2 * i)
        range_layer(c, rng, outline, tone, mix(tone, lava, 0.25), None, 0.4)
        crack = np.abs(fbm(rng, 5 + 2 * i, 4, stretch=0.35) - 0.5)
        c.paint(smooth(0.035, 0.012, crack) * c.below(outline + 4), mix(lava, "#ffe27a", 0.3))
        c.add(smooth(0.12, 0.0, crack) * c.below(outline + 3), lava, 0.4)
    embers(c, rng, 46, lava, 10, 124)


def plume(
    c: Canvas, rng: Rng, x: float, y: float, size: float, colour: Colour, lava: Colour
) -> None:
    """Column of smoke lit from below."""
    for i in range(26):
        t = i / 25
        spread = size * (0.35 + 1.5 * t)
        cx = x + 14 * t * t + rng.normal(0, spread * 0.4)
        tone = mix(mix(lava, colour, min(1, 0.35 + 1.6 * t)), "#ffffff", rng.uniform(0, 0.12))
        c.ellipse(cx, y - 46 * t, spread * rng.uniform(0.5, 0.9), None, tone, 0.7, soft=4)
    c.glow(x, y, size * 3.5, lava, 0.8)


def stream(c: Canvas, rng: Rng, x: float, y: float, end: float, lava: Colour, width: float) -> None:
    """Lava that runs down in a wandering line."""
    while y < end:
        x1, y1 = x + rng.normal(0, 2.2), y + 4
        c.glow((x + x1) / 2, y, width * 4, lava, 0.3)
        c.line(x, y, x1, y1, lava, width)
        c.line(x, y, x1, y1, mix(lava, "#fff1a0", 0.6), width * 0.45)
        x, y, width = x1, y1, width * 1.03


def space(
    c: Canvas, rng: Rng, deep: list[str], nebula: list[str], planets: list[list], **o: Any
) -> None:
    """Stars, coloured clouds of gas, planets with bands or rings, optionally a galaxy."""
    c.gradient((0, deep[0]), (64, deep[1]), (128, deep[0]))
    for colour in nebula:
        gas = fbm(rng, 3, 6, gain=0.55)
        lane = fbm(rng, 3, 4)
        c.add(smooth(0.42, 0.78, gas) * (0.35 + 0.8 * lane), colour, 0.85)
    filament = np.abs(fbm(rng, 4, 5) - 0.5)
    c.add(smooth(0.06, 0, filament) * smooth(0.4, 0.7, fbm(rng, 3, 3)), nebula[0], 0.4)
    stars(c, rng, 190, SIZE)
    if o.get("galaxy"):
        galaxy(c, rng, 64, 62, o["galaxy"])
    for x, y, radius, colour, ring in planets:
        planet(c, rng, x, y, radius, colour, ring)
    for _ in range(o.get("asteroids", 0)):
        rock(c, rng, rng.uniform(0, SIZE), rng.uniform(30, 120), rng.uniform(2, 7), "#8a7c70")
    if o.get("surface"):
        outline = 112 - 10 * ridges(rng, 5, 4)
        range_layer(c, rng, outline, o["surface"], mix(o["surface"], "#120a20", 0.3), None, 0.4)
        for _ in range(9):
            x, y, r = rng.uniform(0, SIZE), rng.uniform(116, 127), rng.uniform(2, 6)
            c.ellipse(x, y, r, r * 0.35, mix(o["surface"], "#0a0618", 0.4))
            c.ellipse(x, y + r * 0.12, r * 0.85, r * 0.25, mix(o["surface"], "#ffffff", 0.15))


def planet(
    c: Canvas, rng: Rng, x: float, y: float, radius: float, colour: Colour, ring: Colour | None
) -> None:
    """Banded ball lit from the upper left; `ring` is a colour or None."""
    if ring:
        for k in (1.5, 1.75, 2.0):
            c.ellipse(x, y, radius * k, radius * k * 0.3, ring, 0.8, ring=radius * 0.12)
    dx, dy = c.dx(x) / radius, (c.y - y) / radius
    inside = edge((np.hypot(dx, dy) - 1) * radius)
    warp = fbm(rng, 6, 4, stretch=0.6) - 0.5
    band = np.sin(dy * 9 + dx * 1.2 + warp * 7) * 0.16
    light = np.clip(0.35 - 0.75 * (dx * 0.7 + dy * 0.7), -0.15, 1)
    tone = rgb(colour) * (0.45 + light + band)[..., None]
    c.paint(inside, np.clip(tone, 0, 1))
    c.add(smooth(0.86, 1.0, np.hypot(dx, dy)) * inside * np.clip(-dx - dy, 0, 1), "#ffffff", 0.5)
    if ring:
        for k in (1.5, 1.75, 2.0):
            on = np.abs(np.hypot(dx / k, dy / (k * 0.3)) - 1) * k * 0.3
            front = smooth(0.06, 0.03, on) * smooth(-0.05, 0.08, dy)
            c.paint(front, mix(ring, "#ffffff", 0.2), 0.9)


def galaxy(c: Canvas, rng: Rng, x: float, y: float, colour: Colour) -> None:
    """Tilted two-armed spiral."""
    dx, dy = c.dx(x), (c.y - y) * 2.0
    dx, dy = dx * 0.94 + dy * 0.34, dy * 0.94 - dx * 0.34
    radius, angle = np.hypot(dx, dy) + 1e-6, np.arctan2(dy, dx)
    arms = 0.5 + 0.5 * np.cos(2 * (angle - 2.1 * np.log(radius + 3)))
    disc = np.exp(-radius / 22) * smooth(64, 50, radius)
    c.add(np.clip(disc * (0.25 + 1.2 * arms**2) * (0.6 + 0.8 * fbm(rng, 12, 4)), 0, 1), colour, 1.0)
    c.glow(x, y, 22, "#fff2d0", 0.95)


def candy(
    c: Canvas, rng: Rng, sky: list[str], hills: list[str], sweets: list[str], **o: Any
) -> None:
    """Land of sweets: striped hills, lollipops, gumdrops, canes, sugar clouds."""
    c.gradient(*zip(np.linspace(0, 90, len(sky)), sky, strict=True))
    angle = np.arctan2(c.y - 92, c.dx(64))
    c.add(smooth(-0.2, 0.2, np.sin(angle * 18)) * smooth(110, 10, c.y), "#ffffff", 0.22)
    if o.get("rainbow", True):
        for i, tone in enumerate(
            ("#ff5d6c", "#ffa24d", "#ffe066", "#7ad97a", "#5fb4ff", "#b17bff")
        ):
            c.ellipse(64, 92, 58 - 3 * i, 60 - 3 * i, tone, 0.75, ring=3)
    clouds(c, rng, 6, 14, 46, o.get("cloud", "#ffffff"), mix(sweets[0], "#ffffff", 0.6), 28)
    for i in range(3):
        outline = hill(rng, 94 + 14 * i, 16)
        mask = c.below(outline)
        c.paint(mask, hills[i % len(hills)])
        stripe = np.sin((c.y - outline[None, :]) * (0.9 - 0.2 * i))
        c.paint(mask * smooth(-0.1, 0.1, stripe), mix(hills[i % len(hills)], "#ffffff", 0.3), 0.6)
        icing = 3 + 3 * np.abs(np.sin(c.x * np.pi * 10 / SIZE))
        c.paint(mask * smooth(0.4, -0.4, c.y - outline[None, :] - icing), "#fffaf2")
        for k in range(5):
            x = (k + rng.uniform(0.1, 0.9)) * SIZE / 5
            base = outline[int(x * FINE / SIZE) % FINE] + 4
            kind = (k + i) % 3
            colour = sweets[rng.integers(len(sweets))]
            if kind == 0:
                lollipop(c, x, base, 10 + 6 * i, colour)
            elif kind == 1:
                gumdrop(c, rng, x, base + 1, 4 + 1.6 * i, colour)
            else:
                cane(c, x, base, 9 + 5 * i, colour)
    for _ in range(90):
        x, y, a = rng.uniform(0, SIZE), rng.uniform(108, 128), rng.uniform(0, 3.14)
        c.line(x, y, x + 2 * np.cos(a), y + 2 * np.sin(a), sweets[rng.integers(len(sweets))], 0.9)


def lollipop(c: Canvas, x: float, base: float, height: float, colour: Colour) -> None:
    """Stick with a spiral disc."""
    c.line(x, base, x, base - height, "#fdf6ea", height * 0.08)
    radius, cy = height * 0.34, base - height
    c.ellipse(x, cy, radius, colour=colour)
    previous = (x, cy)
    for i in range(1, 34):
        t = i / 33
        at = (x + radius * 0.9 * t * np.cos(t * 14), cy + radius * 0.9 * t * np.sin(t * 14))
        c.line(*previous, *at, "#ffffff", radius * 0.2)
        previous = at
    c.ellipse(x - radius * 0.35, cy - radius * 0.4, radius * 0.22, colour="#ffffff", alpha=0.7)


def gumdrop(c: Canvas, rng: Rng, x: float, base: float, size: float, colour: Colour) -> None:
    """Sugared cone."""
    c.polygon(
        [
            (x - size, base),
            (x - size * 0.6, base - size),
            (x + size * 0.6, base - size),
            (x + size, base),
        ],
        colour,
    )
    c.ellipse(x, base - size, size * 0.66, size * 0.6, colour)
    c.ellipse(
        x - size * 0.25, base - size * 1.1, size * 0.2, size * 0.3, mix(colour, "#ffffff", 0.6)
    )
    for _ in range(9):
        c.ellipse(
            x + rng.uniform(-0.6, 0.6) * size,
            base - rng.uniform(0.1, 1.2) * size,
            0.4,
            None,
            "#ffffff",
            0.8,
        )


def cane(c: Canvas, x: float, base: float, height: float, colour: Colour) -> None:
    """Striped walking stick."""
    bow = height * 0.2
    place = [(x, base - height * 0.8 * i / 8) for i in range(9)]
    place += [
        (x + bow - bow * np.cos(a), base - height * 0.8 - bow * np.sin(a))
        for a in np.linspace(0.3, 3.3, 8)
    ]
    for i, (start, stop) in enumerate(pairwise(place)):
        c.line(*start, *stop, colour if i % 2 else "#ffffff", height * 0.12)


def alien(
    c: Canvas, rng: Rng, sky: list[str], soil: Colour, caps: list[str], stem: Colour, **o: Any
) -> None:
    """Jungle of giant glowing mushrooms and bulb plants under strange moons."""
    c.gradient(*zip(np.linspace(0, 100, len(sky)), sky, strict=True))
    stars(c, rng, 70, 70)
    for x, y, radius, colour in o.get("moons", ()):
        planet(c, rng, x, y, radius, colour, None)
    veil(c, rng, mix(sky[-1], "#ffffff", 0.3), 0.5, 50, 20)
    for i in range(3):
        t = i / 2
        outline = 92 + 13 * i - (22 - 6 * i) * (ridges(rng, 4, 4) if i == 0 else curve(rng, 3, 3))
        tone = mix(sky[-1], soil, 0.4 + 0.3 * i)
        for k in range(7 - 2 * i):
            x = (k + rng.uniform(0.1, 0.9)) * SIZE / (7 - 2 * i)
            base = outline[int(x * FINE / SIZE) % FINE] + 4
            cap = mix(sky[-1], caps[rng.integers(len(caps))], 0.45 + 0.55 * t)
            mushroom(
                c,
                rng,
                x,
                base,
                (18 + 15 * i) * rng.uniform(0.7, 1.25),
                cap,
                mix(sky[-1], stem, 0.4 + 0.6 * t),
            )
        ground(c, rng, outline, tone, mix(tone, "#08040f", 0.35), 20, 0.2)
        for _ in range(8):
            x = rng.uniform(0, SIZE)
            bulb(
                c,
                rng,
                x,
                outline[int(x * FINE / SIZE)] + 5,
                4 + 2 * i,
                caps[rng.integers(len(caps))],
                tone,
            )
    embers(c, rng, 34, caps[0], 20, 120)


def mushroom(
    c: Canvas, rng: Rng, x: float, base: float, height: float, cap: Colour, stem: Colour
) -> None:
    """Bent stem, gilled domed cap with glowing spots."""
    lean = rng.uniform(-0.12, 0.12) * height
    top = base - height
    c.line(x, base, x + lean, top, stem, height * 0.15, height * 0.09)
    c.line(
        x + height * 0.03,
        base,
        x + lean + height * 0.02,
        top,
        mix(stem, "#140a28", 0.3),
        height * 0.06,
        1,
    )
    half = height * rng.uniform(0.34, 0.5)
    cx = x + lean
    c.glow(cx, top, half * 1.8, cap, 0.4)
    c.ellipse(cx, top + half * 0.1, half, half * 0.25, mix(cap, "#fff0d8", 0.55))
    for i in range(-3, 4):
        c.line(cx, top, cx + i * half * 0.28, top + half * 0.25, mix(cap, "#200a30", 0.4), 0.4)
    dx, dy = c.dx(cx) / half, (c.y - top) / (half * 0.75)
    dome = edge((np.hypot(dx, dy) - 1) * half) * smooth(0.06, 0.0, dy)
    tone = rgb(cap) * np.clip(0.85 - 0.35 * (dx + dy * 0.6), 0.4, 1.3)[..., None]
    c.paint(dome, np.clip(tone, 0, 1))
    for _ in range(6):
        spot = cx + rng.uniform(-0.7, 0.7) * half
        c.ellipse(
            spot,
            top - half * rng.uniform(0.1, 0.45),
            half * rng.uniform(0.06, 0.13),
            None,
            mix(cap, "#ffffff", 0.7),
            0.9,
        )


def bulb(
    c: Canvas, rng: Rng, x: float, base: float, height: float, colour: Colour, leaf: Colour
) -> None:
    """Stalk with a glowing bead and two leaves."""
    tip = x + rng.uniform(-0.3, 0.3) * height
    c.line(x, base, tip, base - height, mix(leaf, "#7affc0", 0.25), 0.8, 0.4)
    c.line(x, base, x - height * 0.5, base - height * 0.45, mix(leaf, "#7affc0", 0.2), 1.1, 0.2)
    c.line(x, base, x + height * 0.5, base - height * 0.4, mix(leaf, "#7affc0", 0.2), 1.1, 0.2)
    c.glow(tip, base - height, 5, colour, 0.7)
    c.ellipse(tip, base - height, height * 0.14, colour=mix(colour, "#ffffff", 0.4))
