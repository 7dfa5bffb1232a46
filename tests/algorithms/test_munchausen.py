"""Munchausen DQN: Tsallis policies, M-DQN by hand, regularised optima of tables, and learning."""

from dataclasses import replace

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import munchausen
from algorithms.common import replay, tsallis
from algorithms.common.task import Task
from envs import exact
from envs.tabular import TabularMDP, garnet
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = munchausen.Config(network="mlp", rounds=4, total_timesteps=400)
INDICES = (1.0, 1.5, 2.0, 3.0)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


@pytest.fixture(scope="module")
def mdp() -> TabularMDP:
    return garnet(jax.random.key(0), states=6, actions=3, gamma=0.8)


def test_policies_are_exact_for_every_index():
    logits = 3.0 * jax.random.normal(jax.random.key(0), (50, 4))
    logits = logits.at[0].set(1e4 * logits[0]).at[1].set(0.0)
    every = jax.jit(jax.vmap(tsallis.policy, (None, 0)))(logits, jnp.array(INDICES))
    for i, q in enumerate(INDICES):
        policy, log_policy = every[0][i], every[1][i]
        np.testing.assert_allclose(policy, exact.tsallis_policy(logits, q), atol=2e-6)
        inside = policy > 1e-3
        expected = exact.q_logarithm(jnp.where(inside, policy, 1.0), q)
        np.testing.assert_allclose(jnp.where(inside, log_policy, 0.0), expected, atol=1e-3)
        if q > 1.0:
            np.testing.assert_allclose(log_policy[policy == 0.0], -1.0 / (q - 1.0), rtol=1e-6)
    np.testing.assert_allclose(every[1][0], jax.nn.log_softmax(logits), rtol=1e-5, atol=1e-5)
    assert np.all(np.sum(every[0] == 0.0, axis=(1, 2))[1:] > 40)


@pytest.mark.parametrize("q", INDICES)
def test_without_bonus_tables_reach_the_regularised_optimum(mdp, q):
    config = SMALL.replace(q=q, temperature=0.3)
    found = iterate(mdp, config.replace(munchausen=0.0))
    np.testing.assert_allclose(found, exact.regularised_optimum(mdp, 0.3, q).q, atol=2e-4)


def test_with_bonus_tables_reach_the_optimum_of_a_lower_temperature(mdp):
    # Munchausen value iteration is mirror descent with a KL weight of alpha tau and an entropy
    # weight of (1 - alpha) tau (Vieillard et al. 2020, theorem 1).
    config = SMALL.replace(q=1.0, temperature=0.5, munchausen=0.6, bonus="log-policy")
    config = config.replace(bonus_floor=-1e3)
    policy = jax.nn.softmax(iterate(mdp, config) / 0.5)
    np.testing.assert_allclose(policy, exact.regularised_optimum(mdp, 0.2).policy, atol=1e-4)


@jax.jit
def iterate(mdp: TabularMDP, config: munchausen.Config) -> jax.Array:
    """Expected targets, applied to a table (S, A) until nothing changes."""

    def backup(_, table):
        bonus = munchausen.munchausen_bonus(table, config)[0]
        after = munchausen.soft_value(table, config)
        return mdp.reward + config.munchausen * bonus + mdp.gamma * mdp.P @ after

    return jax.lax.fori_loop(0, 150, backup, jnp.zeros_like(mdp.reward))


def test_the_loss_of_index_one_is_that_of_m_dqn(cartpole):
    config = SMALL.replace(q=1.0, bonus="log-policy", loss="mse", bonus_floor=-0.05)
    init, values = jax.jit(munchausen.init_network), jax.jit(munchausen.values)
    online, target = (init(jax.random.key(seed), config, cartpole) for seed in (0, 1))
    seen, next_seen = jax.random.normal(jax.random.key(2), (2, 64, 4))
    action, discount = np.arange(64) % 2, np.linspace(0.0, 1.0, 64)
    batch = replay.Sample(
        seen, jnp.array(action), jnp.ones(64), jnp.array(discount), next_seen, discount == 0.0
    )
    found, metrics = jax.jit(munchausen.loss)(online, target, batch, config, cartpole)
    here, there = (np.asarray(values(target, x, config)) for x in (seen, next_seen))
    log_here, log_there = (np.asarray(jax.nn.log_softmax(x / 0.03)) for x in (here, there))
    bonus = np.clip(0.03 * log_here[np.arange(64), action], -0.05, 0.0)
    assert 10 < np.sum(bonus == -0.05) < 50
    value = np.sum(np.exp(log_there) * (there - 0.03 * log_there), axis=1)
    goal = 1.0 + 0.9 * bonus + discount * value
    now = np.asarray(values(online, seen, config))[np.arange(64), action]
    np.testing.assert_allclose(found, 0.5 * np.mean((now - goal) ** 2), rtol=1e-4)
    np.testing.assert_allclose(metrics["bonus"], bonus.mean(), rtol=1e-4)


def test_bonuses_by_hand():
    # Logits (2, 1.5, 0): a sparsemax of (3/4, 1/4, 0), q-logarithms pi - 1.
    value = jnp.array([[1.0, 0.75, 0.0]])
    config = SMALL.replace(q=2.0, temperature=0.5, bonus_floor=-0.4)
    bonus, policy = munchausen.munchausen_bonus(value, config.replace(bonus="log-policy"))
    np.testing.assert_allclose(policy, [[0.75, 0.25, 0.0]], atol=1e-6)
    np.testing.assert_allclose(bonus, [[-0.125, -0.375, -0.4]], atol=1e-6)
    bonus, _ = munchausen.munchausen_bonus(value, config)
    np.testing.assert_allclose(bonus, [[0.0625, -0.1875, -0.4]], atol=1e-6)
    # sum pi Q + tau H_2, where H_2 = (1 - 9/16 - 1/16) / 2.
    np.testing.assert_allclose(munchausen.soft_value(value, config), [0.9375 + 0.09375], rtol=1e-6)


def test_too_few_steps_are_refused(cartpole):
    with pytest.raises(ValueError, match=r"^total_timesteps: 10 is less than one update"):
        munchausen.init(jax.random.key(0), replace(SMALL, total_timesteps=10), cartpole)


def test_it_learns_to_balance():
    config, task = learning("munchausen")
    _, metrics = run(munchausen, config, task)
    # 18 seeds lasted 105 to 172 steps. Bootstrapping through ends, not at all, or ignoring the
    # action: below 19.
    assert np.all(final(metrics) > 60.0), final(metrics)
