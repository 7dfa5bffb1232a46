"""What learned values are compared with, where true ones are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.classic_control.pendulum import EnvParams, Pendulum

from algorithms import dsac, sac, td3
from algorithms.common import tanh_gaussian
from algorithms.common.task import Task
from sweeps.evidence import dsac as of_dsac
from sweeps.evidence import sac as of_sac
from sweeps.evidence import td3 as of_td3
from sweeps.evidence.training import RaisedPendulum, raised_pendulum

GAMMA = 0.9


class Paid(Pendulum):
    """Every step is worth 2."""

    def step_env(self, key, state, action, params):
        observation, state, _, *rest = super().step_env(key, state, action, params)
        return observation, state, jnp.float32(2.0), *rest


def blank(algorithm, alpha=0.0, **options):
    """A state whose critics say 3 and 50, and whose policy is the same everywhere."""
    config = algorithm.Config(network="mlp", buffer_size=1024, gamma=GAMMA, **options)
    task = Task(Paid(), EnvParams())
    state = algorithm.init(jax.random.key(0), config, task)
    critic, actor = (
        jax.tree.map(jnp.zeros_like, net) for net in (state.learner.critic, state.learner.actor)
    )
    critic["head"]["bias"] = critic["head"]["bias"].at[:, 0].set(jnp.array([3.0, 50.0]))
    learner = state.learner.replace(critic=critic, actor=actor)
    if hasattr(learner, "log_alpha"):
        actor["head"]["bias"] = jnp.array([0.0, -10.0])  # narrow: its entropy is far from 0
        learner = learner.replace(log_alpha=jnp.log(alpha))
    return state.replace(learner=learner), config, task


def test_values_are_compared_with_discounted_sums_of_rewards():
    state, config, task = blank(sac, reward_scale=0.5)
    bias = of_sac.bias(state, config, task)
    assert float(bias) == pytest.approx(3.0 - 1.0 / (1.0 - GAMMA), rel=1e-5)
    state, config, task = blank(td3)
    excess = of_td3.excess_of(state.learner, jax.random.key(1), config, task)
    assert float(excess) == pytest.approx(3.0 - 2.0 / (1.0 - GAMMA), rel=1e-5)
    for algorithm in (sac, dsac):
        state, config, task = blank(algorithm)
        error, value = of_dsac.error_of(algorithm, state, config, task)
        assert float(error) == pytest.approx(3.0 - 2.0 / (1.0 - GAMMA), rel=1e-5)
        assert float(value) == pytest.approx(3.0, rel=1e-6)


def test_entropies_count_from_the_step_after_the_valued_action():
    # gamma H / (1 - gamma) with the entropy H of a tanh-Gaussian, from many samples.
    for algorithm in (sac, dsac):
        state, config, task = blank(algorithm, alpha=0.5)
        mean, log_std = algorithm.policy_parameters(state.learner.actor, jnp.zeros((1, 3)), config)
        keys = jax.random.split(jax.random.key(2), 100_000)
        _, log_prob = jax.vmap(tanh_gaussian.sample, (0, None, None))(keys, mean, log_std)
        later = -0.5 * float(log_prob.mean()) * GAMMA / (1.0 - GAMMA)
        assert later < -5.0
        expected = 3.0 - 2.0 / (1.0 - GAMMA) - later
        error, _ = of_dsac.error_of(algorithm, state, config, task)
        assert float(error) == pytest.approx(expected, abs=0.3)
        if algorithm is sac:
            assert float(of_sac.bias(state, config, task)) == pytest.approx(expected, abs=0.3)


def test_a_raised_pendulum_differs_in_its_rewards_alone():
    task, plain = raised_pendulum(), Pendulum()
    assert isinstance(task.env, RaisedPendulum)
    key = jax.random.key(0)
    _, state = plain.reset_env(key, EnvParams())
    action = jnp.array([0.5])
    observation, after, reward, *_ = plain.step_env(key, state, action, EnvParams())
    raised = task.env.step_env(key, state, action, task.params)
    np.testing.assert_array_equal(raised[0], observation)
    jax.tree.map(np.testing.assert_array_equal, raised[1], after)
    np.testing.assert_allclose(raised[2], 0.1 * (reward + 6.0), rtol=1e-6)
