"""Pictures without a graphics driver: geoms projected onto a plane and filled as 2-D shapes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flax import struct
from PIL import Image, ImageDraw

from envs.mjx.backend import mujoco

BACKGROUND = (246, 247, 250)
GROUND = (214, 219, 226)
PALETTE = (
    (70, 105, 160),
    (206, 113, 63),
    (94, 148, 86),
    (160, 92, 140),
    (196, 160, 60),
    (86, 152, 160),
    (172, 84, 84),
    (120, 120, 128),
)
TARGET = (214, 69, 80)
_SAMPLES = 3  # pixels per pixel and axis, for smooth edges

# Rows: where the axes x, y, z of the world go on the picture (right, up) and towards the viewer.
PROJECTIONS = {
    "side": np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]),
    "top": np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]),
    "oblique": np.array([[0.82, -0.57, 0], [0.24, 0.34, 0.91], [-0.52, -0.75, 0.42]]),
}


@dataclass(frozen=True)
class View:
    """What a picture shows.

    projection: a key of PROJECTIONS. center: of the picture in its plane, m. width, height: m.
    follow: move the center with the first body (x, and y unless seen from the side).
    ground: fill what is below height 0 (for "side").
    """

    projection: str
    center: tuple[float, float] = (0.0, 0.0)
    width: float = 4.0
    height: float = 3.0
    follow: bool = False
    ground: bool = False

    def square(self) -> "View":
        """The least square view around the same center that shows all of this one."""
        side = max(self.width, self.height)
        return replace(self, width=side, height=side)


@struct.dataclass
class Shape:
    """A filled shape in the plane of the picture; arrays of NumPy or JAX.

    points: (n, 2), m. One point is a disc, two are a line, more are a polygon.
    radius: of the disc, or half the width of the line, m.
    depth: towards the viewer, m.
    spans: (3, 2), m, half of each edge of a box around the one point; None for other shapes.
    """

    points: Any
    color: tuple[int, int, int] = struct.field(pytree_node=False)
    radius: float = struct.field(pytree_node=False, default=0.0)
    depth: Any = 0.0
    spans: Any = None


def model_shapes(model: Any, qpos: np.ndarray, view: View) -> list[Shape]:
    """The geoms of a MuJoCo model at joint positions (nq,), far ones first."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    rotations = data.geom_xmat.reshape(-1, 3, 3)
    shapes = geom_shapes(model, data.geom_xpos, rotations, data.xpos, view)
    return sorted(shapes, key=lambda shape: shape.depth)


def geom_shapes(model: Any, positions: Any, rotations: Any, bodies: Any, view: View) -> list[Shape]:
    """The geoms of a MuJoCo model that have a size, in its order.

    A view that follows is centred by shifting the shapes.

    Args:
        model: on the host.
        positions, rotations: of the geoms, (ngeom, 3) in m and (ngeom, 3, 3); NumPy or JAX.
        bodies: positions of the bodies, (nbody, 3), m.
        view: whose plane the shapes are in.
    """
    projection = PROJECTIONS[view.projection]
    offset = projection @ (bodies[1] * np.array([1.0, 1.0, 0.0])) if view.follow else np.zeros(3)
    return [
        _geom(model, geom, projection @ positions[geom] - offset, projection @ rotations[geom])
        for geom in range(model.ngeom)
        if int(model.geom_type[geom]) not in _FLAT
    ]


_FLAT = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))
_LONG = (int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_CYLINDER))
_BOX = int(mujoco.mjtGeom.mjGEOM_BOX)
_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


def _geom(model: Any, geom: int, position: Any, rotation: Any) -> Shape:
    """A geom at a position (3,) with a rotation (3, 3) in the axes of the picture."""
    size, kind = model.geom_size[geom], int(model.geom_type[geom])
    color = PALETTE[model.geom_bodyid[geom] % len(PALETTE)]
    point, depth = position[None, :2], position[2]
    if kind == _BOX:
        return Shape(point, color, depth=depth, spans=(rotation * size).T[:, :2])
    if kind in _LONG:
        ends = point + np.array([[-size[1]], [size[1]]]) * rotation[:2, 2]
        return Shape(ends, color, float(size[0]), depth)
    return Shape(point, color, float(size[0]), depth)


def _hull(points: np.ndarray) -> np.ndarray:
    """Convex hull of points (n, 2), in order (monotone chain)."""
    ordered = sorted({(round(x, 9), round(y, 9)) for x, y in points})

    def half(points: list) -> list:
        chain: list = []
        for p in points:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        return chain[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))


def _turn(a: tuple, b: tuple, c: tuple) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def ground(view: View) -> list[Shape]:
    """What a view with ground shows below height 0, at most one box."""
    below = view.height / 2 - view.center[1]
    if not view.ground or below <= 0:
        return []
    center, half = np.array([[view.center[0], -below / 2]]), (view.width / 2, below / 2, 0.0)
    return [Shape(center, GROUND, spans=np.diag(half)[:, :2])]


def draw(shapes: list[Shape], view: View, width: int = 320) -> np.ndarray:
    """Fill shapes in order; uint8 (width * view.height / view.width, width, 3)."""
    height = round(width * view.height / view.width)
    scale = width / view.width * _SAMPLES
    canvas = Image.new("RGB", (width * _SAMPLES, height * _SAMPLES), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    corner = np.array([view.center[0] - view.width / 2, view.center[1] + view.height / 2])
    for shape in [*ground(view), *shapes]:
        points = np.asarray(shape.points, float)
        if shape.spans is not None:
            points = _hull(points + _SIGNS @ np.asarray(shape.spans, float))
        pixels = (points - corner) * [1, -1] * scale
        _fill(pen, pixels, shape.radius * scale, shape.color)
    return np.asarray(canvas.resize((width, height), Image.Resampling.BOX))


def _fill(pen: Any, pixels: np.ndarray, radius: float, color: tuple[int, int, int]) -> None:
    points = [tuple(p) for p in pixels]
    if len(points) > 2:
        pen.polygon(points, fill=color)
        return
    if len(points) == 2:
        pen.line(points, fill=color, width=max(1, round(2 * radius)))
    for x, y in points:
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
