"""The dynamics and the shapes once more, in NumPy, by literal loops over pixels and edges.

Slow and direct: a second opinion on the closed forms of `kagebench.layout` and
`kagebench.physics`. float32 wherever the environment has float32.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

f32 = np.float32


def heights(u: Sequence[float], size: Sequence[int], layout: Mapping[str, Any]) -> list[int]:
    """Segment heights in units: the recurrence, one segment after the other."""
    flat = f32(1.0 - layout["p_change"])
    up = f32(1.0 - layout["p_change"] + layout["p_change"] * layout["p_up_given_change"])
    low, high = layout["min_height"], layout["max_height"]
    height, out = (low + high) // 2, []
    for draw, magnitude in zip(u, size, strict=True):
        out.append(height)
        event = 0 if draw < flat else (1 if draw < up else -1)
        height = min(max(height + event * int(magnitude), low), high)
    return out


def solid_mask(tops: np.ndarray, layout: Mapping[str, Any]) -> np.ndarray:
    """bool [height_px, length]: a thin band per column and a wall at every step."""
    length, rows = layout["length"], layout["height_px"]
    ground = [int(tops[column // layout["run_width"]]) for column in range(length)]
    solid = np.zeros((rows, length), bool)
    for column in range(length):
        top = ground[column]
        for row in range(rows):
            band = top <= row < top + layout["ground_thickness"]
            before = ground[column - 1] if column else top
            wall = min(before, top) <= row < max(before, top)
            solid[row, column] = band or wall
    return solid


def to_pixel(value: Any) -> int:
    """Round half to even."""
    return int(np.rint(f32(value)))


@dataclass
class Body:
    """The agent."""

    x: Any
    y: Any
    vx: Any = 0.0
    vy: Any = 0.0
    grounded: bool = False
    coyote: int = 0


class Game:
    """One agent in one level. config: canonical nested dict; tops: int [segments]."""

    def __init__(self, config: Mapping[str, Any], tops: np.ndarray):
        self.config, self.layout, self.physics = config, config["layout"], config["physics"]
        self.solid = solid_mask(tops, self.layout)
        self.half_w = config["character"]["width"] // 2
        self.half_h = config["character"]["height"] // 2
        x, y = self._spawn(tops)
        self.body = Body(x=f32(x), y=f32(y), vx=f32(0), vy=f32(0))
        self.camera = f32(min(max(x - config["W"] // 2, 0), self.layout["length"] - config["W"]))
        self.initial_x = self.x_max = f32(x)
        self.time = 0

    def hits(self, cx: int, cy: int) -> bool:
        """Whether any pixel of the box at (cx, cy) is solid."""
        rows, columns = self.solid.shape
        for row in range(cy - self.half_h, cy + self.half_h + 1):
            for column in range(cx - self.half_w, cx + self.half_w + 1):
                if self.solid[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)]:
                    return True
        return False

    def _spawn(self, tops: np.ndarray) -> tuple[int, int]:
        width = self.config["character"]["width"]
        for i in range(20):
            last = self.layout["length"] - self.half_w - 1
            cx = min(max(64 + i * (width + 4), self.half_w), last)
            cy = int(tops[cx // self.layout["run_width"]]) - self.half_h - 2
            if not self.hits(cx, cy):
                return cx, cy
        return 64, 64

    def _contact(self, cx: int, cy: int) -> bool:
        rows, columns = self.solid.shape
        for d in range(1, self.physics["ground_snap_dist"] + 1):
            row = min(max(cy + self.half_h + d, 0), rows - 1)
            for column in range(cx - self.half_w, cx + self.half_w + 1):
                if self.solid[row, min(max(column, 0), columns - 1)]:
                    return True
        return False

    def step(self, action: int) -> np.float32:
        """Advance and return the reward."""
        p, b = self.physics, self.body
        length, rows = self.layout["length"], self.layout["height_px"]
        old_x = b.x
        cx, cy = to_pixel(b.x), to_pixel(b.y)
        grounded = self._contact(cx, cy) and b.vy >= 0
        b.coyote = 0 if grounded else min(b.coyote + 1, p["coyote_time"] + 1)
        if action & 4 and b.coyote <= p["coyote_time"]:
            b.vy, grounded, b.coyote = f32(p["jump_velocity"]), False, p["coyote_time"] + 1
        b.grounded = grounded
        direction = ((action >> 1) & 1) - (action & 1)
        friction = f32(p["ground_friction"] if grounded else p["air_resistance"])
        accel = f32(p["ground_accel"] if grounded else p["air_accel"])
        limit = f32(p["max_speed_x"])
        b.vx = min(max(b.vx * friction + accel * f32(direction), -limit), limit)
        b.vy = min(max(b.vy + f32(p["gravity"]), f32(-100)), f32(p["terminal_velocity"]))
        x = min(max(f32(b.x + b.vx), f32(self.half_w)), f32(length - 1 - self.half_w))
        y = min(max(f32(b.y + b.vy), f32(self.half_h)), f32(rows - 1 - self.half_h))
        self._collide((cx, cy), (to_pixel(x), to_pixel(y)))
        return self._score(old_x, bool(action & 4))

    def _collide(self, start: tuple[int, int], target: tuple[int, int]) -> None:
        (x0, y0), (x1, y1), b = start, target, self.body
        cx, cy = x1, y1
        while cx != x0 and self.hits(cx, y0):
            cx += 1 if x0 > cx else -1
        while cy != y0 and self.hits(cx, cy):
            cy += 1 if y0 > cy else -1
        b.vx = f32(0) if cx != x1 else b.vx
        b.vy = f32(0) if cy != y1 else b.vy
        b.x, b.y = f32(cx), f32(cy)

    def _score(self, old_x: Any, jumped: bool) -> np.float32:
        c, x, width = self.config, self.body.x, self.config["W"]
        self.time += 1
        screen = x - self.camera
        left, right = c["camera"]["left_margin"], width - c["camera"]["right_margin"]
        if screen < left:
            self.camera = self.camera - (left - screen)
        elif screen > right:
            self.camera = self.camera + (screen - right)
        self.camera = f32(min(max(self.camera, 0), self.layout["length"] - width))
        reward = f32(c["forward_reward_scale"]) * max(f32(0), x - self.x_max)
        reward = reward - f32(c["jump_penalty"] if jumped else 0)
        reward = reward - f32(c["timestep_penalty"])
        reward = reward - f32(c["idle_penalty"] if x == old_x else 0)
        self.x_max = max(self.x_max, x)
        return f32(reward)


def shape_mask(
    name: str, x: np.ndarray, y: np.ndarray, angle: float, radius: float, player: bool
) -> np.ndarray:
    """Pixels inside a shape at offsets x, y from its centre, from its definition."""
    u, v = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
    half = 0.5 * max(1.0, radius / 4)
    axes = (8.0, 12.0) if player else (radius, 0.6 * radius)
    tall = radius if player else 2 * radius
    bar = (abs(v) <= half) & (abs(u) <= radius)
    simple = {
        "circle": x**2 + y**2 <= radius**2,
        "square": (abs(u) <= radius) & (abs(v) <= radius),
        "line": bar,
        "cross": bar | ((abs(u) <= half) & (abs(v) <= radius)),
        "diamond": abs(u) / radius + abs(v) / tall <= 1,
        "ellipse": (u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1,
    }
    if name in simple:
        return simple[name]
    sides = {"triangle": 3, "polygon": 6, "star": 10}[name]
    inside = np.zeros(x.shape, bool)
    reach = [radius * (0.381966 if name == "star" and k % 2 else 1.0) for k in range(sides)]
    theta = [-math.pi / 2 + angle + 2 * math.pi * k / sides for k in range(sides)]
    corner = [(r * math.cos(t), r * math.sin(t)) for r, t in zip(reach, theta, strict=True)]
    for (x1, y1), (x2, y2) in zip(corner, corner[1:] + corner[:1], strict=True):
        crossing = (x2 - x1) * (y - y1) / (y2 - y1) + x1
        inside ^= ((y1 > y) != (y2 > y)) & (x < crossing)
    return inside
