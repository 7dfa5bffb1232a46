"""Levels and dynamics against the reference's traces, step by step."""

from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from kagebench import conformance, layout
from kagebench.build import build
from tests.conformance.golden import CONFIGS, TRACE_FIELDS, TRACE_TOLERANCE, Traces

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module", params=CONFIGS)
def traces(request: pytest.FixtureRequest, shared_dir: Path) -> Traces:
    return Traces(shared_dir, request.param)


def test_every_field_of_every_step(traces: Traces) -> None:
    assert len(traces.policies) >= 3 and len(traces.arrays["ground_top"]) >= 16
    for policy in traces.policies:
        found = traces.differences(policy)
        assert set(found) == set(TRACE_FIELDS)
        too_large = {k: v for k, v in found.items() if not v <= TRACE_TOLERANCE.get(k, 0.0)}
        assert not too_large, f"{policy}: {too_large}"


def test_one_level_equals_the_batch(traces: Traces) -> None:
    ground_top, actions = traces.arrays["ground_top"][:1], traces.arrays["random_action"][:1]
    batch = conformance.trace(traces.config, ground_top, actions[:, :40])
    single = conformance.trace(traces.config, ground_top[0], actions[0, :40])
    assert single["x"].shape == (41,) and single["reward"].shape == (40,)
    for name, value in single.items():
        np.testing.assert_array_equal(value, batch[name][0], name)


@pytest.mark.parametrize("name", CONFIGS)
def test_levels_follow_from_their_draws(name: str, shared_dir: Path) -> None:
    config = Traces(shared_dir, name).config
    spec, params, _ = build([conformance.load(config)], None, stack=False)
    with np.load(shared_dir / "golden" / "layouts.npz") as file:
        u, size = file[f"{name}_u"], file[f"{name}_step_mag"].astype(np.int32)
        expected = file[f"{name}_ground_top"]
    assert len(u) == 64 and u.shape[1] == spec.num_segments
    rule = partial(layout.tops_from_draws, layout=params.layout)
    tops = np.asarray(jax.jit(jax.vmap(rule))(u, size))
    columns = np.arange(expected.shape[1]) // config["layout"]["run_width"]
    np.testing.assert_array_equal(tops[:, columns], expected)
    np.testing.assert_array_equal(
        conformance.segment_tops(expected, config["layout"]["run_width"], spec.num_segments), tops
    )
