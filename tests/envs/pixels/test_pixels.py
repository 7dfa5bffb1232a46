"""Environments of images: their dynamics, scenes, stacks and options, and what is drawn."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from algorithms.common.task import Task
from envs.mjx.backend import mujoco
from envs.mjx.picture import draw
from envs.pixels.adapter import Pixels
from envs.pixels.tasks import drawing_of

STEPS = 12
LIMIT = 5  # steps of an episode


def roll(env: Any, params: Any, actions: jax.Array) -> tuple[Any, Any]:
    """The first state, and what each step gives with its state; leaves have axis [STEPS]."""

    def run() -> tuple[Any, Any]:
        _, first = env.reset(jax.random.key(0), params)
        first = jax.tree.map(jnp.asarray, first)

        def step(state: Any, given: tuple[jax.Array, jax.Array]) -> tuple[Any, Any]:
            obs, state, *rest = env.step(given[0], state, given[1], params)
            return state, (obs, state, *rest)

        return first, jax.lax.scan(
            step, first, (jax.random.split(jax.random.key(1), STEPS), actions)
        )[1]

    return jax.tree.map(np.asarray, jax.jit(run)())


def at(tree: Any, index: int) -> Any:
    """One row of every leaf."""
    return jax.tree.map(lambda leaf: np.asarray(leaf[index]), tree)


@pytest.fixture(scope="module")
def pendulum() -> dict[str, Any]:
    """The pendulum of images and gymnax's own, with the same actions."""
    env, params = envs.make("pixels/pendulum", obs_size=20, m=1.5, max_steps_in_episode=LIMIT)
    inner, inner_params = envs.make("gymnax/Pendulum-v1", m=1.5, max_steps_in_episode=LIMIT)
    actions = jax.random.uniform(jax.random.key(2), (STEPS, 1), minval=-2.5, maxval=2.5)
    return {
        "env": env,
        "params": params,
        "rolled": roll(env, params, actions),
        "inner": roll(inner, inner_params, actions),
    }


def test_dynamics_are_those_of_the_inner_environment(pendulum: dict[str, Any]) -> None:
    _, state, reward, terminated, truncated, info = pendulum["rolled"][1]
    expected = pendulum["inner"][1]
    for name in ("theta", "theta_dot", "time"):
        got, wanted = getattr(state.inner, name), getattr(expected[1], name)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(reward, expected[2], rtol=1e-5)
    np.testing.assert_array_equal(terminated, expected[3])
    np.testing.assert_array_equal(truncated, expected[4])
    assert truncated.tolist() == [(i + 1) % LIMIT == 0 for i in range(STEPS)]
    assert {*info} == {*expected[5], "final_scene"}


def test_observations_are_the_last_frames_of_the_episode(pendulum: dict[str, Any]) -> None:
    env, params = pendulum["env"], pendulum["params"]
    first, (obs, state, _, _, truncated, info) = pendulum["rolled"]
    assert obs.shape == (STEPS, 20, 20, 9) and obs.dtype == np.uint8
    draw_one = jax.jit(lambda inner: env.env.render(env.env.scene(inner, params), params))
    frames = [np.asarray(draw_one(first.inner))] * 3
    assert len(np.unique(obs)) > 10 and (obs[0] != obs[1]).any()
    for step in range(STEPS):
        inner = at(state.inner, step)
        newest = np.asarray(draw_one(inner))
        if truncated[step]:
            final = info["final_observation"][step]
            np.testing.assert_array_equal(final[..., :6], np.concatenate(frames[1:], -1))
            assert (final[..., 6:] != newest).any()  # the last of the old episode
            frames = [newest] * 3
        else:
            frames = [*frames[1:], newest]
            np.testing.assert_array_equal(info["final_observation"][step], obs[step])
        np.testing.assert_array_equal(obs[step], np.concatenate(frames, -1))


def test_stored_scenes_draw_the_observations(pendulum: dict[str, Any]) -> None:
    env, params = pendulum["env"], pendulum["params"]
    _, (obs, state, _, _, _, info) = pendulum["rolled"]
    task = Task(env, params)
    assert task.has_scenes and task.observation_shape == (20, 20, 9)
    scenes = jax.vmap(env.scene, (0, None))(state, params)
    assert scenes.dtype == jnp.int16 and scenes[0].nbytes <= 64
    np.testing.assert_array_equal(task.render(scenes), obs)
    np.testing.assert_array_equal(task.render(info["final_scene"]), info["final_observation"])


def test_the_pendulum_points_where_gymnax_says() -> None:
    env, params = envs.make("pixels/pendulum", obs_size=32, frames=1)
    _, state = env.reset(jax.random.key(0), params)
    look = jax.jit(
        lambda theta: env.env.observe(None, state.inner.replace(theta=theta), None, params)
    )
    # Up, left, down, right: rows and columns (of 32) that the rod crosses, and their opposites.
    places = [(0.0, (7, 16)), (np.pi / 2, (16, 7)), (np.pi, (25, 16)), (-np.pi / 2, (16, 25))]
    for theta, (row, column) in places:
        seen = np.asarray(look(theta)).astype(int)
        assert abs(seen[row, column] - seen[0, 0]).max() > 50
        assert abs(seen[31 - row, 31 - column] - seen[0, 0]).max() == 0 or row == column
    longer = params.replace(l=0.5)
    assert (env.env.observe(None, state.inner, None, longer) != look(state.inner.theta)).any()


def test_repeated_actions_add_up() -> None:
    env, params = envs.make("pixels/pendulum", obs_size=16, frames=1, action_repeat=2)
    inner = envs.make("gymnax/Pendulum-v1")[0]
    key, action = jax.random.key(3), jnp.array([1.0])
    _, state = env.reset(key, params)
    _, new, reward, *_ = env.step(key, state, action, params)
    _, middle, first, *_ = inner.step_env(key, state.inner, action, params)
    _, last, second, *_ = inner.step_env(key, middle, action, params)
    np.testing.assert_allclose(new.inner.theta, last.theta, rtol=1e-5)
    np.testing.assert_allclose(reward, first + second, rtol=1e-5)
    assert int(new.time) == 2
    # Without a stack the observation is the image of the new state, too.
    seen, after, *_ = env.env.step_env(key, state.inner, action, params)
    np.testing.assert_array_equal(seen, env.env.observe(None, after, None, params))
    assert (seen != env.env.observe(None, state.inner, None, params)).any()


def test_options_decide_shapes_and_parameters() -> None:
    env, params = envs.make("pixels/maze-small", obs_size=12, frames=2, success_distance=0.3)
    assert env.observation_space(params).shape == (12, 12, 6)
    assert params.success_distance == 0.3 and params.max_steps_in_episode == 150
    again = envs.make("pixels/maze-small", obs_size=12, frames=2)
    assert again[0] is env and again[1].success_distance == 0.45
    assert envs.make("pixels/maze-small", obs_size=13, frames=2)[0] is not env
    # What is about vectors is gone, and what is about states is not.
    assert not any(hasattr(env.env, name) for name in ("goal_size", "with_goal", "goal_reward"))
    _, state = env.reset(jax.random.key(0), params)
    assert "#" in env.text(state, params)
    assert env.picture(state, params).shape == (12, 12, 3)


# --- What is drawn -------------------------------------------------------------------------------


def compare_images(name: str) -> None:
    """Images of first states against what Pillow draws of the same shapes.

    Pillow's edges are up to a third of a pixel farther out, which is much of what is thin.
    """
    env, params = envs.make(name, obs_size=128, frames=1)
    pixels: Any = env.env  # type: ignore[attr-defined]
    drawing = drawing_of(pixels.env)
    view = drawing.view.square()
    empty = draw([], view, 128).astype(float)
    for seed in range(3):
        _, state = pixels.reset_env(jax.random.key(seed), params)
        seen = np.asarray(pixels.observe(None, state, None, params)).astype(float)
        expected = draw([*drawing.fixed, *drawing.shapes(state, params)], view, 128).astype(float)
        assert np.abs(seen - expected).sum() < 0.18 * np.abs(expected - empty).sum()


def test_images_are_those_of_pillow() -> None:
    compare_images("pixels/pendulum")
    compare_images("pixels/maze-medium")


def check_shapes(name: str) -> None:
    """Shapes of the device against the geoms of MuJoCo, at random joint positions."""
    env, params = envs.make(name, obs_size=48, frames=1)
    inner: Any = env.env.env  # type: ignore[attr-defined]
    _, state = jax.jit(inner.reset_env)(jax.random.key(0), params)
    moved = jax.random.uniform(jax.random.key(1), (5, *state.qpos.shape), minval=-1.5, maxval=1.5)
    found = jax.jit(jax.vmap(lambda q: inner.shapes(state.replace(qpos=q))))(moved)
    axes, depth = ([0, 2], -1.0) if inner.view.projection == "side" else ([0, 1], 1.0)
    model, data = inner.mj_model, mujoco.MjData(inner.mj_model)
    solid = [geom for geom in range(model.ngeom) if model.geom_type[geom] != PLANE]
    for row, qpos in enumerate(np.asarray(moved)):
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        away = depth * data.geom_xpos[:, 3 - sum(axes)]
        order = sorted(solid, key=lambda geom: (round(away[geom], 6), geom))
        got = at(found, row)
        assert len(got) == len(order) + len(inner.marks(state))
        for geom, shape in zip(order, got, strict=False):
            expected = outline(model, data, geom)[:, axes]
            if inner.view.follow:
                expected[:, 0] -= qpos[0]
            points = shape.points if shape.spans is None else shape.points + SIGNS @ shape.spans
            np.testing.assert_allclose(points, expected, atol=1e-5)
            assert shape.spans is not None or shape.radius == model.geom_size[geom, 0]


PLANE, CAPSULE, BOX = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("PLANE", "CAPSULE", "BOX")
)
SIGNS = np.array(list(itertools.product((-1, 1), repeat=3)))


def outline(model: Any, data: Any, geom: int) -> np.ndarray:
    """The centre of a sphere, the ends of a capsule or the corners of a box, (n, 3)."""
    size, kind = model.geom_size[geom], model.geom_type[geom]
    local = np.zeros((1, 3))
    if kind == CAPSULE:
        local = np.array([[0, 0, -size[1]], [0, 0, size[1]]])
    elif kind == BOX:
        local = SIGNS * size
    return data.geom_xpos[geom] + local @ data.geom_xmat[geom].reshape(3, 3).T


def test_shapes_are_where_mujoco_puts_them() -> None:
    check_shapes("pixels/cartpole-swingup")
    check_shapes("pixels/reacher")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arm", "pusher", "push-t", "runner"])
def test_shapes_of_larger_models_are_where_mujoco_puts_them(name: str) -> None:
    check_shapes(f"pixels/{name}")


@pytest.mark.slow
@pytest.mark.parametrize("name", envs.list("pixels"))
def test_all_images_are_those_of_pillow(name: str) -> None:
    compare_images(name)


@pytest.mark.slow
def test_posts_show_the_speed_of_the_runner() -> None:
    env, params = envs.make("pixels/runner", frames=1)
    pixels: Pixels = env.env  # type: ignore[attr-defined]
    _, state = pixels.reset_env(jax.random.key(0), params)
    look = jax.jit(
        lambda x: pixels.observe(None, state.replace(qpos=state.qpos.at[0].set(x)), None, params)
    )
    here = np.asarray(look(0.25))
    np.testing.assert_array_equal(look(7.25), here)
    changed = (np.asarray(look(0.5)) != here).any((1, 2))
    assert changed.any() and not changed[:33].any()  # below the horizon alone
