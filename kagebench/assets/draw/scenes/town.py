"""Towns: skylines, streets and canals."""

from typing import Any

import numpy as np

from kagebench.assets.draw.canvas import FINE, SIZE, Canvas, Colour, mix, smooth
from kagebench.assets.draw.elements import (
    Rng,
    clouds,
    ground,
    hill,
    mirror,
    moon,
    stars,
    sun,
    tree,
    veil,
)


def city(
    c: Canvas, rng: Rng, sky: list[str], far: Colour, near: Colour, lights: list[str], **o: Any
) -> None:
    """Skyline in depth with lit windows, roofs, signs, and optionally a river or rain."""
    c.gradient(*zip(np.linspace(0, 96, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 100, 70)
    body = o.get("body", "moon")
    if body == "moon":
        moon(c, rng, o.get("x", 94), 24, 9, o.get("light", "#fdf3d0"))
    else:
        sun(c, o.get("x", 64), o.get("y", 60), o.get("radius", 14), o.get("light", "#ffd28a"), 4)
    if o.get("clouds"):
        clouds(
            c, rng, o["clouds"], 14, 48, mix(sky[-1], "#ffffff", 0.6), mix(sky[0], sky[-1], 0.5), 28
        )
    veil(c, rng, sky[-1], 0.4, 40, 16)
    for i in range(3):
        t = i / 2
        tone = mix(far, near, t)
        skyline(
            c,
            rng,
            112 + 6 * i,
            (44, 60, 40)[i] * o.get("tall", 1.0),
            tone,
            lights,
            (0.35, 0.45, 0.5)[i] * o.get("lit", 1.0),
            1.6 + 0.6 * i,
            o.get("signs") if i else None,
        )
        if i < 2:
            c.add(smooth(50, 118, c.y) * np.ones((1, FINE)), sky[-1], o.get("haze", 0.22))
    if o.get("river"):
        mirror(c, 108, o["river"], 0.3, rng)
    else:
        c.gradient(
            (116, mix(near, "#101018", 0.3)),
            (128, mix(near, "#08080c", 0.5)),
            mask=smooth(116, 117, c.y),
        )
        for x in np.arange(4.0, SIZE, 16):
            c.rect(x, 121, x + 8, 122.2, mix(lights[0], "#ffffff", 0.4))
        for x in np.arange(8.0, SIZE, 32):
            c.rect(x, 98, x + 0.9, 117, mix(near, "#050508", 0.4))
            c.rect(x - 3, 97.5, x + 1, 98.4, mix(near, "#050508", 0.4))
            c.glow(x - 2.6, 99, 11, lights[0], 0.8)
    for _ in range(o.get("rain", 0)):
        x, y = rng.uniform(0, SIZE), rng.uniform(-4, SIZE)
        c.line(x, y, x - 1.6, y + 6, "#cfe4ff", 0.3, alpha=0.5)


def skyline(
    c: Canvas,
    rng: Rng,
    base: float,
    tall: float,
    tone: Colour,
    lights: list[str],
    lit: float,
    pane: float,
    signs: list[str] | None,
) -> None:
    """One row of buildings across the whole width."""
    x = rng.uniform(0, 8)
    last = x + SIZE - 3
    while x < last:
        width = min(rng.uniform(7, 16), last + 3 - x)
        top = base - tall * rng.uniform(0.45, 1.25) - 8
        body = mix(tone, "#ffffff" if rng.random() < 0.5 else "#0a0a18", rng.uniform(0, 0.13))
        building(c, rng, x, top, width, base + 14, body, lights, lit, pane)
        if signs and rng.random() < 0.5:
            colour = signs[rng.integers(len(signs))]
            left, y = x + 0.2 * width, top + rng.uniform(6, 20)
            c.glow(left + 1.5, y + 5, 12, colour, 0.7)
            c.rect(left, y, left + 3, y + 10, colour, corner=0.7)
            for k in range(3):
                c.rect(left + 0.8, y + 1.3 + 2.8 * k, left + 2.2, y + 3 + 2.8 * k, "#ffffff", 0.85)
        x += width + rng.uniform(-1, 1.4)


def building(
    c: Canvas,
    rng: Rng,
    x: float,
    top: float,
    width: float,
    base: float,
    body: Colour,
    lights: list[str],
    lit: float,
    pane: float,
) -> None:
    """House block with a roof shape, a shaded side and a grid of windows."""
    roof = rng.integers(5)
    shade = mix(body, "#06060f", 0.35)
    middle = x + width / 2
    if roof == 1:
        c.line(middle, top, middle, top - 11, shade, 0.8, 0.4)
        c.rect(x + width * 0.25, top - 3, x + width * 0.75, top, body)
        c.glow(middle, top - 11, 4, "#ff5548", 0.9)
    elif roof == 2:
        c.polygon([(x, top), (middle, top - width * 0.7), (x + width, top)], shade)
    elif roof == 3:
        for k in range(1, 4):
            c.rect(x + k * width * 0.12, top - 3 * k, x + width - k * width * 0.12, top + 1, body)
    elif roof == 4:
        c.ellipse(middle, top, width / 2, width * 0.4, mix(body, "#ffffff", 0.12))
    c.rect(x, top, x + width, base, body)
    c.rect(x + width * 0.78, top, x + width, base, shade)
    step = pane * 1.85
    for y in np.arange(top + 2, base, step * 1.2):
        for left in np.arange(x + 1, x + width - pane - 0.4, step):
            on = rng.random() < lit
            colour = lights[rng.integers(len(lights))] if on else mix(body, "#0a1224", 0.35)
            c.rect(left, y, left + pane, y + pane * 1.25, colour, 1.0 if on else 0.7)


def street(
    c: Canvas, rng: Rng, sky: list[str], walls: list[str], roofs: list[str], road: Colour, **o: Any
) -> None:
    """Row of timbered or plastered houses with shop fronts, signs, trees and lamps."""
    c.gradient(*zip(np.linspace(0, 70, len(sky)), sky, strict=True))
    if o.get("stars"):
        stars(c, rng, 80, 60)
        moon(c, rng, 100, 18, 6, "#fdf3d0")
    clouds(c, rng, 5, 10, 34, mix(sky[-1], "#ffffff", 0.6), mix(sky[0], sky[-1], 0.4), 26)
    for k in range(14):
        tone = mix(sky[-1], roofs[k % len(roofs)], 0.3)
        x, y = k * 9.2, 52 + rng.uniform(-8, 6)
        c.rect(x, y, x + 9, 100, mix(tone, sky[-1], 0.25))
        c.polygon([(x - 1, y), (x + 4.5, y - rng.uniform(6, 16)), (x + 10, y)], tone)
    width = SIZE / 5
    for k in range(5):
        house(c, rng, k * width, width, walls[k % len(walls)], roofs[k % len(roofs)], **o)
    c.rect(0, 106, SIZE, 109, mix(road, "#ffffff", 0.25))
    c.gradient((109, road), (128, mix(road, "#101018", 0.4)), mask=smooth(108.8, 109.2, c.y))
    for row in range(5):
        y = 110 + row * (2 + row * 0.8)
        for k in range(16):
            x = (k + 0.5 * (row % 2)) * 8 + rng.uniform(-0.4, 0.4)
            tone = mix(road, "#ffffff" if rng.random() < 0.5 else "#1a1420", rng.uniform(0.05, 0.2))
            c.rect(x, y, x + 7.2, y + 2 + row * 0.8, tone, 0.8, corner=0.9)
    for x in (26, 77, 122):
        if o.get("lamps"):
            c.rect(x - 0.5, 84, x + 0.5, 109, "#23232c")
            c.rect(x - 1.6, 79, x + 1.6, 84, "#ffe39a")
            c.polygon([(x - 2.4, 79), (x, 76), (x + 2.4, 79)], "#23232c")
            c.glow(x, 82, 22, "#ffc860", o["lamps"])
        else:
            tree(c, rng, x, 109, 24, o.get("leaf", "#4f9a3f"), "#5f4028")


def house(
    c: Canvas, rng: Rng, x: float, width: float, wall: Colour, roof: Colour, **o: Any
) -> None:
    """Three-storey front with a gable, windows, a door and an awning."""
    top = 44 + rng.uniform(-8, 10)
    ridge = top - rng.uniform(12, 20)
    c.rect(x, top, x + width, 108, wall)
    c.polygon([(x - 1, top + 1), (x + width / 2, ridge), (x + width + 1, top + 1)], roof)
    for k in range(4):
        y = top - 1 - k * (top - ridge) / 5
        half = (width / 2) * (1 - (top - y) / (top - ridge))
        c.rect(x + width / 2 - half, y, x + width / 2 + half, y + 0.7, mix(roof, "#14080c", 0.4))
    c.rect(x + width * 0.72, ridge - 1, x + width * 0.84, top - 4, mix(roof, "#28181c", 0.5))
    if o.get("timber"):
        beam = o["timber"]
        for y in (top, 66, 86):
            c.rect(x, y, x + width, y + 1.3, beam)
        for k in (0, 0.5, 1):
            c.rect(x + k * (width - 1.2), top, x + k * (width - 1.2) + 1.2, 106, beam)
        c.line(x, 86, x + width / 2, 67, beam, 1.0)
        c.line(x + width, 86, x + width / 2, 67, beam, 1.0)
    for y in np.arange(top + 5, 84, 14):
        for left in (x + 4, x + width - 9.5):
            lit = rng.random() < o.get("lit", 0.0)
            c.rect(left - 0.7, y - 0.7, left + 6.2, y + 8.2, mix(wall, "#ffffff", 0.5))
            c.rect(left, y, left + 5.5, y + 7.5, "#ffd777" if lit else mix(wall, "#23405a", 0.75))
            c.rect(left + 2.5, y, left + 3, y + 7.5, mix(wall, "#ffffff", 0.4))
            c.rect(left - 1, y + 8, left + 6.5, y + 9.4, roof)
    c.rect(x + width / 2 - 3, 93, x + width / 2 + 3, 108, mix(roof, "#180c10", 0.45), corner=2.5)
    for k in range(8):
        left = x + 1 + k * (width - 2) / 8
        tone = roof if k % 2 else "#f7efe2"
        c.polygon(
            [
                (left, 87.5),
                (left + (width - 2) / 8, 87.5),
                (left + (width - 2) / 8, 92),
                (left, 92),
            ],
            tone,
        )


def harbour(
    c: Canvas, rng: Rng, sky: list[str], walls: list[str], roofs: list[str], water: Colour, **o: Any
) -> None:
    """Town houses along a canal, mirrored in the water, with boats."""
    c.gradient(*zip(np.linspace(0, 70, len(sky)), sky, strict=True))
    sun(c, 92, 30, 7, o.get("light", "#fff3c0"), 6)
    clouds(c, rng, 6, 14, 44, mix(sky[-1], "#ffffff", 0.6), mix(sky[0], sky[-1], 0.4), 26)
    tone = mix(sky[-1], roofs[0], 0.35)
    ground(c, rng, hill(rng, 70, 18, 3, 4), tone, mix(tone, sky[-1], 0.4), 20)
    x = 0.0
    for i in range(9):
        width = SIZE / 9
        wall, roof = walls[i % len(walls)], roofs[(i * 2) % len(roofs)]
        top = 54 + rng.uniform(-9, 9)
        c.rect(x, top, x + width, 88, wall)
        c.rect(x + width * 0.75, top, x + width, 88, mix(wall, "#1a1830", 0.25))
        c.polygon(
            [
                (x - 1, top + 0.3),
                (x + width / 2, top - rng.uniform(7, 12)),
                (x + width + 1, top + 0.3),
            ],
            roof,
        )
        for row in range(int((80 - top) / 8)):
            for k in range(3):
                lit = o.get("night") and rng.random() < 0.6
                pane = "#ffd777" if lit else mix(wall, "#23405a", 0.65)
                left = x + 1.8 + k * 4.1
                c.rect(left, top + 4 + 8 * row, left + 2.4, top + 8 + 8 * row, pane)
                c.rect(
                    left - 0.5,
                    top + 8 + 8 * row,
                    left + 2.9,
                    top + 8.8 + 8 * row,
                    mix(wall, "#ffffff", 0.5),
                )
        c.rect(
            x + width / 2 - 1.6, 81, x + width / 2 + 1.6, 88, mix(roof, "#1a1018", 0.5), corner=0.8
        )
        x += width
    c.rect(0, 88, SIZE, 92, "#8d8578")
    for x in np.arange(2.0, SIZE, 8):
        c.rect(x, 88, x + 0.6, 92, "#6c6459")
    mirror(c, 92, water, 0.35, rng)
    for x, y in ((26, 106), (84, 116)):
        c.polygon(
            [(x - 12, y - 5), (x + 12, y - 5), (x + 8, y), (x - 8, y)],
            mix(roofs[1], "#20140c", 0.3),
        )
        c.rect(x - 12, y - 5.5, x + 12, y - 4, "#f1e4c4")
        c.rect(x - 0.4, y - 24, x + 0.4, y - 5, "#3f2a1a")
        c.polygon([(x + 1, y - 23), (x + 1, y - 8), (x + 10, y - 8)], "#f6efdf")
        c.polygon([(x - 1, y - 21), (x - 1, y - 8), (x - 7, y - 8)], roofs[0])
