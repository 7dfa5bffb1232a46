"""The environment's interface: steps, automatic resets, transformations, programs, memory."""

import math
import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment

from kagebench import make
from kagebench.config import load
from kagebench.env import KageEnv, KageState, advance, initial_state
from kagebench.observation import STATE_SIZE
from kagebench.params import EnvParams
from kagebench.suites import derive

LIMIT = 4
BATCH = 6
# Full of draws, so that two episodes never look alike; small frames.
CONFIG = {
    "base": "base-c",
    "H": 64,
    "W": 64,
    "episode_length": LIMIT,
    "dist_to_success": 3.0,
    "camera": {"left_margin": 20, "right_margin": 20},
    "layout": {"height_px": 64, "base_ground_y": 60, "max_height": 10},
    "filters": {"gaussian_noise_std": 20.0},
}


@pytest.fixture(scope="module")
def made() -> tuple[KageEnv, EnvParams]:
    return make(CONFIG)


@pytest.fixture(scope="module")
def batched(made: tuple[KageEnv, EnvParams]) -> dict[str, Any]:
    """The compiled programs that most tests share."""
    env, _ = made
    axes = (0, 0, 0, None)
    return {
        "reset": jax.jit(jax.vmap(env.reset, (0, None))),
        "step": jax.jit(jax.vmap(env.step, axes)),
        "step_env": jax.jit(jax.vmap(env.step_env, axes)),
    }


@pytest.fixture(scope="module")
def start(made: Any, batched: Any) -> tuple[jax.Array, KageState]:
    """First observations and states; the environments are at different times of their episodes."""
    obs, state = batched["reset"](keys(0), made[1])
    return obs, state.replace(time=np.arange(BATCH, dtype=np.int32) % LIMIT)


def keys(seed: int, count: int = BATCH) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


def equal(a: Any, b: Any) -> bool:
    """All leaves equal, bit by bit."""
    same = jax.tree.map(lambda x, y: bool(jnp.array_equal(x, y)), a, b)
    return all(jax.tree.leaves(same))


def at(tree: Any, i: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


ACTIONS = np.arange(BATCH, dtype=np.int32) % 8


def test_is_a_gymnax_environment(made: Any, start: Any) -> None:
    env, params = made
    assert isinstance(env, environment.Environment)
    assert env.num_actions == 8 and env.action_space(params).n == 8
    space = env.observation_space(params)
    assert space.shape == (64, 64, 3) and space.dtype == jnp.uint8
    obs, _ = start
    assert obs.shape == (BATCH, 64, 64, 3) and obs.dtype == jnp.uint8
    assert env.default_params is params or equal(env.default_params, params)
    assert int(params.max_steps_in_episode) == LIMIT
    assert isinstance(env.name, str)


def test_step_returns_six_values(made: Any, batched: Any, start: Any) -> None:
    out = batched["step"](keys(1), start[1], ACTIONS, made[1])
    obs, state, reward, terminated, truncated, info = out
    assert obs.shape == (BATCH, 64, 64, 3) and obs.dtype == jnp.uint8
    assert reward.dtype == jnp.float32 and terminated.dtype == truncated.dtype == jnp.bool_
    assert not terminated.any()
    np.testing.assert_array_equal(truncated, start[1].time + 1 >= LIMIT)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, start[1])
    assert jax.tree.map(jnp.result_type, state) == jax.tree.map(jnp.result_type, start[1])
    names = "return timestep x y vx vy jump_count passed_distance progress success success_once"
    extra = "vx_mean vy_mean final_observation final_scene"
    assert set(info) == {*names.split(), *extra.split()}


def test_only_finished_environments_are_reset(made: Any, batched: Any, start: Any) -> None:
    params, (_, state) = made[1], start
    obs, after, reward, _, done, info = batched["step"](keys(1), state, ACTIONS, params)
    step_keys = jax.vmap(jax.random.split)(keys(1))[:, 0]
    plain_obs, plain, plain_reward, _, plain_info = batched["step_env"](
        step_keys, state, ACTIONS, params
    )
    assert 0 < done.sum() < BATCH
    np.testing.assert_array_equal(reward, plain_reward)
    for i in range(BATCH):
        same = equal(at(after, i), at(plain, i)), bool((obs[i] == plain_obs[i]).all())
        assert same == ((False, False) if done[i] else (True, True)), i
    # info tells of the finished transition.
    np.testing.assert_array_equal(info["final_observation"], plain_obs)
    for name, value in plain_info.items():
        np.testing.assert_array_equal(info[name], value, name)
    np.testing.assert_array_equal(info["timestep"], state.time + 1)
    fresh = at(after, done)
    assert (fresh.time == 0).all() and (fresh.episode_return == 0).all()
    assert (fresh.body.x == fresh.initial_x).all() and not fresh.success_once.any()
    # The observation is the first of the new episode, as `reset` gives it for that key.
    reset_keys = jax.vmap(jax.random.split)(keys(1))[:, 1]
    first_obs, first = batched["reset"](reset_keys, params)
    np.testing.assert_array_equal(obs[done], first_obs[done])
    assert equal(fresh, at(first, done))


@pytest.mark.parametrize("time", [0, LIMIT - 1, LIMIT + 7])
def test_none_and_all_finished(made: Any, batched: Any, start: Any, time: int) -> None:
    state = start[1].replace(time=np.full(BATCH, time, np.int32))
    out = batched["step"](keys(2), state, ACTIONS, made[1])
    done, after = out[4], out[1]
    assert (done == (time + 1 >= LIMIT)).all()
    np.testing.assert_array_equal(after.time, 0 if time else np.ones(BATCH))
    if time:
        levels = np.asarray(after.tops)
        assert len(np.unique(levels, axis=0)) == BATCH, "every new episode has its own level"


def test_steps_past_the_limit_are_allowed(made: Any, batched: Any, start: Any) -> None:
    env, params = made
    state = start[1].replace(time=np.full(BATCH, LIMIT + 3, np.int32))
    _, after, *_ = batched["step_env"](keys(2), state, ACTIONS, params)
    assert (after.time == LIMIT + 4).all() and env.is_truncated(after, params).all()
    assert equal(after.tops, state.tops) and not env.is_terminated(after, params).any()


@pytest.fixture(scope="module")
def plain() -> tuple[KageEnv, EnvParams, Any]:
    """An environment whose programs compile quickly, and its reset for any number of keys."""
    short = {"base": "simplest", "episode_length": LIMIT}
    env, params = make(short, obs="state")
    return env, params, jax.jit(jax.vmap(lambda key: initial_state(key, params, env.spec)))


def test_single_and_nested_steps_equal_the_batch(plain: Any) -> None:
    """Programs for one environment, and for a batch of batches, some of which finish."""
    env, params, reset = plain
    state = reset(keys(0)).replace(time=np.arange(BATCH, dtype=np.int32) % LIMIT)
    axes = (0, 0, 0, None)
    flat = jax.jit(jax.vmap(env.step, axes))(keys(1), state, ACTIONS, params)
    rows = jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), state)
    step = jax.jit(jax.vmap(jax.vmap(env.step, axes), axes))
    nested = step(keys(1).reshape(2, 3), rows, ACTIONS.reshape(2, 3), params)
    assert equal(jax.tree.map(lambda leaf: leaf.reshape(BATCH, *leaf.shape[2:]), nested), flat)
    for i in (0, LIMIT - 1):
        single = env.step(keys(1)[i], at(state, i), ACTIONS[i], params)
        assert equal(single, at(flat, i)), i
    assert bool(flat[4][LIMIT - 1]) and not bool(flat[4][0])


def test_observation_is_the_rendered_scene(made: Any, batched: Any, start: Any) -> None:
    env, params = made
    obs, state = batched["reset"](keys(0), params)
    scene = jax.jit(jax.vmap(env.scene, (0, None)))(state, params)
    drawn = jax.jit(jax.vmap(env.render, (0, None)))(scene, params)
    np.testing.assert_array_equal(drawn, obs)
    seen = jax.jit(jax.vmap(partial(env.observe, None, action=None, params=params)))(state)
    np.testing.assert_array_equal(seen, obs)
    final = batched["step"](keys(1), state, ACTIONS, params)[5]
    drawn = jax.jit(jax.vmap(env.render, (0, None)))(final["final_scene"], params)
    np.testing.assert_array_equal(drawn, final["final_observation"])


def test_noise_is_part_of_the_state(made: Any, batched: Any, start: Any) -> None:
    """The same state gives the same frame; each step, also one without motion, a new one."""
    state = start[1].replace(time=np.zeros(BATCH, np.int32))
    first, after, *_ = batched["step_env"](keys(3), state, np.zeros(BATCH, np.int32), made[1])
    again, *_ = batched["step_env"](keys(3), state, np.zeros(BATCH, np.int32), made[1])
    np.testing.assert_array_equal(first, again)
    other, *_ = batched["step_env"](keys(4), state, np.zeros(BATCH, np.int32), made[1])
    assert (first != other).mean() > 0.5
    second, *_ = batched["step_env"](keys(5), after, np.zeros(BATCH, np.int32), made[1])
    assert (first != second).mean() > 0.5


def test_info_describes_the_transition(made: Any, batched: Any, start: Any) -> None:
    before = start[1]
    _, after, reward, _, info = batched["step_env"](
        keys(1), before, np.full(BATCH, 2, np.int32), made[1]
    )
    distance = after.body.x - before.initial_x
    np.testing.assert_array_equal(info["passed_distance"], distance)
    np.testing.assert_array_equal(info["success"], distance >= 3)
    np.testing.assert_allclose(info["progress"], distance / 3)
    np.testing.assert_array_equal(info["return"], before.episode_return + reward)
    np.testing.assert_allclose(reward, 0.2 - 0.1, rtol=1e-5)


def test_scan_with_donated_state(plain: Any) -> None:
    """A whole rollout is one program that reuses the memory of the state; levels stay fresh."""
    env, params, reset = plain
    batch = 512  # more environments than are reset together

    @partial(jax.jit, donate_argnums=0)
    def rollout(state: KageState, key: jax.Array) -> Any:
        def step(state: KageState, key: jax.Array) -> Any:
            obs, state, reward, _, done, _ = jax.vmap(env.step, (0, 0, 0, None))(
                jax.random.split(key, batch), state, jnp.full(batch, 6), params
            )
            return state, (reward, done, state.time, state.tops[:, :4], obs)

        return jax.lax.scan(step, state, jax.random.split(key, 3 * LIMIT))

    state = reset(keys(0, batch))
    stagger = np.random.default_rng(0).integers(0, LIMIT, batch).astype(np.int32)
    state = state.replace(time=jnp.asarray(stagger))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Some donated buffers were not usable"
        last, (reward, done, time, tops, obs) = rollout(state, jax.random.key(1))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    expected = (stagger + np.arange(1, 3 * LIMIT + 1)[:, None]) % LIMIT
    np.testing.assert_array_equal(time, expected)
    np.testing.assert_array_equal(done, expected == 0)
    changed = (tops[1:] != tops[:-1]).any(axis=2)
    assert not (changed & ~done[1:]).any() and changed[done[1:]].mean() > 0.5
    assert np.isfinite(reward).all() and np.isfinite(obs).all()
    assert obs.shape == (3 * LIMIT, batch, STATE_SIZE) and obs.dtype == jnp.float32
    assert env.observation_space(params).shape == (STATE_SIZE,)
    check_state_vector(last, np.asarray(obs[-1]), params)


def check_state_vector(state: KageState, obs: np.ndarray, params: EnvParams) -> None:
    """The privileged observation once more, from the state by hand."""
    rise = 7.5**2 / (2 * 0.75)
    for i in range(20):
        body, tops = at(state.body, i), np.asarray(state.tops[i]).astype(float)
        segment, front = int(body.x) // 25, int(body.x) + 8
        behind, here = tops[max(segment - 1, 0)], tops[segment]
        ahead = [segment + k for k in range(1, 5)]
        expected = [
            body.vx,
            body.vy / 8.0,
            float(body.grounded),
            1 - body.coyote_timer / 4,
            (here - (body.y + 13)) / rise,
            (here - behind) / rise,
            state.time[i] / LIMIT,
            *[(25 * k - front) / 25 for k in ahead],
            *[(here - tops[k]) / rise for k in ahead],
        ]
        np.testing.assert_allclose(obs[i], np.array(expected, float), rtol=1e-4, atol=1e-5)


def test_values_do_not_recompile(made: Any, start: Any) -> None:
    """Every leaf of the parameters is traced: new values, same programs."""
    env, params = made

    @jax.jit
    def program(key: jax.Array, params: EnvParams) -> Any:
        state = initial_state(key, params, env.spec)
        state, reward = advance(key, state, jnp.int32(2), params, env.spec)
        return env.observe(None, state, None, params), reward

    key = jax.random.key(0)
    reference, _ = program(key, params)
    assert program._cache_size() == 1
    leaves, tree = jax.tree.flatten(params)
    assert len(leaves) > 100
    for factor in (1, 2):
        changed = [
            ~leaf if leaf.dtype == bool else (leaf * factor + factor).astype(leaf.dtype)
            for leaf in leaves
        ]
        program(key, jax.tree.unflatten(tree, changed))
    brighter = params.replace(
        layout=params.layout.replace(
            layout_colors=params.layout.layout_colors.replace(
                values=params.layout.layout_colors.values * 0 + 7
            )
        )
    )
    frame, _ = program(key, brighter)
    assert program._cache_size() == 1
    assert (frame != reference).any()
    # Another configuration with the same layers is the same program as well.
    twin, twin_params = make({**CONFIG, "layout": {**CONFIG["layout"], "layout_colors": ["red"]}})
    assert twin == env and hash(twin) == hash(env)
    program(key, twin_params)
    assert program._cache_size() == 1
    assert make({**CONFIG, "filters": {}})[0] != env


def test_equal_environments_share_compiled_methods(made: Any, start: Any) -> None:
    env, params = made
    KageEnv.reset.clear_cache()
    twin, twin_params = make({**CONFIG, "jump_penalty": 1.0, "physics": {"gravity": 0.5}})
    env.reset(jax.random.key(0), params)
    twin.reset(jax.random.key(0), twin_params)
    assert KageEnv.reset._cache_size() == 1


@pytest.mark.parametrize(
    ("name", "limit"), [("simplest", 512), ("default", 2048), ("hardest", 2048)]
)
def test_bytes_of_state(name: str, limit: int) -> None:
    env, params = make(name)
    state = jax.eval_shape(partial(initial_state, spec=env.spec), jax.random.key(0), params)
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert 100 < size <= limit
    scene = jax.eval_shape(env.scene, state, params)
    stored = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(scene))
    assert stored <= size


def test_programs_contain_only_the_layers_in_use() -> None:
    spec = make("simplest")[0].spec
    assert (spec.npc_slots, spec.sticky_slots, spec.distractor_slots, spec.lights) == (0, 0, 0, 0)
    assert spec.filters == spec.presets == spec.episode_presets == ()
    assert not spec.stochastic and not spec.switching
    both, params = make([load("simplest"), derive("base-f", {"filters.contrast": 2.0})])
    assert both.spec.filters == ("contrast",) and len(both.spec.characters) == 2
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(params))


def test_reset_of_stacked_configurations_equals_each_alone() -> None:
    """The same key gives the same episode, whatever other configurations are in the program."""
    noise = {"layout.run_width": 40, "background.mode": "noise"}
    shapes = {"character.shape_types": ["star", "line"]}
    configs = [derive("base-c", shapes), derive("base-a", noise)]
    env, params = make(configs, obs="state")
    both = lambda params: jax.vmap(  # noqa: E731
        lambda p: jax.vmap(lambda k: initial_state(k, p, env.spec))(keys(0))
    )(params)
    together = jax.jit(both)(params)
    assert (together.visuals.noise[1] != 0).all()
    one, p = make(configs[0], obs="state")
    alone = jax.jit(jax.vmap(lambda k, p: initial_state(k, p, one.spec), (0, None)))(keys(0), p)
    np.testing.assert_array_equal(together.tops[0, :, : one.spec.num_segments], alone.tops)
    np.testing.assert_array_equal(together.body.y[0], alone.body.y)
    for name in ("background", "layout_color", "shape_type", "shape_color"):
        ours, theirs = getattr(together.visuals, name)[0], getattr(alone.visuals, name)
        np.testing.assert_array_equal(ours, theirs, name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"obs": "ram"}, "obs: 'ram'"),
        ({"pooling": "median"}, "pooling: 'median'"),
        ({"obs_size": 48}, "obs_size: 48"),
        ({"obs_size": 0}, "obs_size: 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make("simplest", **options)
    assert "\n" not in str(error.value)


def test_wrong_lists_of_configurations() -> None:
    with pytest.raises(ValueError, match="empty list"):
        make([])
    small = {"base": "simplest", "H": 64, "layout": {"height_px": 64, "base_ground_y": 60}}
    with pytest.raises(ValueError, match="frame size"):
        make(["simplest", small])
