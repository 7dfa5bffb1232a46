"""Evaluation on shared levels, against episodes played step by step."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import make, rewards
from kagebench.evaluate import METRICS, chunks, evaluate, record, scripted
from kagebench.oracle import POLICIES
from kagebench.suites import PAIRS, derive

STEPS = 40
SHORT = 25


def _biased(action, key, observation, state, params):
    """Mostly the given action, otherwise noise."""
    del observation, state, params
    follow_key, noise_key = jax.random.split(key)
    noise = jax.random.randint(noise_key, (), 0, 8)
    return jnp.where(jax.random.uniform(follow_key) < 0.7, action, noise)


def _there_and_back(action, key, observation, state, params):
    """Right, then left."""
    del action, key, observation, params
    return jnp.where(state.time < STEPS // 2, 2, 1)


def _looking(action, key, observation, state, params):
    """Jumps if the frame is bright."""
    del action, key, state, params
    return jnp.where(observation.astype(jnp.float32).mean() > 60.0, 6, 2)


def _jumping(action, key, observation, state, params):
    return scripted(POLICIES["right_jump"], action, key, observation, state, params)


KINDS = (_biased, _there_and_back, _looking, _jumping)


def _act(agent, *args):
    """All policies of these tests in one program; an agent is (kind, action)."""
    return jax.lax.switch(agent[0], KINDS, agent[1], *args)


# Positions of the agents that the fixture evaluates.
BIASED, JUMPY, BIASED_AGAIN, BACK, LOOKING, JUMPING = range(6)
AGENTS = jnp.array([0, 0, 0, 1, 2, 3]), jnp.array([2, 6, 2, 0, 0, 0])


@pytest.fixture(scope="module")
def task():
    """Three configurations with little time; one of them with less, one with a near goal."""
    sources = [
        derive("base-a", {"episode_length": STEPS}),
        derive("base-a", {"episode_length": SHORT, "layout.layout_colors": ["red"]}),
        derive(
            "base-a",
            {
                "episode_length": STEPS,
                "background.mode": "color",
                "background.color_names": ["lime"],
                "dist_to_success": 8.0,
            },
        ),
    ]
    env, params = make(sources, obs_size=32)
    return SimpleNamespace(env=env, params=params, keys=jax.random.split(jax.random.key(5), 5))


@pytest.fixture(scope="module")
def found(task):
    """Results of all agents."""
    return evaluate(task.env, task.params, _act, AGENTS, task.keys, together=64)


def test_levels_are_shared_by_all_configurations():
    sources = ["base-a", *(pair.validation for pair in PAIRS.values()), "hardest"]
    env, params = make(sources, obs="state")
    reset = jax.jit(jax.vmap(lambda key, params: env.reset(key, params)[1].tops, (None, 0)))
    tops = np.asarray(reset(jax.random.key(3), params))
    assert (tops == tops[0]).all()
    assert (tops[0] != np.asarray(reset(jax.random.key(4), params))[0]).any()


def test_metrics_are_those_of_the_episode(task, found):
    """One agent on one configuration, stepped from outside through the public interface."""
    env, config, episode = task.env, 2, 3
    params = jax.tree.map(lambda leaf: leaf[config], task.params)
    reset_key, play_key = jax.random.split(task.keys[episode])
    state = jax.jit(lambda key: env.reset(key, params)[1])(reset_key)
    step = jax.jit(lambda key, state, action: env.step_env(key, state, action, params)[1:5])
    start, total, jumps, once = float(state.body.x), 0.0, 0, False
    for time in range(STEPS):
        act_key, step_key = jax.random.split(jax.random.fold_in(play_key, time))
        action = _biased(6, act_key, None, state, params)
        state, reward, *_ = step(step_key, state, action)
        total += float(reward)
        jumps += int(action) & 4 > 0
        once |= float(state.body.x) - start >= 8.0
    distance = float(state.body.x) - start
    expected = {
        "distance": distance,
        "progress": float(rewards.progress(jnp.float32(distance), params)),
        "success": distance >= 8.0,
        "success_strict": distance > 8.0,
        "success_once": once,
        "return": total,
        "jump_count": jumps,
    }
    assert once and jumps > 0
    for name in METRICS:
        value = float(expected[name])
        assert found[name][JUMPY, config, episode] == pytest.approx(value, abs=1e-2)


def test_an_episode_does_not_depend_on_what_is_evaluated_with_it(task, found):
    few = evaluate(task.env, task.params, _act, AGENTS, task.keys, together=3)
    for name in METRICS:
        np.testing.assert_array_equal(few[name], found[name])


def test_agents_and_configurations_share_levels_and_noise(found):
    returns = found["return"]
    np.testing.assert_array_equal(returns[BIASED], returns[BIASED_AGAIN])
    np.testing.assert_array_equal(returns[BIASED, 0], returns[BIASED, 2])
    assert (returns[BIASED] != returns[JUMPY]).any()
    assert len(np.unique(returns[BIASED, 0])) > 1


def test_an_episode_ends_at_its_own_time_limit(found):
    jumps = found["jump_count"][JUMPING]
    np.testing.assert_array_equal(jumps, np.array([[STEPS], [SHORT], [STEPS]]) * np.ones(5))


def test_success_is_at_the_end_and_success_once_at_any_time(found):
    once, end = found["success_once"][BACK, 2], found["success"][BACK, 2]
    assert (end <= once).all()
    assert once.sum() > end.sum()


def test_a_policy_sees_the_observation_of_its_configuration(found):
    """The lime frame is bright, the black ones are not."""
    jumps = found["jump_count"][LOOKING]
    np.testing.assert_array_equal(jumps, np.array([[0], [0], [STEPS]]) * np.ones(5))


def test_a_record_is_the_evaluated_episode(task, found):
    states = record(
        task.env, _act, STEPS, (AGENTS[0][JUMPY], AGENTS[1][JUMPY]), task.params, task.keys[3]
    )
    assert states.time.shape == (3, STEPS + 1)
    np.testing.assert_array_equal(states.time[:, 0], 0)
    np.testing.assert_array_equal(states.time[:, -1], [STEPS, SHORT, STEPS])
    np.testing.assert_array_equal(states.episode_return[:, -1], found["return"][JUMPY, :, 3])


@pytest.mark.parametrize(
    ("sizes", "together"), [((2, 3, 7), 4), ((1, 12, 64), 256), ((3, 1, 1), 1)]
)
def test_chunks_cover_everything_within_the_limit(sizes, together):
    seen = np.zeros(sizes, int)
    shapes = set()
    for chunk in chunks(sizes, together):
        block = seen[chunk]
        shapes.add(block.shape)
        assert 0 < block.size <= together
        block += 1
    assert (seen > 0).all()
    assert len(shapes) == 1


def test_empty_evaluations_are_rejected(task):
    with pytest.raises(ValueError, match="each must be at least 1"):
        evaluate(task.env, task.params, _act, jnp.zeros(0), task.keys)
