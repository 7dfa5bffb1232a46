"""What is drawn at reset, and how it moves, turns and changes from step to step."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import make, visuals
from kagebench.config import load
from kagebench.env import KageEnv
from kagebench.params import SHAPES, EnvParams

EPISODES = 1500
TOP = 76
SHAPED = {
    "base": "simplest",
    "background": {"mode": "color", "color_names": ["red", "green", "blue"]},
    "character": {
        "use_shape": True,
        "shape_types": ["star", "line"],
        "shape_colors": ["pink", "gold", "teal"],
        "shape_rotate": True,
        "shape_rotation_speed": 7.5,
    },
    "distractors": {
        "enabled": True,
        "count": 4,
        "shape_types": ["cross", "circle"],
        "shape_colors": ["red", "navy", "white"],
        "min_speed": 0.5,
        "max_speed": 2.0,
        "min_rotation_speed": -3.0,
        "max_rotation_speed": 5.0,
        "min_size": 4,
        "max_size": 6,
    },
    "effects": {"point_light_enabled": True, "point_light_count": 3},
    "filters": {"pop_filter_list": ["retro", "none", "noir"], "gaussian_noise_std": 1.0},
    "layout": {"layout_colors": ["cyan", "red"]},
    "npc": {
        "enabled": True,
        "sprite_paths": ["sprites/skeleton", "sprites/clown"],
        "min_npc_count": 2,
        "max_npc_count": 4,
        "spawn_y_offset": 3,
        "sticky_enabled": True,
        "sticky_sprite_path": "sprites/girl",
        "min_sticky_count": 1,
        "max_sticky_count": 3,
        "sticky_x_min": -30,
        "sticky_x_max": 20,
        "sticky_y_min_offset": -25,
        "sticky_y_max_offset": -5,
    },
}
STILL = {
    "base": "base-b",
    "background": {"mode": "noise"},
    "distractors": {**SHAPED["distractors"], "can_move": False, "can_rotate": False},
    "npc": {
        "sticky_enabled": True,
        "sticky_sprite_path": "sprites/girl",
        "max_sticky_count": 4,
        "min_sticky_count": 4,
        "sticky_x_offsets": [-40, 40, 7],
        "sticky_y_randomize": False,
        "sticky_y_min_offset": -12,
    },
}
SPREAD = {
    "base": "simplest",
    "npc": {
        "sticky_enabled": True,
        "sticky_sprite_path": "sprites/girl",
        "max_sticky_count": 4,
        "sticky_x_offsets": [],
        "sticky_x_min": None,
        "sticky_x_max": None,
    },
}
CONFIGS = (SHAPED, STILL, SPREAD)


@pytest.fixture(scope="module")
def built() -> tuple[KageEnv, EnvParams]:
    return make(list(CONFIGS))


@pytest.fixture(scope="module")
def spawned(built: tuple[KageEnv, EnvParams]) -> list[Any]:
    """`Visuals` of many episodes, leaves [EPISODES, ...], for each of CONFIGS."""
    env, params = built
    tops = jnp.full(env.spec.num_segments, TOP, jnp.int16).at[20:].set(90)
    keys = jax.random.split(jax.random.key(1), EPISODES)

    @jax.jit
    def run(params: EnvParams) -> Any:
        each = lambda p: jax.vmap(lambda key: visuals.spawn(key, tops, p, env.spec))(keys)  # noqa: E731
        return jax.vmap(each)(params)

    out = jax.tree.map(np.asarray, run(params))
    return [jax.tree.map(lambda leaf: leaf[i], out) for i in range(len(CONFIGS))]  # noqa: B023


def assert_uniform(values: Any, expected: Any) -> None:
    """Exactly the expected values occur, equally often (chi square, five deviations)."""
    expected = list(expected)
    found, counts = np.unique(np.asarray(values), return_counts=True)
    assert found.tolist() == sorted(expected)
    n, k = counts.sum(), len(expected)
    chi = ((counts - n / k) ** 2 / (n / k)).sum()
    assert chi < k - 1 + 5 * math.sqrt(2 * max(k - 1, 1)), counts


def assert_spans(values: Any, low: float, high: float) -> None:
    """Uniform on the interval: range, mean and variance."""
    values = np.asarray(values, float).ravel()
    width = high - low
    assert values.min() >= low and values.max() <= high
    assert values.min() < low + 0.02 * width and values.max() > high - 0.02 * width
    assert abs(values.mean() - (low + high) / 2) < 5 * width / math.sqrt(12 * values.size)
    assert values.var() == pytest.approx(width**2 / 12, rel=0.1)


def test_pools_are_drawn_uniformly(spawned: list[Any]) -> None:
    v = spawned[0]
    assert_uniform(v.background, range(3))
    assert_uniform(v.layout_color, range(2))
    assert_uniform(v.shape_color, range(3))
    assert_uniform(v.shape_type, [SHAPES.index("star"), SHAPES.index("line")])
    assert_uniform(v.preset, [0, 2, 5])
    assert_uniform(v.sticky.count, range(1, 4))
    assert_uniform((v.npcs.x > 0).sum(axis=1), range(2, 5))
    assert (spawned[1].layout_color == 0).all() and (spawned[1].preset == 0).all()


def test_draws_are_independent_of_each_other(spawned: list[Any]) -> None:
    v = spawned[0]
    columns = np.stack(
        [v.background, v.layout_color, v.shape_color, v.shape_type, v.preset, v.sticky.count]
        + [v.lights[:, 0, 0], v.lights[:, 0, 1], v.distractors.x[:, 0], v.distractors.vx[:, 0]]
        + [v.distractors.y[:, 0], v.distractors.angle[:, 0], v.distractors.color[:, 0]]
        + [v.distractors.spin[:, 0], v.distractors.size[:, 0], v.npcs.x[:, 0], v.sticky.y[:, 0]]
        + [v.sticky.x_offset[:, 0], v.filter_noise.astype(float), v.noise.astype(float)]
    ).astype(float)
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 5 / math.sqrt(EPISODES)


def test_lights(spawned: list[Any]) -> None:
    assert spawned[0].lights.shape == (EPISODES, 3, 2)
    for light in range(3):
        for axis in range(2):
            assert_spans(spawned[0].lights[:, light, axis], 0.15, 0.85)


def test_seeds_of_noise_are_fresh(spawned: list[Any]) -> None:
    for name in ("noise", "filter_noise"):
        values = getattr(spawned[1], name)
        assert len(np.unique(values)) == EPISODES and values.dtype == np.uint32
        assert_spans(values.astype(float), 0, 2**32)


def test_world_npcs(built: tuple[KageEnv, EnvParams], spawned: list[Any]) -> None:
    """Anywhere on the level from column 200 to 1847; their ground decides their row."""
    npcs, params = spawned[0].npcs, built[1]
    used = npcs.x > 0
    assert (np.diff(used.astype(int), axis=1) <= 0).all()
    assert (npcs.y[~used] == 0).all() and (npcs.skin[~used] == 0).all()
    assert_spans(npcs.x[used], 200, 1848)
    ground = np.where(npcs.x[used] < 20 * 25, TOP, 90)
    np.testing.assert_array_equal(npcs.y[used], ground - 12 - 2 - 3)
    skins = np.asarray(params.npc.skins.values[0])[:2]
    assert_uniform(npcs.skin[used], skins)
    assert (npcs.frame == 0).all() and (spawned[2].npcs.x == 0).all()


def test_sticky_npcs(spawned: list[Any]) -> None:
    sticky = spawned[0].sticky
    assert_uniform(sticky.x_offset, range(-30, 21))
    assert_uniform(sticky.y, range(96 - 3 - 25, 96 - 3 - 5 + 1))
    np.testing.assert_array_equal(sticky.home_y, sticky.y)
    assert sticky.on_ground.all() and (sticky.vy == 0).all()


def test_sticky_npcs_at_given_or_even_offsets(spawned: list[Any]) -> None:
    given, even = spawned[1].sticky, spawned[2].sticky
    assert (given.x_offset == [-40, 40, 7, -40]).all() and (given.count == 4).all()
    assert (given.y == 96 - 12).all()
    assert (even.x_offset == [-60, -20, 20, 60]).all()
    assert_uniform(even.y[:, 0], range(96 - 40, 96 - 10 + 1))


def test_distractors_at_reset(spawned: list[Any]) -> None:
    d = spawned[0].distractors
    assert d.x.shape == (EPISODES, 4)
    assert_spans(d.x, 15, 113)
    assert_spans(d.y, 15, 113)
    assert_spans(d.angle, 0, 360)
    assert_spans(d.spin, -3, 5)
    for speed in (d.vx, d.vy):
        assert_spans(np.abs(speed), 0.5, 2.0)
        assert abs((speed > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(speed.size)
    assert_uniform(d.size, (4, 5, 6))
    assert_uniform(d.color, range(3))
    assert_uniform(d.shape, [SHAPES.index("circle"), SHAPES.index("cross")])
    still = spawned[1].distractors
    assert not still.vx.any() and not still.vy.any() and not still.spin.any()


def test_character_at_reset(spawned: list[Any]) -> None:
    for v in spawned:
        assert not v.frame.any() and not v.frame_timer.any() and not v.shape_angle.any()
        assert not v.npcs.timer.any() and not v.sticky.timer.any()


def first(leaves: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), leaves)


def params_of(built: tuple[KageEnv, EnvParams], i: int) -> EnvParams:
    return jax.tree.map(lambda leaf: leaf[i], built[1])


def follow(step: Any, start: Any, inputs: Any) -> Any:
    body = lambda s, x: (lambda new: (new, new))(step(s, x))  # noqa: E731
    return jax.tree.map(np.asarray, jax.jit(lambda s: jax.lax.scan(body, s, inputs)[1])(start))


def test_walk_cycle_blocks(built: tuple[KageEnv, EnvParams], spawned: list[Any]) -> None:
    """At 12 frames per second a frame lasts five steps; the first change comes after five ticks."""
    speed = jnp.concatenate([jnp.ones(40), jnp.zeros(3), jnp.full(3, 0.1), jnp.full(10, -0.5)])
    animate = lambda v, vx: visuals.animate_character(v, vx, params_of(built, 1))  # noqa: E731
    out = follow(animate, first(spawned[1]), speed)
    assert int(built[1].character.cycle[1]) == 2
    blocks = [0] * 4 + [1] * 5 + [0] * 5 + [1] * 5 + [0] * 5
    np.testing.assert_array_equal(out.frame[: len(blocks)], blocks)
    assert not out.frame[40:46].any() and not out.frame_timer[40:46].any()
    np.testing.assert_array_equal(out.frame[46:], [0] * 4 + [1] * 5 + [0])
    assert not out.shape_angle.any()


def test_idle_frame_and_disabled_animation(built: Any, spawned: list[Any]) -> None:
    params = params_of(built, 1)
    character = params.character.replace(  # pyright: ignore
        idle_sprite_idx=jnp.int32(1), enable_animation=jnp.bool_(False)
    )
    still = params.replace(character=character)  # pyright: ignore
    out = follow(
        lambda v, vx: visuals.animate_character(v, vx, still), first(spawned[1]), jnp.ones(12)
    )
    assert (out.frame == 1).all() and not out.frame_timer.any()


def test_shape_angle(built: tuple[KageEnv, EnvParams], spawned: list[Any]) -> None:
    turn = lambda v, vx: visuals.animate_character(v, vx, params_of(built, 0))  # noqa: E731
    out = follow(turn, first(spawned[0]), jnp.zeros(60))
    np.testing.assert_allclose(out.shape_angle, 7.5 * np.arange(1, 61) % 360, atol=1e-3)


def test_sticky_jump(built: tuple[KageEnv, EnvParams], spawned: list[Any]) -> None:
    """One jump by hand: velocity, truncated rows, landing; rolls count only on the ground."""
    roll = np.zeros((60, 4), bool)
    roll[2, 0] = roll[5, 0] = roll[40, 1] = True
    hop = lambda s, jump: visuals.move_sticky(s, jump, params_of(built, 1))  # noqa: E731
    out = follow(hop, first(spawned[1]).sticky, jnp.asarray(roll))
    home, y, vy, ground, rows = 84, 84, 0.0, True, []
    for t in range(60):
        vy = -7.5 if roll[t, 0] and ground else vy
        vy += 0.75
        y = int(y + vy)
        ground = y >= home
        y, vy = (home, 0.0) if ground else (y, vy)
        rows.append(y)
    np.testing.assert_array_equal(out.y[:, 0], rows)
    assert min(rows) < 60 and rows[-1] == 84
    assert (out.y[:40, 1:] == 84).all() and (out.y[40, 1:] == [77, 84, 84]).all()
    forbidden = params_of(built, 1)
    forbidden = forbidden.replace(  # pyright: ignore
        npc=forbidden.npc.replace(sticky_can_jump=jnp.bool_(False))  # pyright: ignore
    )
    stay = visuals.move_sticky(first(spawned[1]).sticky, jnp.ones(4, bool), forbidden)
    assert (stay.y == 84).all() and stay.on_ground.all()


def test_distractors_bounce(built: tuple[KageEnv, EnvParams], spawned: list[Any]) -> None:
    env, _ = built
    start = first(spawned[0]).distractors
    out = follow(lambda d, _: visuals.move_distractors(d, env.spec), start, jnp.zeros(200))
    x, vx = np.asarray(start.x).copy(), np.asarray(start.vx).copy()
    for t in range(200):
        x = (x + vx).astype(np.float32)
        outside = (x <= 15) | (x >= 128 - 15)
        x, vx = np.clip(x, 15, 113), np.where(outside, -vx, vx)
        np.testing.assert_allclose(out.x[t], x, atol=1e-4)
        np.testing.assert_allclose(out.vx[t], vx)
    assert (np.diff(np.sign(out.vx), axis=0) != 0).any()
    assert out.y.min() >= 15 and out.y.max() <= 113
    expected = (np.asarray(start.angle) + np.asarray(start.spin) * 200) % 360
    error = np.abs(out.angle[-1] - expected)
    assert np.minimum(error, 360 - error).max() < 0.05


def test_switching_noise_and_clocks(built: tuple[KageEnv, EnvParams], spawned: list[Any]) -> None:
    """`update` in one program: many agents for some steps, with a background that switches."""
    config = load({**SHAPED, "background": {**SHAPED["background"], "switch_frequency": 0.25}})
    config["npc"]["sticky_jump_probability"] = 0.1
    env, params = make(config)
    steps, agents = 24, 400
    tops = jnp.full(env.spec.num_segments, TOP, jnp.int16)

    def play(key: jax.Array) -> Any:
        start = visuals.spawn(key, tops, params, env.spec)

        def step(v: Any, key: jax.Array) -> Any:
            v = visuals.update(key, v, jnp.float32(1.0), params, env.spec)
            return v, v

        return start, jax.lax.scan(step, start, jax.random.split(key, steps))[1]

    start, v = jax.jit(jax.vmap(play))(jax.random.split(jax.random.key(5), agents))
    background = np.concatenate([start.background[:, None], v.background], axis=1)
    move = (background[:, 1:] - background[:, :-1]) % 3
    n = move.size
    # One in three switches draws the colour that is already there.
    share = 0.25 * 2 / 3
    assert abs((move != 0).mean() - share) < 5 * math.sqrt(share * (1 - share) / n)
    assert_uniform(move[move != 0], (1, 2))
    assert len(np.unique(v.filter_noise)) > 0.99 * n  # a fresh frame every step
    assert (np.asarray(v.npcs.frame[:, :, 0]) == v.npcs.frame[:1, :, 0]).all()
    cycle = [0] * 4 + [1] * 5 + [0] * 5 + [1] * 5 + [0] * 5
    np.testing.assert_array_equal(v.npcs.frame[0, :, 0], cycle)
    # A first jump is a roll on the ground.
    jumped = ~np.asarray(v.sticky.on_ground[:, 0])
    assert abs(jumped.mean() - 0.1) < 5 * math.sqrt(0.09 / jumped.size)
    assert int(params.npc.sticky_cycle) == 2


def test_backgrounds_stay_without_switching(built: tuple[KageEnv, EnvParams]) -> None:
    """The update is not even compiled in; a black background never changes."""
    assert not built[0].spec.switching
    frequent = load({"base": "simplest", "background": {"switch_frequency": 0.5}})
    assert not make(frequent)[0].spec.switching
