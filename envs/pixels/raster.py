"""Pictures on the device: discs, rods and boxes, drawn in whole numbers.

A drawing is split in two. `quantise` turns shapes (metres, float32) into whole numbers of 1/64 of a
pixel, `rasterise` turns these into an image by integer arithmetic alone (a square root aside, which
is a single rounding). Floats do not have that property: a compiler may fuse a product and a sum,
and does it in one program and not in another, so that a pixel of 127 becomes 128. Here one set of
numbers is one image in every program: under jit, vmap and without, in a rollout and in the update
that draws the stored scene again.

An edge is smoothed by the share of the pixel that is covered, in steps of 1/64, as it follows from
the distance between the edge and the middle of the pixel; for upright boxes this is exact.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envs.mjx.picture import Shape, View

_LEVEL_BITS = 6
UNITS = 1 << _LEVEL_BITS  # of a pixel, and levels of coverage
_SHIFT = 14  # bits of the fraction of unit vectors
_REACH = 16_000  # units; what is farther outside than this (250 pixels) is moved there
_UNROLLED = 3  # shapes


class Part(NamedTuple):
    """What is known of a shape before it is drawn.

    color: red, green, blue. radius: units. rows: of the coordinates: 1 for a disc (its centre), 2
    for a rod (its ends), 4 for a box (its centre and half of each edge).
    """

    color: tuple[int, int, int]
    radius: int
    rows: int


def part_of(shape: Shape, view: View, size: int) -> Part:
    """The constant side of a shape in an image of `size` pixels.

    Raises:
        ValueError: it is a polygon, which has no coordinates here.
    """
    rows = len(shape.points) if shape.spans is None else 4
    if rows not in (1, 2) and shape.spans is None:
        raise ValueError(f"shape: got {rows} points, allowed: 1 (disc), 2 (rod) or a box")
    radius = round(shape.radius * _scale(view, size))
    return Part(shape.color, min(max(radius, 1), _REACH), rows)


def quantise(shapes: Sequence[Shape], view: View, size: int) -> jax.Array:
    """Coordinates of shapes, int16 (rows, 2), in units from the upper left corner, right and down.

    Args:
        shapes: with arrays in m; `Part.rows` says how many rows each has.
        view: what the image shows; its width is `size` pixels and so is its height.
        size: pixels.
    """
    scale = _scale(view, size) * jnp.array([1.0, -1.0])
    corner = jnp.array([view.center[0] - view.width / 2, view.center[1] + view.width / 2])
    rows = []
    for shape in shapes:
        rows.append((jnp.asarray(shape.points) - corner) * scale)
        if shape.spans is not None:
            rows.append(jnp.asarray(shape.spans) * scale)
    units = jnp.clip(jnp.round(jnp.concatenate(rows)), -_REACH, _REACH)
    return units.astype(jnp.int16)


def rasterise(coordinates: jax.Array, parts: Sequence[Part], background: Any) -> jax.Array:
    """Draw shapes over a background, the first one first.

    Args:
        coordinates: int16 (rows, 2), see `quantise`.
        parts: the shapes that the rows belong to.
        background: uint8 (size, size, 3).

    Returns:
        uint8 (size, size, 3).
    """
    image = jnp.asarray(background, jnp.uint8)
    coordinates = coordinates.astype(jnp.int32)
    ends = itertools.accumulate(part.rows for part in parts)
    drawn = [(part, _rows(coordinates, end, part)) for part, end in zip(parts, ends, strict=True)]
    for _, run in itertools.groupby(drawn, key=lambda shape: len(shape[1])):
        kinds, rows = zip(*run, strict=True)
        radii = jnp.array([part.radius for part in kinds])
        colors = jnp.array([part.color for part in kinds])
        shapes = (jnp.stack(rows), radii, colors)
        # One program for all shapes of a run: unrolled, many are slow to compile and to run.
        image, _ = jax.lax.scan(_draw, image, shapes, unroll=len(rows) <= _UNROLLED)
    return image


def _rows(coordinates: jax.Array, end: int, part: Part) -> jax.Array:
    """The coordinates of a part whose rows end there; a disc is a rod without length."""
    rows = coordinates[end - part.rows : end]
    return jnp.concatenate([rows, rows]) if part.rows == 1 else rows


def _draw(image: jax.Array, shape: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
    """A shape (coordinates, radius, colour) over an image."""
    rows, radius, color = shape
    share = coverage(rows, radius, len(image))[..., None]
    old = image.astype(jnp.int32)
    new = old + (((color - old) * share + UNITS // 2) >> _LEVEL_BITS)
    return new.astype(jnp.uint8), None


def coverage(rows: jax.Array, radius: Any, size: int) -> jax.Array:
    """Covered share of each pixel in 1/64, int32 (size, size).

    Args:
        rows: int32 (2, 2), ends of a rod (equal for a disc), or (4, 2), a box as in `Part`.
        radius: units.
        size: pixels.
    """
    center = jnp.arange(size) * UNITS + UNITS // 2
    x, y = (center - rows[0, 0])[None, :], (center - rows[0, 1])[:, None]
    if len(rows) == 4:
        return _box(x, y, rows[1:])
    # Otherwise the compiler computes the direction again for every pixel.
    along, length = jax.lax.optimization_barrier(_unit(rows[1] - rows[0]))
    u = _dot(x, y, along)
    over = jnp.maximum(jnp.maximum(-u, u - length), 0)
    return _round(over, _dot(x, y, _normal(along)), radius)


# --- Distances -----------------------------------------------------------------------------------


def _round(u: jax.Array, v: jax.Array, radius: int) -> jax.Array:
    """Share covered by what is nearer than `radius` to the point at (-u, -v)."""
    far = radius + UNITS  # nothing is covered there; keeps the squares small
    u, v = (jnp.minimum(jnp.abs(d), far) for d in (u, v))
    distance = jnp.round(jnp.sqrt((u * u + v * v).astype(jnp.float32)))
    return _share(distance.astype(jnp.int32), radius)


def _box(x: jax.Array, y: jax.Array, spans: jax.Array) -> jax.Array:
    """Share covered by the projection of a box, which lies between three pairs of parallels."""
    along, length = jax.vmap(_unit)(spans)
    normals = jnp.stack(_normal(along.T), axis=1)
    halves = jnp.abs(jax.vmap(_dot, (None, None, 0))(spans[:, 0], spans[:, 1], normals)).sum(1)
    # Otherwise the compiler computes them again for every pixel.
    normals, halves, length = jax.lax.optimization_barrier((normals, halves, length))
    share = jnp.int32(UNITS)
    for normal, half, long in zip(normals, halves, length, strict=True):
        slab = _share(jnp.abs(_dot(x, y, normal)), half)
        # An edge that points to the viewer bounds nothing.
        share = (share * jnp.where(long > 0, slab, UNITS) + UNITS // 2) >> _LEVEL_BITS
    return share


def _share(distance: jax.Array, half: Any) -> jax.Array:
    """Share of a pixel, at this distance from its middle, covered by a strip of this half width."""
    return jnp.clip(half + UNITS // 2 - distance, 0, jnp.minimum(UNITS, 2 * half))


def _unit(vector: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Direction, int32 (2,) in 1 / 2**_SHIFT, and length of a vector (2,) in units.

    The direction of nothing is to the right.
    """
    square = (vector * vector).sum().astype(jnp.float32)
    # 8 more bits, and whole numbers again before the next operation, so that no two are fused.
    fine = jnp.round(jnp.sqrt(square) * 256.0).astype(jnp.int32)
    scaled = vector.astype(jnp.float32) * float(256 << _SHIFT)
    unit = jnp.round(scaled / jnp.maximum(fine, 1).astype(jnp.float32)).astype(jnp.int32)
    unit = jnp.where(fine > 0, unit, jnp.array([1 << _SHIFT, 0]))
    return unit, (fine + 128) >> 8


def _normal(unit: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -unit[1], unit[0]


def _dot(x: jax.Array, y: jax.Array, unit: Any) -> jax.Array:
    """x, y in the direction of a unit vector, in units."""
    half = 1 << (_SHIFT - 1)
    return (x * unit[0] + (y * unit[1] + half)) >> _SHIFT


def _scale(view: View, size: int) -> float:
    """Units per metre."""
    return size * UNITS / view.width
