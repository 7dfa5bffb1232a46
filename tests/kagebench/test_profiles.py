"""Response curves: axes, statistics against values computed by hand, evaluation."""

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import config as configs
from kagebench import profile_axes, profile_sweep, profiles
from kagebench.evaluate import METRICS
from kagebench.profile_axes import AXES, INTERACTING, configure, find, neutral_value
from kagebench.profile_sweep import Subject, Sweep
from kagebench.schema import flatten

STEPS, GOAL = 30, 20
SMALL = {"base": "base-a", "episode_length": STEPS, "dist_to_success": float(GOAL)}
BASE_A = configs.load("base-a")
VISUAL = ("filters.", "effects.", "distractors.", "npc.", "camera.")


# --- Axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("filters.hue_shift", "-180:180:5", (-180, -90, 0, 90, 180)),
        ("filters.brightness", "0.5,-0.5,0.5", (-0.5, 0.5)),
        ("filters.brightness", "0:0.3:4", (0, 0.1, 0.2, 0.3)),
        ("filters.pixelate_factor", "1:4:7", (1, 2, 3, 4)),
        ("filters.poisson_noise_scale", "0.01,0,1", (0, 1, 0.01)),  # as drawn: by noise
        ("npc.max_npc_count", "0,5", (0, 5)),
        ("effects.point_light_count", "0:5:3", (0, 2, 5)),  # 0 is no light
        ("physics.move_speed", "1,2", (1, 2)),
    ],
)
def test_values_are_parsed(key: str, text: str, expected: tuple[float, ...]) -> None:
    axis = find(key)
    values = profile_axes.parse_values(axis, text)
    assert values == expected
    assert {type(value) for value in values} == {int if axis.whole else float}


def test_positions_order_the_values_and_have_an_inverse() -> None:
    scales = set()
    for axis in AXES:
        values = profile_axes.default_values(axis)
        positions = axis.positions(values)
        assert (np.diff(positions) > 0).all()
        assert values[0] == axis.low and values[-1] == axis.high
        assert [axis.value_at(p) for p in positions] == pytest.approx(list(values))
        scales.add(axis.scale)
    assert scales == {"linear", "log", "inverse_root"}
    assert find("filters.contrast").positions([0.5, 8.0]).tolist() == [-1.0, 3.0]
    assert find("filters.poisson_noise_scale").positions([0, 1, 0.04]).tolist() == [0, 1, 5]


def test_the_default_axes_change_how_every_base_looks_and_nothing_else() -> None:
    assert len(AXES) == len({axis.key for axis in AXES}) == 20
    for base in ("base-a", "base-f", "default"):
        train = configs.load(base)
        for axis in AXES:
            neutral = neutral_value(axis, train)
            assert configure(train, {axis: neutral}) == train
            for value in {*profile_axes.default_values(axis, 2)} - {neutral}:
                found = flatten(configure(train, {axis: value}))
                changed = {key for key, old in flatten(train).items() if found[key] != old}
                assert changed and all(key.startswith(VISUAL) for key in changed)
                assert found[axis.key] == value or (value == 0 and found[axis.switch] is False)


def test_what_training_does_not_have_is_switched_on_away_from_the_neutral_value() -> None:
    axis = find("npc.max_npc_count")
    assert neutral_value(axis, BASE_A) == 0
    found = flatten(configure(BASE_A, {axis: 7}))
    assert found["npc.enabled"] and found["npc.sprite_dir"] == "sprites"
    assert found["npc.min_npc_count"] == found["npc.max_npc_count"] == 7
    # Where training has it, only the number changes, and 0 switches it off.
    train = configs.load({"base": "base-a", "npc": {"enabled": True, "sprite_path": "sprites/elf"}})
    assert neutral_value(axis, train) == 20
    found = flatten(configure(train, {axis: 7}))
    assert found["npc.sprite_path"] == "sprites/elf" and found["npc.sprite_dir"] is None
    assert not flatten(configure(train, {axis: 0}))["npc.enabled"]
    # A source that was there for nothing makes way.
    train = configs.load({"base": "base-a", "npc": {"sprite_path": "sprites/elf"}})
    found = flatten(configure(train, {axis: 7}))
    assert found["npc.sprite_path"] is None and found["npc.sprite_dir"] == "sprites"
    assert neutral_value(find("camera.right_margin"), BASE_A) == 40


def test_a_grid_holds_the_neutral_values() -> None:
    axes = find("filters.brightness"), find("filters.contrast")
    grid = profile_sweep.lay_out(axes, [(0.5, -0.25), (1.0, 4.0)], BASE_A)
    assert grid.values == ((-0.25, 0.0, 0.5), (1.0, 4.0)) and grid.neutral == (1, 0)
    other = profile_sweep.lay_out(axes, [(0.5, -0.25), (1.0, 5.0)], BASE_A)
    assert grid.name == other.name and grid.digest != other.digest
    points = profile_sweep.configurations(grid, BASE_A, [range(3), range(2)])
    seen = [(c["filters"]["brightness"], c["filters"]["contrast"]) for c in points]
    assert seen == [(b, c) for b in (-0.25, 0, 0.5) for c in (1, 4)]


@pytest.mark.parametrize(
    ("count", "neutral", "limit", "expected"),
    [
        (4, 1, 9, (0, 1, 2, 3)),
        (25, 12, 5, (0, 6, 12, 18, 24)),
        (25, 13, 5, (0, 6, 13, 18, 24)),
        (10, 0, 3, (0, 4, 9)),
        (10, 8, 3, (0, 8, 9)),
    ],
)
def test_frames_are_spread(count: int, neutral: int, limit: int, expected: tuple) -> None:
    assert profile_sweep.spread(count, neutral, limit) == expected


# --- Statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positions", "curve", "neutral", "left", "right"),
    [
        ([0, 1, 2, 4], [0.2, 0.8, 0.6, 0.0], 1, 1 / 3, 2 + 2 / 3),
        ([-1, 0, 1], [1.0, 1.0, 0.5], 1, None, 1.0),  # half is enough
        ([0, 1, 2, 3, 4], [1.0, 0.4, 1.0, 0.0, 1.0], 0, None, 5 / 6),  # the nearest crossing
        ([0, 1, 2, 3, 4], [1.0, 0.0, 1.0, 0.4, 1.0], 4, 3 + 1 / 6, None),
        ([0, 1], [0.51, 1.0], 1, None, None),
        ([0, 1, 2], [1.0, 0.0, 1.0], 1, None, None),  # nothing to halve
    ],
)
def test_where_success_halves(positions, curve, neutral, left, right) -> None:
    found = profiles.halving(np.array(positions, float), np.array(curve), neutral)
    assert found == {"left": pytest.approx(left), "right": pytest.approx(right)}


@pytest.mark.parametrize(
    ("positions", "curve", "expected"),
    [
        ([0, 1], [0, 1], 1 / 2),
        ([0, 1, 4], [1, 0, 0], 1 / 8),
        ([-2, 0, 2], [0, 1, 0], 1 / 2),
        ([3, 5, 8], [0.3, 0.3, 0.3], 0.3),
        ([5], [0.7], 0.7),
    ],
)
def test_area_under_a_curve(positions, curve, expected) -> None:
    assert profiles.area(np.array(positions, float), np.array([curve])) == pytest.approx(expected)


def test_area_of_a_parabola_approaches_the_integral() -> None:
    x = np.linspace(-1, 3, 401)
    assert profiles.area(x, (x + 1) ** 2 / 16) == pytest.approx(1 / 3, abs=1e-5)


def test_robustness_is_clustered_by_agent() -> None:
    """Two agents of which one never falls: the interval spans from one to the other."""
    success = np.ones((2, 6, 3))
    success[1, :, 1:] = 0.0
    found = profiles.robustness(np.array([0.0, 1.0, 2.0]), success, 0)
    assert found["mean"] == pytest.approx((1 + 1 / 4) / 2) == found["relative"]
    assert (found["low"], found["high"]) == (0.25, 1.0)
    success[..., 0] = 0.5
    found = profiles.robustness(np.array([0.0, 1.0, 2.0]), success, 0)
    assert found["relative"] == pytest.approx((7 / 8 + 1 / 8) / 2 / 0.5)
    assert profiles.robustness(np.array([0.0, 1.0]), np.zeros((1, 2, 2)), 0)["relative"] is None


def test_effects_that_multiply_do_not_interact() -> None:
    success = 0.8 * np.outer([1.0, 0.5, 0.2], [0.25, 1.0])
    found = profiles.interaction(np.broadcast_to(success, (1, 2, 3, 2)), (0, 1))
    assert found is not None
    np.testing.assert_allclose(found["values"], 0.0, atol=1e-12)
    assert found["mean"] == pytest.approx(0.0) == found["low"] == found["high"]


def test_interaction_by_hand() -> None:
    """Neutral at (1, 0); half of the episodes succeed there."""
    success = np.array([[0.25, 0.2], [0.5, 0.4], [0.0, 0.1]])
    found = profiles.interaction(np.broadcast_to(success, (1, 2, 3, 2)), (1, 0))
    assert found is not None
    # Relative: [[0.5, 0.4], [1, 0.8], [0, 0.2]].
    np.testing.assert_allclose(found["values"], [[0, 0], [0, 0], [0, 0.2]], atol=1e-12)
    assert found["mean"] == pytest.approx((0.0 + 0.2) / 2)
    assert profiles.interaction(np.zeros((1, 2, 3, 2)), (1, 0)) is None


def synthetic() -> Sweep:
    """Two agents on four levels; one fails where brightness is raised."""
    grid = profile_sweep.lay_out([find("filters.brightness")], [(-1.0, 1.0)], BASE_A)
    success = np.ones((2, 4, 3), np.float32)
    success[1, :, 2] = 0.0
    results = {name: success * (2 if name == "distance" else 1) for name in METRICS}
    frames = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    return Sweep(grid, results, ((0, 1, 2),), frames, 1.26)


def test_a_curve_is_described() -> None:
    found = profiles.describe_curve(synthetic())
    assert found["values"] == [-1.0, 0.0, 1.0] and found["neutral"] == 0.0
    success, gaps = found["metrics"]["success_once"], found["gaps"]["distance"]
    assert success["mean"] == [1.0, 1.0, 0.5]
    assert success["per_agent"] == [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    assert gaps["mean"] == [0.0, 0.0, 1.0]
    assert (gaps["low"][2], gaps["high"][2]) == (0.0, 2.0)
    assert found["thresholds"] == {"left": None, "right": 1.0}
    assert found["robustness"]["mean"] == pytest.approx((1 + 3 / 4) / 2)
    assert found["seconds"] == 1.3
    flat = profiles.describe_curve(synthetic()) | {"robustness": {"mean": 1.0}}
    whole = profiles.describe_profile([flat, found])
    assert whole["axes"] == [found, flat]
    assert whole["robustness"] == pytest.approx((7 / 8 + 1) / 2)


def test_a_sweep_is_written_and_read(tmp_path: Path) -> None:
    sweep, path = synthetic(), tmp_path / "new" / "sweep.npz"
    profile_sweep.save(sweep, path)
    found = profile_sweep.load(path)
    assert (found.grid, found.shown, found.seconds) == (sweep.grid, sweep.shown, sweep.seconds)
    np.testing.assert_array_equal(found.frames, sweep.frames)
    for name in METRICS:
        np.testing.assert_array_equal(found.results[name], sweep.results[name])
    assert [entry.name for entry in path.parent.iterdir()] == ["sweep.npz"]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"sweep\.npz: is no finished sweep; delete it"):
        profile_sweep.load(path)


@pytest.mark.parametrize(
    ("key", "thresholds", "expected"),
    [
        ("filters.hue_shift", (-90.0, 44.44), (22.2, 44.4)),
        ("filters.hue_shift", (-30.0, 44.44), (-30.0, -15.0)),
        ("camera.right_margin", (None, None), (64, 88)),
        ("distractors.count", (None, 0.4), (1,)),
        ("effects.point_light_intensity", (None, 0.15), (0.1, 0.15)),  # not below the least
        ("filters.contrast", (None, 16.0), (4.0, 16.0)),
    ],
)
def test_the_stress_of_an_axis(key, thresholds, expected) -> None:
    axis = find(key)
    entry = {
        "key": key,
        "neutral": neutral_value(axis, BASE_A),
        "positions": axis.positions([axis.low, axis.high]).tolist(),
        "thresholds": dict(zip(("left", "right"), thresholds)),
    }
    assert profiles.stress(entry) == expected


def test_the_default_interactions_can_be_combined() -> None:
    profile_axes.check_grid([find(key) for key in INTERACTING], BASE_A)


# --- Evaluation -----------------------------------------------------------------------------------


def _walks_in_the_dark(agent, key, observation, state, params):
    """Right while the frame is darker than the agent's limit."""
    del key, state, params
    return jnp.where(observation.astype(jnp.float32).mean() < agent, 2, 0)


@pytest.fixture(scope="module")
def swept() -> SimpleNamespace:
    """Two agents that differ in the light they bear, along two axes and on their grid."""
    subject = Subject(
        policy="dark",
        seeds=(4, 7),
        agents=jnp.array([20.0, 60.0]),
        act=lambda env: _walks_in_the_dark,
        train="small",
        config=configs.load(SMALL),
        options={"obs": "pixels", "obs_size": 32, "pooling": "mean", "assets": None},
    )
    axes = [find("filters.brightness"), find("camera.right_margin")]
    values = [(0.3, 1.0), (8,)]
    keys = jax.random.split(jax.random.key(3), 4)
    grids = [
        *(profile_sweep.lay_out([a], [v], subject.config) for a, v in zip(axes, values)),
        profile_sweep.lay_out(axes, values, subject.config),
    ]
    frames = True, False, True
    sweeps = [profile_sweep.run(grid, subject, keys, some) for grid, some in zip(grids, frames)]
    return SimpleNamespace(light=sweeps[0], margin=sweeps[1], both=sweeps[2], grids=grids)


def test_agents_meet_the_values_of_the_axis(swept: SimpleNamespace) -> None:
    """The frame is black but for the player, and 30 grey levels brighter at 0.3."""
    assert swept.light.grid.values == ((0.0, 0.3, 1.0),)
    success = swept.light.results["success_once"]
    assert success.shape == (2, 4, 3)
    np.testing.assert_array_equal(success[0], [[1, 0, 0]] * 4)
    np.testing.assert_array_equal(success[1], [[1, 1, 0]] * 4)
    found = profiles.describe_curve(swept.light)
    assert found["thresholds"] == {"left": None, "right": pytest.approx(0.3)}


def test_a_grid_repeats_single_axes_where_the_other_one_is_neutral(swept: SimpleNamespace) -> None:
    row, column = swept.both.grid.neutral
    for name in METRICS:
        grid = swept.both.results[name]
        np.testing.assert_array_equal(grid[..., column], swept.light.results[name])
        np.testing.assert_array_equal(grid[..., row, :], swept.margin.results[name])


def test_frames_show_the_values(swept: SimpleNamespace) -> None:
    frames = swept.light.frames.astype(int)
    assert frames.shape == (3, 128, 128, 3) and swept.light.shown == ((0, 1, 2),)
    black = (frames[0] == 0).all(-1)
    assert black.mean() > 0.8
    assert (frames[1][black] == 30).all() and (frames[2][black] == 100).all()
    assert swept.both.frames.shape == (3, 2, 128, 128, 3)
    column = swept.both.grid.neutral[1]
    np.testing.assert_array_equal(swept.both.frames[:, column], swept.light.frames)


def test_a_fingerprint_depends_on_every_leaf() -> None:
    def agents(**changes):
        parts = {"weights": jnp.ones(3), "key": jax.random.key(0), "steps": jnp.int32(5)}
        return profile_sweep.fingerprint(parts | changes)

    assert agents() == agents()
    others = agents(weights=jnp.zeros(3)), agents(key=jax.random.key(1)), agents(steps=jnp.int32(6))
    assert len({agents(), *others}) == 4
