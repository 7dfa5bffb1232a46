"""The Gymnasium bridges: interface, seeds, automatic resets and errors."""

import importlib.util
import sys
import warnings
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from kagebench import gym

SHORT = {"base": "simplest", "episode_length": 5}
RIGHT = 2
COUNT = 3  # of every batch, so that all tests share one compiled program


def play(env: gym.KageGymEnv, steps: int) -> list[np.ndarray]:
    return [env.step(RIGHT)[0] for _ in range(steps)]


def test_gymnasium_accepts_the_registered_environment() -> None:
    assert "Kage/simplest-v0" in gym.register()
    env = gymnasium.make("Kage/simplest-v0", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = [name for name in gymnasium.registry if name.startswith("Kage/")]
        assert gym.register() == known
        check_env(env.unwrapped)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (128, 128, 3), np.uint8)
    assert env.action_space == gymnasium.spaces.Discrete(8)
    assert env.metadata["render_fps"] == 60
    batch = gymnasium.make_vec("Kage/simplest-v0", num_envs=COUNT)
    assert isinstance(batch, gym.KageVectorEnv) and batch.num_envs == COUNT


def test_unseeded_resets_follow_from_the_first_seed() -> None:
    first, second = gym.KageGymEnv(SHORT), gym.KageGymEnv(SHORT)
    levels = [first.reset(seed=7)[0], first.reset()[0], first.reset()[0]]
    np.testing.assert_array_equal(second.reset(seed=7)[0], levels[0])
    play(second, 3)  # how long an episode is played does not matter for the next ones
    np.testing.assert_array_equal(second.reset()[0], levels[1])
    np.testing.assert_array_equal(second.reset()[0], levels[2])
    assert (levels[0] != levels[1]).any() and (levels[1] != levels[2]).any()


def test_step_returns_python_numbers_and_truncates() -> None:
    env = gym.KageGymEnv(SHORT, render_mode="rgb_array")
    _, info = env.reset(seed=0)
    assert info == {}
    total = 0.0
    for time in range(1, 6):
        frame, reward, terminated, truncated, info = env.step(np.int64(RIGHT))
        total += reward
        assert (type(reward), terminated, truncated) == (float, False, time == 5)
        assert {type(value) for value in info.values()} == {int, float, bool}
        assert info["timestep"] == time
        assert info["return"] == pytest.approx(total, abs=1e-4)
    assert info["passed_distance"] > 0 and info["jump_count"] == 0
    np.testing.assert_array_equal(env.render(), frame)
    frame[:] = 0  # the caller owns what it was given
    assert env.render().any()


def test_calls_before_reset_are_refused() -> None:
    for env in (
        gym.KageGymEnv(SHORT, render_mode="rgb_array"),
        gym.KageVectorEnv(SHORT, render_mode="rgb_array"),
    ):
        with pytest.raises(gymnasium.error.ResetNeeded, match=r"step\(\) was called before reset"):
            env.step(0)
        with pytest.raises(gymnasium.error.ResetNeeded, match=r"render\(\) was called before"):
            env.render()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (8, "action 8 is not in 0..7"),
        (-1, "action -1 is not in 0..7"),
        (2.0, "integers in 0..7, got 2.0"),
        (True, "integers in 0..7, got True"),
        ([1], r"shape \(\), got \(1,\)"),
    ],
)
def test_wrong_actions_are_named(action: Any, message: str) -> None:
    env = gym.KageGymEnv(SHORT)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="'human'"):
        gym.KageGymEnv(SHORT, render_mode="human")
    with pytest.raises(ValueError, match="got 0"):
        gym.KageVectorEnv(SHORT, num_envs=0)
    with pytest.raises(ValueError, match="mapping, got list"):
        gym.KageGymEnv([SHORT, SHORT])  # pyright: ignore[reportArgumentType]
    batch = gym.KageVectorEnv(SHORT, num_envs=COUNT)
    with pytest.raises(ValueError, match="expected 3 seeds, got 2"):
        batch.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="reset_mask"):
        batch.reset(options={"reset_mask": np.ones(COUNT, bool)})
    batch.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(3,\), got \(2,\)"):
        batch.step([0, 0])
    with pytest.raises(ValueError, match="action 9 is not in"):
        batch.step([0, 9, 0])


def test_batch_plays_the_episodes_of_single_environments() -> None:
    """Against Gymnasium's own vector environment, which defines the layout of the results."""
    ours = gym.KageVectorEnv(SHORT, num_envs=COUNT)
    theirs = gymnasium.vector.SyncVectorEnv(
        [lambda: gym.KageGymEnv(SHORT)] * COUNT, autoreset_mode=AutoresetMode.SAME_STEP
    )
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    np.testing.assert_array_equal(ours.reset(seed=11)[0], theirs.reset(seed=11)[0])
    actions = np.array([RIGHT, RIGHT + 4, 0])
    for time in range(1, 6):
        frames, *outcome, info = ours.step(actions)
        expected_frames, *expected, expected_info = theirs.step(actions)
        for value, wanted in zip(outcome, expected, strict=True):
            np.testing.assert_array_equal(value, wanted)
            assert value.dtype == wanted.dtype
        if time < 5:  # then new episodes begin, whose levels need not agree
            np.testing.assert_array_equal(frames, expected_frames)
    assert_same_info(info, expected_info)
    assert (frames != np.stack(list(info["final_obs"]))).any()


def test_only_finished_environments_have_final_information() -> None:
    env = gym.KageVectorEnv(SHORT, num_envs=COUNT)
    env.reset(seed=0)
    # Put the second environment next to its time limit.
    env._states = env._states.replace(time=jax.numpy.array([0, 4, 2], jax.numpy.int32))
    frames, _, _, truncated, info = env.step([RIGHT] * COUNT)
    np.testing.assert_array_equal(truncated, [False, True, False])
    np.testing.assert_array_equal(info["_final_obs"], truncated)
    assert [final is None for final in info["final_obs"]] == [True, False, True]
    assert info["final_obs"][1].shape == (128, 128, 3)
    assert (info["final_obs"][1] != frames[1]).any()
    np.testing.assert_array_equal(info["final_info"]["timestep"], [0, 5, 0])
    np.testing.assert_array_equal(info["_timestep"], ~truncated)
    np.testing.assert_array_equal(info["timestep"], [1, 0, 3])


def test_batch_is_reproducible_from_one_seed() -> None:
    first, second = (gym.KageVectorEnv(SHORT, COUNT, copy=copy) for copy in (True, False))
    for seed in (3, [5, 6, 7]):
        second.reset()  # what came before a seed does not matter
        np.testing.assert_array_equal(first.reset(seed=seed)[0], second.reset(seed=seed)[0])
        for _ in range(6):  # through an automatic reset
            a, b = first.step([RIGHT] * COUNT)[0], second.step([RIGHT] * COUNT)[0]
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(first.reset()[0], second.reset()[0])
    assert a.flags.writeable and not b.flags.writeable
    np.testing.assert_array_equal(first.reset(seed=[5, 6, 7])[0], second.reset(seed=5)[0])
    assert (first.reset(seed=0)[0][0] != first.reset(seed=1)[0][0]).any()


def test_absence_of_gymnasium_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    spec = importlib.util.spec_from_file_location("gym_without_gymnasium", gym.__file__)
    assert spec is not None and spec.loader is not None
    with pytest.raises(ImportError, match=r"pip install 'kagebench\[gymnasium\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def assert_same_info(info: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal keys, values and masks, at any depth."""
    assert info.keys() == expected.keys()
    for name, wanted in expected.items():
        if isinstance(wanted, dict):
            assert_same_info(info[name], wanted)
        elif wanted.dtype == object:
            np.testing.assert_array_equal(np.stack(list(info[name])), np.stack(list(wanted)))
        else:
            np.testing.assert_array_equal(info[name], wanted, err_msg=name)
