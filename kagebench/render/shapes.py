"""Masks of the nine shapes, tested per pixel at integer offsets from the centre."""

import jax
import jax.numpy as jnp
import numpy as np

from kagebench.params import SHAPES

_POLYGON_SIDES = {"triangle": 3, "polygon": 6, "star": 10}
# Inner radius of a five-pointed star whose edges are straight lines.
_STAR_INNER = float(np.sin(np.pi / 10) / np.sin(3 * np.pi / 10))
_MOST_VERTICES = 10


def mask(
    kinds: tuple[int, ...],
    kind: jax.Array,
    dx: jax.Array,
    dy: jax.Array,
    angle: jax.Array,
    size: jax.Array,
    ellipse: tuple[jax.Array, jax.Array],
    tall_diamond: bool,
    origin: tuple[jax.Array | int, jax.Array | int],
) -> jax.Array:
    """Pixels inside a shape.

    Args:
        kinds: static indices into SHAPES that can occur; others cost nothing.
        kind: int scalar, the shape's index.
        dx: int32 [width], dy: int32 [height], offsets from the centre in px.
        angle: float32 scalar, radians.
        size: float32 scalar, diameter in px.
        ellipse: semi-axes along u and v, px.
        tall_diamond: diamonds are twice as tall as wide (distractors) or regular (the player).
        origin: int32 (x, y) of the centre in the coordinates that polygons are computed in. It
            only rounds their vertices, which decides pixels exactly on an edge.

    Returns:
        bool [height, width].
    """
    x, y = dx.astype(jnp.float32)[None, :], dy.astype(jnp.float32)[:, None]
    radius = size * 0.5
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    u, v = x * cos - y * sin, x * sin + y * cos
    inside = jnp.zeros((dy.shape[0], dx.shape[0]), bool)
    names = {index: SHAPES[index] for index in kinds}
    for index, name in names.items():
        if name in _POLYGON_SIDES:
            continue
        part = _simple(name, x, y, jnp.abs(u), jnp.abs(v), radius, ellipse, tall_diamond)
        inside = inside | (part & (kind == index))
    polygons = {index: name for index, name in names.items() if name in _POLYGON_SIDES}
    if polygons:
        part = _polygon(polygons, kind, (x, y), angle, radius, origin)
        is_polygon = jnp.any(jnp.stack([kind == index for index in polygons]))
        inside = inside | (part & is_polygon)
    return inside


def _simple(
    name: str,
    x: jax.Array,
    y: jax.Array,
    u: jax.Array,
    v: jax.Array,
    radius: jax.Array,
    ellipse: tuple[jax.Array, jax.Array],
    tall_diamond: bool,
) -> jax.Array:
    thickness = 0.5 * jnp.maximum(1.0, radius / 4)
    if name == "circle":
        return x * x + y * y <= radius * radius
    if name == "square":
        return (u <= radius) & (v <= radius)
    if name == "line":
        return (v <= thickness) & (u <= radius)
    if name == "cross":
        return ((v <= thickness) & (u <= radius)) | ((u <= thickness) & (v <= radius))
    if name == "ellipse":
        return (u / ellipse[0]) ** 2 + (v / ellipse[1]) ** 2 <= 1.0
    if tall_diamond:
        return u / radius + v / (2.0 * radius) <= 1.0
    return u + v <= radius


def _vertices(
    polygons: dict[int, str], kind: jax.Array, angle: jax.Array, radius: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Vertex coordinates float32 [10]; polygons with fewer repeat the first, which adds no edge."""
    k = np.arange(_MOST_VERTICES)
    sides = jnp.int32(_MOST_VERTICES)
    for index, name in polygons.items():
        sides = jnp.where(kind == index, _POLYGON_SIDES[name], sides)
    corner = jnp.where(k < sides, k, 0)
    theta = -np.pi / 2 + angle + 2 * np.pi * corner / sides
    inner = (k % 2 == 1) & (sides == _POLYGON_SIDES["star"])
    reach = jnp.where(inner, radius * _STAR_INNER, radius)
    return reach * jnp.cos(theta), reach * jnp.sin(theta)


def _polygon(
    polygons: dict[int, str],
    kind: jax.Array,
    offset: tuple[jax.Array, jax.Array],
    angle: jax.Array,
    radius: jax.Array,
    origin: tuple[jax.Array | int, jax.Array | int],
) -> jax.Array:
    """Even-odd rule with a ray towards +x; an edge counts if exactly one end lies below y."""
    cx, cy = (jnp.asarray(c, jnp.float32) for c in origin)
    x, y = offset[0] + cx, offset[1] + cy
    vx, vy = _vertices(polygons, kind, angle, radius)
    vx, vy = vx + cx, vy + cy
    inside = jnp.zeros((y.shape[0], x.shape[1]), bool)
    for k in range(_MOST_VERTICES):
        x1, y1 = vx[k], vy[k]
        x2, y2 = vx[(k + 1) % _MOST_VERTICES], vy[(k + 1) % _MOST_VERTICES]
        rise = jnp.where(y2 == y1, 1e-12, y2 - y1)
        crossing = (x2 - x1) * (y - y1) / rise + x1
        crossing = jnp.where((y1 > y) != (y2 > y), crossing, -jnp.inf)
        inside = inside ^ (x < crossing)
    return inside
