"""What people built: castles, ruins, halls and dungeons."""

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
    bush,
    capsule_mask,
    clouds,
    embers,
    grass,
    ground,
    hill,
    mirror,
    moon,
    pine,
    range_layer,
    stars,
    sun,
    tree,
    veil,
)
from kagebench.assets.draw.scenes.fantasy import torch


def castle(
    c: Canvas, rng: Rng, sky: list[str], stone: Colour, roof: Colour, land: Colour, **o: Any
) -> None:
    """Castle with towers, flags and lit windows on a hill."""
    c.gradient(*zip(np.linspace(0, 92, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 90, 70)
    if o.get("moon"):
        moon(c, rng, 34, 28, 11, o["moon"])
    else:
        sun(c, 30, 34, 8, "#fff0b0", 6)
    clouds(
        c,
        rng,
        o.get("clouds", 5),
        16,
        56,
        mix(sky[-1], "#ffffff", 0.55),
        mix(sky[0], sky[-1], 0.4),
        28,
    )
    outline = 92 - 34 * ridges(rng, 4, 5)
    tone = mix(sky[-1], land, 0.4)
    range_layer(c, rng, outline, tone, mix(tone, sky[-1], 0.6), o.get("cap"))
    knoll = 108 - 24 * np.exp(-((c.dx(72)[0] / 34) ** 2)) - 4 * curve(rng, 4, 3)
    for x, wide, tall, kind in (
        (46, 9, 30, 1),
        (98, 9, 34, 1),
        (60, 11, 44, 1),
        (86, 10, 50, 1),
        (73, 15, 62, 1),
        (53, 14, 20, 0),
        (92, 14, 22, 0),
        (73, 26, 30, 0),
    ):
        tower(c, rng, x, 98, wide, tall, stone, roof, kind, "#ffd777")
    c.paint(capsule_mask(c, 73, 84, 99, 4), mix(stone, "#0c0a14", 0.75))
    for i in range(2):
        shape = knoll if i == 0 else hill(rng, 122, 12)
        tone = mix(land, "#06140c", 0.1 + 0.25 * i)
        ground(c, rng, shape, mix(tone, "#ffffb0", 0.12), mix(tone, "#080c14", 0.4), 20, 0.2)
        for _ in range(12):
            x = rng.uniform(0, SIZE)
            if abs(x - 73) < 10 and i == 0:
                continue
            y = shape[int(x * FINE / SIZE) % FINE] + 3
            if o.get("pines", True):
                pine(c, x, y, 9 + 9 * i, mix(tone, "#04120c", 0.45), mix(tone, "#ffffff", 0.08))
            else:
                tree(c, rng, x, y, 9 + 8 * i, o["leaf"], "#4a3020")
    if o.get("moat"):
        mirror(c, 108, o["moat"], 0.3, rng)


def tower(
    c: Canvas,
    rng: Rng,
    x: float,
    base: float,
    wide: float,
    tall: float,
    stone: Colour,
    roof: Colour,
    kind: int,
    window: Colour,
) -> None:
    """Tower with a pointed roof and a flag (kind 1) or battlements (kind 0)."""
    left, top, right = x - wide / 2, base - tall, x + wide / 2
    c.rect(left, top, right, base + 8, stone)
    c.rect(x + wide * 0.18, top, right, base + 8, mix(stone, "#14101e", 0.35))
    c.rect(left, top, left + wide * 0.15, base + 8, mix(stone, "#ffffff", 0.25))
    for y in np.arange(top + 3, base, 4.5):
        for _ in range(2):
            bx = rng.uniform(left + 0.5, right - 2)
            c.rect(bx, y, bx + 1.8, y + 0.9, mix(stone, "#14101e", 0.3))
    if kind:
        c.rect(left - 1, top - 1, right + 1, top + 1.5, mix(stone, "#ffffff", 0.12))
        peak = top - wide * 1.5
        c.polygon([(left - 1.6, top), (x, peak), (right + 1.6, top)], roof)
        c.polygon(
            [(x + wide * 0.1, top), (x, peak), (right + 1.6, top)], mix(roof, "#10081a", 0.35)
        )
        c.line(x, peak, x, peak - 5, mix(stone, "#101018", 0.5), 0.5)
        c.polygon([(x, peak - 5), (x + 4.5, peak - 3.8), (x, peak - 2.4)], "#e2483d")
        c.rect(x - 0.9, top + 5, x + 0.9, top + 9, window, corner=0.8)
        c.glow(x, top + 7, 5, window, 0.5)
        return
    count = max(3, int(wide / 3.2))
    for k in range(count):
        start = left + k * wide / count
        c.rect(start, top - 2.4, start + wide / count * 0.6, top + 0.4, stone)


def ruins(
    c: Canvas, rng: Rng, sky: list[str], stone: Colour, plants: Colour, soil: Colour, **o: Any
) -> None:
    """Broken columns, arches and walls overgrown with plants."""
    c.gradient(*zip(np.linspace(0, 90, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 80, 70)
    if o.get("moon"):
        moon(c, rng, 90, 24, 9, o["moon"])
    else:
        sun(c, o.get("sun_x", 40), 34, 8, "#fff0b0", 7)
    clouds(c, rng, 6, 14, 54, mix(sky[-1], "#ffffff", 0.55), mix(sky[0], sky[-1], 0.4), 30)
    tone = mix(sky[-1], plants, 0.35)
    ground(c, rng, 88 - 22 * curve(rng, 3, 4), tone, mix(tone, sky[-1], 0.4), 20)
    for layer in range(2):
        faded = mix(mix(sky[-1], stone, 0.7 + 0.3 * layer), "#241c38", 0.12 + 0.16 * layer)
        base = 98 + 8 * layer
        outline = base - 4 * curve(rng, 4, 3)
        xs = np.arange(4) * 32 + rng.uniform(4, 26) + 12 * layer
        for k, x in enumerate(xs):
            tall = (36 + 34 * layer) * rng.uniform(0.55, 1.15)
            column(c, rng, x, base + 2, tall, 5 + 5 * layer, faded)
            if k % 2 == layer:
                span_arch(c, rng, x, base + 2, 24 + 10 * layer, 38 + 28 * layer, faded)
        tone = mix(sky[-1], soil, 0.6 + 0.4 * layer)
        ground(c, rng, outline, mix(tone, "#ffffb0", 0.1), mix(tone, "#0a0a10", 0.35), 24, 0.2)
        for _ in range(10):
            bush(
                c,
                rng,
                rng.uniform(0, SIZE),
                base + 2,
                5 + 4 * layer,
                mix(sky[-1], plants, 0.6 + 0.4 * layer),
            )
        veil(c, rng, sky[-1], 0.35 - 0.2 * layer, base - 4, 9)
    for _ in range(14):
        x, y, s = rng.uniform(0, SIZE), rng.uniform(108, 126), rng.uniform(2, 6)
        c.rect(x, y - s * 0.6, x + s, y, mix(stone, "#10101a", 0.15), corner=0.6)
        c.rect(x, y - s * 0.6, x + s, y - s * 0.42, mix(stone, "#ffffff", 0.35), corner=0.3)
    grass(c, rng, np.full(FINE, 114.0), 110, plants, 6)
    embers(c, rng, o.get("embers", 0), "#ffe08a", 40, 116)


def column(
    c: Canvas, rng: Rng, x: float, base: float, tall: float, wide: float, stone: Colour
) -> None:
    """Fluted column, broken at the top or with a capital."""
    left, right, top = x - wide / 2, x + wide / 2, base - tall
    c.rect(left, top, right, base, stone)
    for k in range(4):
        at = left + (k + 0.35) * wide / 4
        c.rect(at, top, at + wide * 0.09, base, mix(stone, "#1a1420", 0.12 + 0.1 * k))
    c.rect(left, top, left + wide * 0.13, base, mix(stone, "#ffffff", 0.35))
    c.rect(left - 1.2, base - 3, right + 1.2, base, mix(stone, "#ffffff", 0.12))
    if rng.random() < 0.5:
        c.rect(left - 1.4, top - 2.5, right + 1.4, top, mix(stone, "#ffffff", 0.2))
    else:
        c.polygon(
            [(left, top + 0.3), (left + wide * 0.3, top - wide * 0.6), (right, top + 0.3)], stone
        )
    for _ in range(3):
        y = rng.uniform(top, base - 6)
        c.line(
            left,
            y,
            left + wide * rng.uniform(0.3, 0.8),
            y + 3,
            mix(stone, "#4f8a3a", 0.7),
            1.0,
            0.4,
        )


def span_arch(
    c: Canvas, rng: Rng, x: float, base: float, wide: float, tall: float, stone: Colour
) -> None:
    """Free-standing arch of wedge stones."""
    top = base - tall
    outer = capsule_mask(c, x, top, base, wide / 2)
    inner = capsule_mask(c, x, top + wide * 0.18, base, wide * 0.33)
    rough = fbm(rng, 16, 3)
    tone = rgb(stone) * (0.72 + 0.5 * rough)[..., None]
    angle = np.arctan2(c.y - top - wide / 2, c.dx(x))
    joint = np.where(c.y < top + wide / 2, np.abs(np.sin(angle * 6)) < 0.12, (c.y % 5) < 0.6)
    c.paint(outer * (1 - inner), np.clip(tone, 0, 1))
    c.paint(outer * (1 - inner) * joint, mix(stone, "#14101c", 0.6), 0.7)
    c.paint(outer * (1 - inner) * edge(wide * 0.36 - c.dx(x)), mix(stone, "#14101c", 0.6), 0.35)


def bricks(
    c: Canvas, rng: Rng, wall: Colour, mortar: Colour, high: float, wide: float, rough: float
) -> None:
    """Covers the canvas with courses of bricks of varied tones; `wide` divides SIZE."""
    row = np.floor(c.y / high)
    shift = (row % 2) * wide / 2
    along = (c.x + shift) % SIZE
    cell = np.floor(along / wide).astype(int)
    tones = rng.random((int(SIZE / high) + 2, int(SIZE / wide) + 1))
    tone = tones[row.astype(int), cell]
    grain = fbm(rng, 16, 4)
    near_x = np.minimum(along % wide, wide - along % wide)
    near_y = np.minimum(c.y % high, high - c.y % high)
    gap = np.minimum(near_x, near_y + np.zeros_like(near_x)) + 0.9 * (grain - 0.5)
    brick = rgb(wall) * (0.72 + rough * (tone - 0.5) + 0.5 * grain)[..., None]
    lit = smooth(1.6, 0.5, c.y % high) * 0.12
    c.paint(np.ones((FINE, 1)), np.clip(brick + lit[..., None], 0, 1))
    c.paint(smooth(0.75, 0.35, gap), mortar, 0.9)


def hall(
    c: Canvas, rng: Rng, wall: Colour, floor: Colour, cloth: Colour, light: Colour, **o: Any
) -> None:
    """Inside: a masonry wall with windows, banners, shelves or cells, torches and a floor."""
    bricks(
        c,
        rng,
        wall,
        mix(wall, "#0c0810", 0.6),
        o.get("high", 8),
        o.get("wide", 16),
        o.get("rough", 0.35),
    )
    style = o.get("style", "windows")
    for k, x in enumerate((16, 48, 80, 112)):
        if style == "windows" and k % 2 == 0:
            pane(c, rng, x, o.get("glass", ("#8fd3ff", "#ffd777", "#ff8f8f", "#9fe08a")))
        elif style == "banners" and k % 2 == 0:
            banner(c, x, cloth)
        elif style == "cells" and k % 2 == 0:
            cell(c, x, wall)
        elif style == "shelves":
            shelf(c, rng, x, cloth)
        elif style == "pillars":
            column(c, rng, x, 104, 100, 12, mix(wall, "#ffffff", 0.2))
        elif style != "shelves":
            torch(c, rng, x, 52)
    if style in ("shelves", "pillars"):
        for x in (32, 96):
            torch(c, rng, x, 50)
    c.gradient(
        (102, mix(floor, "#ffffff", 0.12)),
        (128, mix(floor, "#08060c", 0.4)),
        mask=smooth(101.7, 102.3, c.y),
    )
    depth = np.maximum(c.y - 96, 1)
    lines = np.abs((np.sqrt(np.maximum(c.y - 102, 0)) * 1.6) % 1 - 0.5)
    c.paint(
        smooth(0.42, 0.5, lines) * smooth(102, 103, c.y) * np.ones((1, FINE)),
        mix(floor, "#08060c", 0.6),
        0.7,
    )
    spokes = np.abs(np.cos(c.dx(64) * 16 / depth * 0.6))
    c.paint(smooth(0.1, 0.03, spokes) * smooth(102, 103, c.y), mix(floor, "#08060c", 0.6), 0.5)
    if o.get("carpet"):
        c.paint(smooth(1, -1, np.abs(c.y - 116) - 6) * np.ones((1, FINE)), o["carpet"])
        for y in (111, 120.5):
            c.rect(0, y, SIZE, y + 0.9, "#f0c860")
    c.rect(0, 99, SIZE, 102, mix(wall, "#0c0810", 0.35))
    vault = 8 + 10 * np.abs(np.sin(c.x * np.pi / 32)) ** 2
    beam = edge(c.y - (20 - vault))
    c.paint(beam, mix(wall, "#0a0810", 0.55))
    c.paint(smooth(1.2, 0.3, np.abs(c.y - (20 - vault))), mix(wall, "#ffffff", 0.25))
    c.add(np.exp(-(((c.y - 56) / 40) ** 2)) * np.ones((1, FINE)), light, 0.12)
    c.scale(1 - 0.25 * smooth(40, 0, c.y))
    embers(c, rng, 10, light, 20, 100)


def pane(c: Canvas, rng: Rng, x: float, glass: list[str]) -> None:
    """Tall arched window of stained glass and the light it sheds."""
    c.glow(x, 50, 36, glass[0], 0.35)
    c.paint(capsule_mask(c, x, 24, 86, 11), "#2a2430")
    opening = capsule_mask(c, x, 26, 84, 9)
    dx = c.dx(x)
    tile = (np.floor((dx + c.y) / 6) + 2 * np.floor((dx - c.y) / 6)).astype(int)
    tones = np.array([rgb(tone) for tone in glass])[tile % len(glass)]
    bright = (1.05 - 0.006 * (c.y - 26))[..., None]
    c.paint(opening, np.clip(tones * bright, 0, 1))
    lead = np.maximum(np.abs((dx + c.y) % 6 - 3), np.abs((dx - c.y) % 6 - 3))
    c.paint(opening * smooth(2.4, 2.8, lead), "#201820", 0.8)
    c.paint(opening * (np.abs(dx) < 0.6), "#2a2430")
    c.paint(opening * (np.abs((c.y - 46) % 19 - 9.5) < 0.6), "#2a2430")


def banner(c: Canvas, x: float, cloth: Colour) -> None:
    """Hanging banner with a swallow tail and an emblem."""
    fold = 0.88 + 0.12 * np.sin(c.dx(x) * 1.1 + 1)
    shape = (
        edge(np.abs(c.dx(x)) - 9) * smooth(25.7, 26.3, c.y) * edge(c.y - 78 - 0.8 * np.abs(c.dx(x)))
    )
    c.paint(shape, np.clip(rgb(cloth) * (fold * np.ones((FINE, 1)))[..., None], 0, 1))
    c.paint(shape * (np.abs(np.abs(c.dx(x)) - 7.6) < 0.6), "#f0c860")
    c.rect(x - 11, 24, x + 11, 26, "#7a5a30")
    c.ellipse(x, 46, 5, colour="#f0c860", ring=1.2)
    c.polygon([(x, 41.5), (x + 3, 46), (x, 50.5), (x - 3, 46)], "#f0c860")


def cell(c: Canvas, x: float, wall: Colour) -> None:
    """Barred opening."""
    c.paint(capsule_mask(c, x, 46, 99, 13), mix(wall, "#ffffff", 0.15))
    opening = capsule_mask(c, x, 49, 99, 10.5)
    c.paint(opening, mix(wall, "#0a0810", 0.75))
    c.paint(opening * (np.abs((c.dx(x) + 2) % 4 - 2) < 0.65), "#8a8a96")
    for y in (62, 80):
        c.paint(opening * (np.abs(c.y - y) < 0.8), "#6e6e7a")


def shelf(c: Canvas, rng: Rng, x: float, wood: Colour) -> None:
    """Book case with books, jars and candles."""
    c.rect(x - 13, 26, x + 13, 100, mix(wood, "#120a08", 0.35))
    books = ("#b5423a", "#3a6fb0", "#4a8f4a", "#d9a83f", "#7b4a9c", "#d8d0b8", "#2f8f8f")
    for row in range(5):
        base = 40 + row * 14.2
        c.rect(x - 12, base - 12, x + 12, base, mix(wood, "#0a0608", 0.65))
        place = x - 11.5
        while place < x + 10:
            wide, tall = rng.uniform(1.4, 2.8), rng.uniform(7, 11)
            colour = books[rng.integers(len(books))]
            if rng.random() < 0.85:
                c.rect(place, base - tall, place + wide, base, colour)
                c.rect(place, base - tall * 0.8, place + wide, base - tall * 0.7, "#f0d890", 0.7)
            place += wide + 0.15
        c.rect(x - 13, base, x + 13, base + 1.8, wood)
