"""What learned values are compared with, where true ones are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.classic_control.pendulum import EnvParams, Pendulum

from algorithms import dsac, sac, td3
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


def blank(algorithm, **options):
    """A state whose critics say 0 and whose entropies weigh nothing."""
    config = algorithm.Config(network="mlp", buffer_size=1024, gamma=GAMMA, **options)
    task = Task(Paid(), EnvParams())
    state = algorithm.init(jax.random.key(0), config, task)
    nothing = jax.tree.map(jnp.zeros_like, state.learner.critic)
    learner = state.learner.replace(critic=nothing)
    if hasattr(learner, "log_alpha"):
        learner = learner.replace(log_alpha=jnp.float32(-100.0))
    return state.replace(learner=learner), config, task


def test_values_are_compared_with_discounted_sums_of_rewards():
    state, config, task = blank(sac, reward_scale=0.5)
    bias = of_sac.bias(state, config, task)
    assert float(bias) == pytest.approx(-1.0 / (1.0 - GAMMA), rel=1e-5)
    state, config, task = blank(td3)
    excess = of_td3.excess_of(state.learner, jax.random.key(1), config, task)
    assert float(excess) == pytest.approx(-2.0 / (1.0 - GAMMA), rel=1e-5)
    for algorithm in (sac, dsac):
        state, config, task = blank(algorithm)
        error, value = of_dsac.error_of(algorithm, state, config, task)
        assert float(error) == pytest.approx(-2.0 / (1.0 - GAMMA), rel=1e-5)
        assert float(value) == pytest.approx(0.0, abs=1e-6)


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
