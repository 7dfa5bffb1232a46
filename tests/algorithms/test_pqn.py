"""PQN: lambda returns against sums written out, values at time limits, and that it learns."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import pqn
from algorithms.common.task import Task
from algorithms.common.traces import lambda_returns
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


def brute_force(reward, value, terminated, truncated, gamma, trace):
    """The weighted average of all n-step returns, written out for one environment."""
    steps = len(reward)
    found = np.zeros(steps)
    for t in range(steps):
        # The last step that belongs to the episode, and to the rollout.
        ends = [k for k in range(t, steps) if terminated[k] or truncated[k]]
        last = ends[0] if ends else steps - 1
        returns = []
        for k in range(t, last + 1):
            rewards = sum(gamma ** (i - t) * reward[i] for i in range(t, k + 1))
            future = 0.0 if terminated[k] else gamma ** (k + 1 - t) * value[k]
            returns.append(rewards + future)
        weights = [(1 - trace) * trace**n for n in range(len(returns) - 1)]
        found[t] = np.dot([*weights, trace ** (len(returns) - 1)], returns)
    return found


@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
def test_lambda_returns_average_all_n_step_returns(trace):
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(2, 12, 3)).astype(np.float32)
    terminated, truncated = rng.random((2, 12, 3)) < 0.15
    found = lambda_returns(reward, value, terminated, truncated, 0.9, trace)
    expected = [
        brute_force(reward[:, n], value[:, n], terminated[:, n], truncated[:, n], 0.9, trace)
        for n in range(3)
    ]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_a_time_limit_counts_the_value_of_the_observation_before_the_reset(cartpole):
    # Episodes of three steps: only truncations. Values are told apart by what they are of.
    task = cartpole.replace(params=cartpole.params.replace(max_steps_in_episode=3))
    config = pqn.Config(num_envs=2, num_steps=8, num_minibatches=1, trace=0.0)
    state = jax.jit(pqn.init)(jax.random.key(0), config, task)
    state, rollout, _ = jax.jit(pqn.collect)(state, jax.random.key(1), config, task)
    batch = jax.jit(pqn.estimate)(state, rollout, config, task)
    assert bool(jnp.any(rollout.truncated)) and not bool(jnp.any(rollout.terminated))
    after = rollout.final_scene.reshape(-1, 4)
    best = jnp.max(pqn.values(state.params, after, config), axis=-1)
    expected = rollout.reward.reshape(-1) + config.gamma * best
    np.testing.assert_allclose(batch.target, expected, rtol=1e-5)


def test_the_loss_of_a_minibatch(cartpole):
    config = pqn.Config(network="mlp", layer_norm=False)
    params = {
        "dense_0": {"kernel": jnp.zeros((4, 64)), "bias": jnp.zeros(64)},
        "dense_1": {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)},
        "head": {"kernel": jnp.zeros((64, 2)), "bias": jnp.array([1.0, 3.0])},
    }
    batch = pqn.Batch(jnp.zeros((2, 4)), jnp.array([0, 1]), jnp.array([2.0, 0.0]))
    result, metrics = pqn.loss(params, batch, config, cartpole)
    np.testing.assert_allclose(result, 0.5 * (1.0 + 9.0) / 2)
    np.testing.assert_allclose(metrics["value"], 2.0)


def test_normalised_features_have_mean_0_and_variance_1(cartpole):
    config = pqn.Config(network="mlp-128")
    params = pqn.init_network(jax.random.key(0), config, cartpole)
    # Before the activation, so a relu of standard normal numbers: mean 0.4, share of zeros 1/2.
    features = pqn.networks.trunk(params, 100.0 * jnp.ones((1, 4)), config.network)
    np.testing.assert_allclose(jnp.mean(features), 0.4, atol=0.1)
    scaled = pqn.networks.trunk(params, 1000.0 * jnp.ones((1, 4)), config.network)
    np.testing.assert_allclose(scaled, features, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_minibatches": 7}, "num_minibatches: 7 does not divide"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one rollout"),
        ({"network": "small"}, "takes images"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(cartpole, options, message):
    with pytest.raises(ValueError, match=message):
        pqn.init(jax.random.key(0), pqn.Config(**options), cartpole)


def test_it_learns_to_balance():
    config, task = learning("pqn")
    _, metrics = run(pqn, config, task)
    # 18 seeds lasted 136 to 500 steps. A random policy lasts 22; without ends, or without
    # bootstrapping, it stays below 35.
    assert np.all(final(metrics) > 90.0), final(metrics)
