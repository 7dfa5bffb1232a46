"""The level generator and its closed form of "which rows are solid"."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import layout
from kagebench.build import build
from kagebench.config import load
from kagebench.params import EnvParams, EnvSpec
from tests.kagebench import brute_force

SEGMENTS = 60


def _random_layout(rng: np.random.Generator) -> dict[str, Any]:
    low = int(rng.integers(0, 12))
    small = int(rng.integers(1, 8))
    rows = int(rng.choice([96, 128]))
    return {
        "length": int(rng.integers(130, 180)),
        "height_px": rows,
        "base_ground_y": int(rng.integers(70, rows)),
        "pix_per_unit": int(rng.integers(0, 4)),
        "ground_thickness": int(rng.integers(1, 11)),
        "run_width": int(rng.choice([1, 2, 3, 7, 13, 25])),
        "p_change": float(rng.choice([0.0, 0.3, 0.7, 1.0])),
        "p_up_given_change": float(rng.choice([0.0, 0.5, 0.8, 1.0])),
        "min_step_height": small,
        "max_step_height": small + int(rng.integers(0, 10)),
        "min_height": low,
        "max_height": low + int(rng.integers(0, 25)),
    }


@pytest.fixture(scope="module")
def layouts() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [load({"layout": _random_layout(rng)})["layout"] for _ in range(24)]


@pytest.fixture(scope="module")
def built(layouts: list[dict[str, Any]]) -> tuple[EnvSpec, EnvParams]:
    spec, params, _ = build([load({"layout": given}) for given in layouts], None, stack=True)
    return spec, params


def test_levels_follow_the_recurrence(
    layouts: list[dict[str, Any]], built: tuple[EnvSpec, EnvParams]
) -> None:
    rng = np.random.default_rng(1)
    u = rng.random((len(layouts), SEGMENTS), np.float32)
    size = np.stack(
        [rng.integers(c["min_step_height"], c["max_step_height"] + 1, SEGMENTS) for c in layouts]
    )
    tops = jax.jit(jax.vmap(layout.tops_from_draws))(u, size, built[1].layout)
    assert tops.dtype == jnp.int16
    for i, given in enumerate(layouts):
        height = np.array(brute_force.heights(u[i], size[i], given))
        expected = given["base_ground_y"] - given["pix_per_unit"] * height
        np.testing.assert_array_equal(tops[i], expected, f"{given}")


def test_solid_interval_equals_the_mask(
    layouts: list[dict[str, Any]], built: tuple[EnvSpec, EnvParams]
) -> None:
    """Exactly the rows of [top, bottom) are solid somewhere below any 17 columns."""
    spec, params = built
    tops = _random_tops(layouts, spec)
    half = 8
    centers = jnp.arange(-4, 190, 1)
    at = jax.vmap(layout.solid_rows, (None, 0, None, None, None))
    over = jax.jit(jax.vmap(at, (0, None, None, 0, None)), static_argnums=4)
    segments = 2 * half + 2
    top, bottom = over(tops, centers, half, params.layout, segments)
    for i, given in enumerate(layouts):
        mask = brute_force.solid_mask(tops[i], given)
        for j, center in enumerate(np.asarray(centers)):
            columns = np.clip(np.arange(center - half, center + half + 1), 0, given["length"] - 1)
            rows = np.flatnonzero(mask[:, columns].any(axis=1))
            inside = np.arange(*np.clip((top[i, j], bottom[i, j]), 0, given["height_px"]))
            np.testing.assert_array_equal(rows, inside, f"center {center} in {given}")


def _random_tops(layouts: list[dict[str, Any]], spec: EnvSpec) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.stack(
        [rng.integers(30, c["base_ground_y"], spec.num_segments) for c in layouts]
    ).astype(np.int16)


def test_hits_clamps_rows_to_the_level(built: tuple[EnvSpec, EnvParams]) -> None:
    params = jax.tree.map(lambda leaf: leaf[0], built[1].layout)
    rows = int(params.height_px)
    interval = (jnp.int32(rows - 3), jnp.int32(rows))
    assert layout.hits(interval, jnp.int32(rows + 5), jnp.int32(rows + 9), params)
    assert not layout.hits(interval, jnp.int32(0), jnp.int32(rows - 4), params)
    assert layout.hits(interval, jnp.int32(0), jnp.int32(rows - 3), params)
    above = (jnp.int32(0), jnp.int32(2))
    assert layout.hits(above, jnp.int32(-7), jnp.int32(-5), params)
    assert not layout.hits(above, jnp.int32(2), jnp.int32(9), params)


def test_ground_row_clamps_columns(built: tuple[EnvSpec, EnvParams]) -> None:
    params = jax.tree.map(lambda leaf: leaf[0], built[1].layout)
    tops = jnp.arange(built[0].num_segments, dtype=jnp.int16)
    last = (int(params.length) - 1) // int(params.run_width)
    rows = [int(layout.ground_row(tops, c, params)) for c in (-5, 0, int(params.length) + 50)]
    assert rows == [0, 0, last]


def heights_of(bounds: dict[str, int]) -> np.ndarray:
    """Heights in units, [levels, segments], of the benchmark's generator with other bounds."""
    config = load("simplest")
    config["layout"] |= bounds
    spec, params, _ = build([config], None, stack=False)
    assert spec.num_segments == 82
    tops = _generate(jax.random.split(jax.random.key(0), 4000), params.layout)
    assert tops.dtype == jnp.int16
    return (96 - np.asarray(tops).astype(int)) // 2


@jax.jit
def _generate(keys: jax.Array, params: Any) -> jax.Array:
    return jax.vmap(lambda key: layout.generate(key, params, 82))(keys)


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return heights_of({})


def test_generated_levels_are_in_range(drawn: np.ndarray) -> None:
    assert (drawn[:, 0] == 10).all()
    assert drawn.min() == 0 and drawn.max() == 20


def test_generated_events_have_their_probabilities(drawn: np.ndarray) -> None:
    """Changes that the bounds cannot clip tell the events apart; from 10 every step is visible."""
    change = drawn[:, 1]
    n = len(change)
    for event, p in ((0, 0.3), (1, 0.35), (-1, 0.35)):
        share = (np.sign(change - 10) == event).mean()
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n), (event, share)


def test_generated_steps_have_equally_likely_sizes() -> None:
    """Where no bound cuts them off: 5 to 17 units, for every segment."""
    step = np.abs(np.diff(heights_of({"max_height": 4000}), axis=1))
    sizes, counts = np.unique(step[step > 0], return_counts=True)
    assert sizes.tolist() == list(range(5, 18))
    expected = counts.sum() / 13
    assert ((counts - expected) ** 2 / expected).sum() < 32.9  # 12 degrees, p = 0.001


def test_generated_segments_are_independent_of_each_other(drawn: np.ndarray) -> None:
    """From the middle, up and down are equally likely whatever happened before."""
    middle = (drawn[:, 1:-1] == 10) & (drawn[:, 2:] != 10)
    up = drawn[:, 2:][middle] > 10
    assert abs(up.mean() - 0.5) < 4 * 0.5 / np.sqrt(up.size)
    assert len(np.unique(drawn, axis=0)) == len(drawn)
