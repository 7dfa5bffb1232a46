"""Drawing on the device: areas, exact cases, order, and the same bytes in every program."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from envs.mjx.picture import Shape, View
from envs.pixels.raster import UNITS, Part, coverage, part_of, quantise, rasterise

SIZE = 24
FINE = 16  # samples per pixel and axis
WHITE = np.full((SIZE, SIZE, 3), 255, np.uint8)
RED, BLUE, GREEN = (200, 10, 20), (10, 30, 220), (0, 255, 0)

_middle = (np.arange(SIZE * FINE) + 0.5) / FINE
SAMPLES = np.stack(np.meshgrid(_middle, _middle), -1)  # x, y, pixels


def share_of(inside: np.ndarray) -> np.ndarray:
    """Share of the samples of each pixel that are inside."""
    return inside.reshape(SIZE, FINE, SIZE, FINE).mean((1, 3))


def rod_inside(start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    along = end - start
    t = np.clip((SAMPLES - start) @ along / max(along @ along, 1e-9), 0, 1)
    return np.linalg.norm(SAMPLES - start - t[..., None] * along, axis=-1) <= radius


def box_inside(center: np.ndarray, spans: np.ndarray) -> np.ndarray:
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(-1, 3)
    sides = ConvexHull(center + signs @ spans).equations
    return (SAMPLES @ sides[:, :2].T + sides[:, 2] <= 0).all(-1)


# Batches of shapes alike in kind, so that there is one program for each kind.
draw_rods = jax.jit(jax.vmap(partial(coverage, size=SIZE)))
draw_boxes = jax.jit(jax.vmap(lambda rows: coverage(rows, 1, SIZE)))


def test_rods_and_discs_cover_their_area() -> None:
    rng = np.random.default_rng(0)
    ends = rng.uniform(2, SIZE - 2, (40, 2, 2))
    ends[:10, 1] = ends[:10, 0]  # discs
    radius = rng.uniform(0.6, 4.0, 40)
    rows, radii = np.round(ends * UNITS).astype(np.int32), np.round(radius * UNITS).astype(np.int32)
    drawn = np.asarray(draw_rods(rows, radii)) / UNITS
    expected = [share_of(rod_inside(*pair / UNITS, r / UNITS)) for pair, r in zip(rows, radii)]
    error = np.abs(drawn - np.stack(expected))
    assert error.max() < 0.12 and error.mean() < 0.004
    np.testing.assert_allclose(drawn.sum((1, 2)), np.sum(expected, (1, 2)), rtol=0.05)


def test_thin_rods_are_as_wide_as_they_are() -> None:
    start, end = np.array([4.0, 5.0]), np.array([20.0, 15.0])
    radii = np.array([0.05, 0.15, 0.3, 0.45])
    rows = np.broadcast_to(np.round(np.stack([start, end]) * UNITS).astype(np.int32), (4, 2, 2))
    drawn = np.asarray(draw_rods(rows, np.round(radii * UNITS).astype(np.int32))) / UNITS
    area = 2 * np.round(radii * UNITS) / UNITS * np.linalg.norm(end - start)
    np.testing.assert_allclose(drawn.sum((1, 2)), area, rtol=0.08)


def test_boxes_cover_their_area() -> None:
    rng = np.random.default_rng(1)
    turns = Rotation.random(30, np.random.default_rng(2)).as_matrix()
    turns[:10] = Rotation.from_rotvec(rng.uniform(-3, 3, (10, 1)) * [0, 0, 1]).as_matrix()
    sizes = rng.uniform(1.0, 4.0, (30, 3))
    spans = np.moveaxis(turns * sizes[:, None], 1, 2)[:, :, :2]  # rows: half edges, seen from +z
    center = rng.uniform(8, SIZE - 8, (30, 1, 2))
    rows = np.round(np.concatenate([center, spans], 1) * UNITS).astype(np.int32)
    drawn = np.asarray(draw_boxes(rows)) / UNITS
    expected = [share_of(box_inside(box[0] / UNITS, box[1:] / UNITS)) for box in rows]
    error = np.abs(drawn - np.stack(expected))
    assert error.max() < 0.3 and error.mean() < 0.004
    # Corners of more than 90 degrees lose some of their area, right ones do not.
    areas, wanted = drawn.sum((1, 2)), np.sum(expected, (1, 2))
    np.testing.assert_allclose(areas[:10], wanted[:10], rtol=0.02)
    np.testing.assert_allclose(areas, wanted, rtol=0.12)


# --- Exact cases ---------------------------------------------------------------------------------

VIEW = View("top", width=float(SIZE), height=float(SIZE))  # a metre is a pixel


def box(x: float, y: float, a: float, b: float, color: Any = RED) -> Shape:
    """An upright box of half sizes a, b at x, y in m from the lower left corner."""
    point = np.array([[x, y]]) - SIZE / 2
    return Shape(point, color, spans=np.diag([a, b, 0.0])[:, :2])


def image(shapes: list[Shape], background: np.ndarray = WHITE) -> np.ndarray:
    parts = [part_of(shape, VIEW, SIZE) for shape in shapes]
    return np.asarray(rasterise(quantise(shapes, VIEW, SIZE), parts, background))


def test_an_edge_through_the_middle_of_a_pixel_covers_half_of_it() -> None:
    got = image([box(6.5, 10.0, 4.0, 2.0, (55, 155, 255))])  # x in [2.5, 10.5], y in [8, 12]
    expected = WHITE.copy()
    rows = slice(SIZE - 12, SIZE - 8)
    expected[rows, 3:10] = (55, 155, 255)
    expected[rows, [2, 10]] = (155, 205, 255)
    np.testing.assert_array_equal(got, expected)
    quarter = image([box(6.25, 10.0, 4.0, 2.0, (55, 155, 255))])
    assert quarter[12, 2].tolist() == [105, 180, 255] and quarter[12, 10].tolist() == [
        205,
        230,
        255,
    ]


def test_a_centred_disc_is_symmetric() -> None:
    got = image([Shape(np.zeros((1, 2)), RED, 5.3)])
    for other in (got[::-1], got[:, ::-1], np.swapaxes(got, 0, 1)):
        np.testing.assert_array_equal(got, other)
    assert got[12, 12].tolist() == [*RED] and got[0, 0].tolist() == [255] * 3
    # A rod of no length, also one that points at the viewer, is a disc.
    np.testing.assert_array_equal(got, image([Shape(np.zeros((2, 2)), RED, 5.3)]))


def test_later_shapes_are_above_earlier_ones() -> None:
    below, above = box(10, 10, 6, 3, RED), Shape(np.array([[-2.0, -2.0]]), BLUE, 2.0)
    rod = Shape(np.array([[-9.0, 0.0], [9.0, 0.0]]), GREEN, 1.0)
    got = image([below, above, rod])
    assert got[SIZE - 10, 10].tolist() == [*BLUE] and got[SIZE - 10, 6].tolist() == [*RED]
    assert got[12, 10].tolist() == [*GREEN] and got[SIZE - 8, 15].tolist() == [*RED]
    assert image([rod, above, below])[12, 10].tolist() == [*RED]
    # Smooth edges let through what is below, not the background.
    edge = image([box(10, 10, 6, 3, (55, 155, 255)), box(8.5, 10, 2, 2, (255, 55, 55))])
    assert edge[SIZE - 10, 10].tolist() == [155, 105, 155]


def test_many_shapes_are_drawn_as_in_turns() -> None:
    rng = np.random.default_rng(3)
    shapes = [
        Shape(rng.uniform(-12, 12, (1 + i % 2, 2)), tuple(rng.integers(256, size=3).tolist()), 1.5)
        for i in range(9)
    ]
    expected = WHITE
    for shape in shapes:
        expected = image([shape], expected)
    np.testing.assert_array_equal(image(shapes), expected)


def test_a_shift_by_whole_pixels_shifts_the_image() -> None:
    shapes = [
        Shape(np.array([[-3.3, 1.7]]), RED, 2.2),
        Shape(np.array([[-4.1, -2.3], [1.9, 0.4]]), BLUE, 0.8),
        Shape(np.array([[1.1, 2.2]]), GREEN, spans=np.array([[1.3, 0.9], [-0.7, 1.5], [0.4, 0.2]])),
    ]
    moved = [shape.replace(points=shape.points + np.array([4.0, -3.0])) for shape in shapes]
    before, after = image(shapes), image(moved)
    assert (before != 255).any()
    np.testing.assert_array_equal(np.roll(before, (3, 4), (0, 1)), after)


def test_what_is_outside_is_not_seen() -> None:
    far = [Shape(np.full((1, 2), 1e6), RED, 3.0), box(-400, 12, 100, 5)]
    far.append(Shape(np.array([[14.0, -1e5], [14.0, 1e5]]), RED, 1.0))
    np.testing.assert_array_equal(image(far), WHITE)
    half = image([box(12, 12, 400, 3)])
    assert (half[10:14] == RED).all() and (half[:9] == 255).all()


def test_polygons_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape: got 3 points, allowed: 1 \(disc\), 2 \(rod\)"):
        part_of(Shape(np.zeros((3, 2)), RED), VIEW, SIZE)


def test_every_program_draws_the_same_bytes() -> None:
    parts = [Part(RED, 90, 1), Part(BLUE, 70, 2), Part(GREEN, 40, 2), Part(RED, 30, 2)]
    parts += [Part(BLUE, 1, 4), Part(GREEN, 55, 1)]
    count = sum(part.rows for part in parts)
    rng = np.random.default_rng(4)
    coordinates = rng.integers(-2 * UNITS, (SIZE + 2) * UNITS, (12, count, 2)).astype(np.int16)
    draw = partial(rasterise, parts=parts, background=WHITE)
    expected = np.asarray(jax.jit(jax.vmap(draw))(coordinates))
    quick: Any = {"xla_backend_optimization_level": 0}
    one_by_one = jax.jit(lambda rows: jax.lax.map(draw, rows), compiler_options=quick)
    np.testing.assert_array_equal(one_by_one(coordinates), expected)
    np.testing.assert_array_equal(draw(jnp.asarray(coordinates[5])), expected[5])
    assert len(np.unique(expected)) > 50
