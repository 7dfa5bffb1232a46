"""Motion, collision, camera and reward against a pixel-by-pixel reference, and measured facts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import conformance, physics
from kagebench.build import build
from kagebench.config import load
from kagebench.env import KageState, advance, initial_state
from kagebench.params import EnvParams, EnvSpec
from tests.kagebench import brute_force

STEPS = 120
RIGHT, RIGHT_JUMP = 2, 6


def odd_config(rng: np.random.Generator) -> dict[str, Any]:
    """A configuration far from the benchmark's; every value that dynamics reads varies."""
    length = int(rng.choice([128, 131, 160, 300]))
    small = int(rng.integers(1, 6))
    return load(
        {
            "episode_length": 50,
            "forward_reward_scale": float(rng.choice([0.2, 1.5])),
            "jump_penalty": float(rng.choice([0.0, 10.0])),
            "dist_to_success": float(rng.choice([5.0, 40.0])),
            "camera": {
                "left_margin": int(rng.choice([10, 40, 64])),
                "right_margin": int(rng.choice([20, 40, 64])),
            },
            "character": {
                "width": int(rng.choice([1, 2, 11, 16, 25])),
                "height": int(rng.choice([2, 9, 19, 24, 31])),
            },
            "layout": {
                "length": length,
                "height_px": int(rng.choice([110, 128])),
                "base_ground_y": int(rng.integers(80, 108)),
                "pix_per_unit": int(rng.integers(0, 4)),
                "ground_thickness": int(rng.choice([1, 2, 3, 7])),
                "run_width": int(rng.choice([1, 3, 13, 20, 60])),
                "p_change": float(rng.choice([0.2, 0.7, 1.0])),
                "min_step_height": small,
                "max_step_height": small + int(rng.integers(0, 8)),
            },
            "physics": {
                "gravity": float(rng.choice([0.3, 0.5, 0.75, 1.1])),
                "terminal_velocity": float(rng.choice([2.5, 8.0, 12.0])),
                "jump_velocity": float(rng.choice([-3.3, -6.0, -7.5, -11.0])),
                "max_speed_x": float(rng.choice([0.7, 1.0, 3.0, 4.6, 5.0])),
                "ground_friction": float(rng.choice([0.5, 0.8])),
                "air_resistance": float(rng.choice([0.9, 0.98])),
                "coyote_time": int(rng.choice([0, 3, 6])),
                "ground_accel": float(rng.choice([0.5, 1.0, 2.0])),
                "air_accel": float(rng.choice([0.4, 1.0])),
                "ground_snap_dist": int(rng.choice([1, 2, 4])),
            },
        }
    )


def sticky_actions(rng: np.random.Generator, steps: int) -> np.ndarray:
    """Random actions that are held for some steps, so that the agent gets somewhere."""
    hold = rng.choice([1, 3, 12])
    return np.repeat(rng.integers(0, 8, steps // hold + 1), hold)[:steps].astype(np.int32)


def play(
    key: jax.Array, actions: jax.Array, params: EnvParams, spec: EnvSpec
) -> tuple[KageState, KageState, jax.Array]:
    """State after reset, states and rewards of all steps."""
    start = initial_state(key, params, spec)

    def step(state: KageState, action: jax.Array) -> tuple[KageState, Any]:
        state, reward = advance(key, state, action, params, spec)
        return state, (state, reward)

    states, rewards = jax.lax.scan(step, start, actions)[1]
    return start, states, rewards


@pytest.fixture(scope="module")
def games() -> tuple[list[dict[str, Any]], np.ndarray, Any]:
    """Odd configurations in one program: configurations, actions and what came out."""
    rng = np.random.default_rng(7)
    configs = [odd_config(rng) for _ in range(64)]
    actions = np.stack([sticky_actions(rng, STEPS) for _ in configs])
    spec, params, _ = build(configs, None, stack=True)
    keys = jax.random.split(jax.random.key(3), len(configs))
    run = jax.jit(jax.vmap(play, (0, 0, 0, None)), static_argnums=3)
    return configs, actions, jax.tree.map(np.asarray, run(keys, actions, params, spec))


def test_odd_configurations_equal_brute_force(games: Any) -> None:
    configs, actions, (start, states, rewards) = games
    for i, config in enumerate(configs):
        game = brute_force.Game(config, start.tops[i])
        assert (start.body.x[i], start.body.y[i]) == (game.body.x, game.body.y), config
        assert start.camera_x[i] == game.camera
        for t, action in enumerate(actions[i]):
            reward = game.step(int(action))
            now = jax.tree.map(lambda leaf: leaf[i, t], states)  # noqa: B023
            found = (now.body.x, now.body.y, now.camera_x, now.body.grounded)
            expected = (game.body.x, game.body.y, game.camera, game.body.grounded)
            assert found == expected, (i, t, config)
            assert now.body.coyote_timer == game.body.coyote
            np.testing.assert_allclose(now.body.vx, game.body.vx, atol=1e-5)
            np.testing.assert_allclose(now.body.vy, game.body.vy, atol=1e-5)
            np.testing.assert_allclose(rewards[i, t], reward, atol=1e-5)
            # One step at a time: a rounding difference must not add up.
            game.body.vx, game.body.vy = now.body.vx, now.body.vy


def test_odd_games_are_eventful(games: Any) -> None:
    """The comparison above is worth something only if these happen."""
    configs, _, (start, states, _) = games
    body = states.body
    assert (body.vx == 0).any() and (body.x > start.body.x[:, None] + 30).any()
    assert (body.x < start.body.x[:, None] - 30).any()
    assert body.grounded.mean() > 0.1 and (~body.grounded).mean() > 0.1
    moved = np.abs(np.diff(body.x, axis=1)).max()
    assert moved >= 5 and {c["layout"]["run_width"] for c in configs} >= {1, 3, 13}
    assert (states.camera_x.max(axis=1) > 0).sum() > 10
    edges = [8 + c["layout"]["length"] for c in configs]
    assert (body.x.max(axis=1) > np.array(edges) - 40).any(), "nobody reached the end of a level"
    assert states.success_once.any() and not states.success_once.all()


def test_bookkeeping_follows_from_positions(games: Any) -> None:
    configs, actions, (start, states, rewards) = games
    time = np.arange(1, STEPS + 1)
    np.testing.assert_array_equal(states.time, np.broadcast_to(time, states.time.shape))
    x = np.concatenate([start.body.x[:, None], states.body.x], axis=1)
    np.testing.assert_array_equal(states.x_max, np.maximum.accumulate(x, axis=1)[:, 1:])
    np.testing.assert_array_equal(states.jump_count, np.cumsum((actions & 4) != 0, axis=1))
    np.testing.assert_allclose(states.episode_return, np.cumsum(rewards, axis=1), rtol=1e-4)
    means = np.cumsum(states.body.vx, axis=1) / time, np.cumsum(states.body.vy, axis=1) / time
    np.testing.assert_allclose(states.vx_mean, means[0], atol=5e-5)
    np.testing.assert_allclose(states.vy_mean, means[1], atol=5e-5)
    goal = np.array([c["dist_to_success"] for c in configs])[:, None]
    reached = states.body.x - start.initial_x[:, None] >= goal
    np.testing.assert_array_equal(states.success_once, np.logical_or.accumulate(reached, axis=1))
    np.testing.assert_array_equal(start.initial_x, start.body.x)


def test_reset_invariants(games: Any) -> None:
    _, _, (start, _, _) = games
    for value in (start.time, start.jump_count, start.episode_return, start.vx_mean):
        assert (value == 0).all()
    assert not start.success_once.any() and not start.body.grounded.any()
    assert (start.body.vx == 0).all() and (start.body.coyote_timer == 0).all()


# Heights above the ground after each step of one jump, and of jumping on and on from reset.
EVEN = [7, 13, 18, 23, 27, 30, 32, 33, 34, 34, 33, 31, 29, 26, 22, 17, 12, 6, 0]
ODD = [7, 13, 18, 22, 26, 29, 31, 32, 33, 33, 32, 30, 28, 25, 21, 16, 11, 5, 0]
FIRST = [8, 14, 19, 23, 27, 30, 32, 33, 34, 34, 33, 31, 29, 26, 22, 17, 12, 6, 0, 7]
LENGTH = 2048
JUMP_ONCE = [0] * 19 + [RIGHT_JUMP] + [RIGHT] * 19
STEP_AT_100 = {rise: np.where(np.arange(LENGTH) < 100, 90, 90 - rise) for rise in (34, 36)}
# Name -> level (a height, or ground rows) and actions, of which the last is held.
GAMES: dict[str, tuple[Any, list[int]]] = {
    "stand": (76, [0]),
    "even": (76, JUMP_ONCE),
    "odd": (77, JUMP_ONCE),
    "hop": (76, [4]),
    "run": (76, [RIGHT]),
    "turn": (76, [RIGHT] * 100 + [1]),
    "climb 34": (STEP_AT_100[34], [RIGHT_JUMP]),
    "climb 36": (STEP_AT_100[36], [RIGHT_JUMP]),
    **{f"action {action}": (76, [action]) for action in (1, 3, 7, 8, 10)},
}


@pytest.fixture(scope="module")
def played() -> dict[str, dict[str, np.ndarray]]:
    """Traces of all GAMES with the benchmark's physics, 320 steps each, in one program."""
    config = load("simplest")
    tops = np.stack([np.broadcast_to(level, LENGTH) for level, _ in GAMES.values()])
    held = [keys + keys[-1:] * (320 - len(keys)) for _, keys in GAMES.values()]
    out = conformance.trace(config, tops, np.array(held))
    return {name: {k: v[i] for k, v in out.items()} for i, name in enumerate(GAMES)}


def test_first_steps(played: Any) -> None:
    out = played["stand"]
    assert (out["x"][0], out["y"][0], out["camera_x"][0]) == (64, 76 - 14, 0)
    assert out["y"][1] == 76 - 13 and out["grounded"][1]
    np.testing.assert_allclose(out["vy"][1:3], [0.75, 0.0])
    np.testing.assert_allclose(out["reward"], -0.1 - 5.0, rtol=1e-6)


def test_jump_profiles(played: Any) -> None:
    """Rises that were measured on the reference."""
    np.testing.assert_array_equal((76 - 13 - played["even"]["y"])[20:39], EVEN)
    np.testing.assert_array_equal((77 - 13 - played["odd"]["y"])[20:39], ODD)
    np.testing.assert_array_equal((76 - 13 - played["hop"]["y"])[1:21], FIRST)
    np.testing.assert_array_equal(played["even"]["x"][19:23], [64, 64, 65, 66])


def test_flat_run(played: Any) -> None:
    """One pixel per step from the first, at full speed."""
    out = played["run"]
    np.testing.assert_array_equal(np.diff(out["x"]), 1)
    assert (out["vx"][1:] == 1).all()
    np.testing.assert_allclose(out["reward"], 0.2 - 0.1, rtol=1e-5)
    np.testing.assert_allclose(out["progress"], np.arange(1, 321) / 490, rtol=1e-6)


def test_camera_margins(played: Any) -> None:
    """Between screen columns 40 and 88 the camera rests; it stops at the level's ends."""
    out = played["turn"]
    screen = out["x"] - out["camera_x"]
    assert out["camera_x"].min() == 0 and out["camera_x"].max() == 64 + 100 - 88
    assert screen.max() == 88 and out["x"].min() == 8 and screen[-1] == 8
    # One step is lost to turning round; then the screen moves under the agent.
    np.testing.assert_array_equal(screen[101:150], np.arange(88, 39, -1))
    assert (screen[149:200] == 40).all()


def test_the_largest_step_can_be_climbed(played: Any) -> None:
    assert played["climb 34"]["x"][-1] > 200
    assert played["climb 36"]["x"].max() == 100 - 9


def test_actions_are_bit_masks(played: Any) -> None:
    """Left and right cancel; bits beyond the three do nothing."""
    for same in (("action 3", "stand"), ("action 8", "stand"), ("action 10", "run")):
        for field in ("x", "y", "reward"):
            np.testing.assert_array_equal(*(played[name][field] for name in same))
    np.testing.assert_array_equal(played["action 7"]["y"], played["hop"]["y"])
    np.testing.assert_array_equal(played["action 1"]["x"][:57], np.arange(64, 7, -1))
    assert played["action 7"]["jump_count"][-1] == 320 and not played["run"]["jump_count"].any()
    np.testing.assert_allclose(played["hop"]["reward"], -10.0 - 0.1 - 5.0, rtol=1e-6)


def test_boxes_at_the_fallback_position() -> None:
    """Where every candidate is walled in, the agent starts at (64, 64)."""
    config = load({"layout": {"length": 600, "run_width": 1, "min_height": 0, "max_height": 30}})
    spec, params, _ = build([config], None, stack=False)
    free = np.full(600, 90, np.int16)
    spikes = np.where(np.arange(600) % 2 == 0, 90, 20).astype(np.int16)
    spawn = jax.jit(physics.spawn, static_argnums=2)
    assert [float(v) for v in spawn(free, params, spec)] == [64.0, 90.0 - 14.0]
    assert [float(v) for v in spawn(spikes, params, spec)] == [64.0, 64.0]
    later = np.where(np.arange(600) < 73, spikes, free).astype(np.int16)
    game = brute_force.Game(config, later)
    x, y = spawn(later, params, spec)
    assert (float(x), float(y)) == (game.body.x, game.body.y) and float(x) > 64
    assert physics.box_is_free(jnp.asarray(later), x.astype(int), y.astype(int), params, spec)


@pytest.mark.parametrize(("run_width", "width"), [(1, 25), (3, 16), (13, 25), (12, 25), (25, 16)])
def test_static_bounds_hold_for_every_position(run_width: int, width: int) -> None:
    """A program reads only so many segments: never fewer than a box or the screen overlaps."""
    physics_section = {"max_speed_x": 4.6}
    config = load(
        {
            "layout": {"length": 700, "run_width": run_width},
            "character": {"width": width},
            "physics": physics_section,
        }
    )
    spec, _, _ = build([config], None, stack=False)
    left = np.arange(200)
    box = (left + 2 * (width // 2)) // run_width - left // run_width + 1
    screen = (left + spec.width - 1) // run_width - left // run_width + 1
    assert box.max() <= spec.box_segments <= box.max() + 1
    assert screen.max() <= spec.visible_segments <= screen.max() + 1
    assert spec.max_dx == 5 and spec.num_segments == -(-700 // run_width)
