"""StaQ: exact policy mirror descent on tables, targets by hand, and that it learns."""

from dataclasses import replace

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import staq
from algorithms.common import replay
from algorithms.common.task import Task
from envs import exact
from envs.tabular import TabularMDP, garnet
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = staq.Config(network="mlp", memory=3, rounds=4, total_timesteps=400)
TEMPERATURE, KL_WEIGHT = 0.1, 0.4


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


@pytest.fixture(scope="module")
def mdp() -> TabularMDP:
    return garnet(jax.random.key(0), states=6, actions=3, gamma=0.8)


def descend(mdp: TabularMDP, config: staq.Config, iterations: int) -> list[jax.Array]:
    """Policies of StaQ with exact Q-functions, kept in its stack."""

    @jax.jit
    def step(stack, count):
        logits = jnp.einsum("m,msa->sa", staq.weights(count, config), stack)
        policy = jax.nn.softmax(logits)
        q = exact.regularised_evaluation(mdp, policy, config.temperature).q
        return policy, staq.push(stack, q, count, jnp.bool_(True))

    stack = jnp.zeros((config.memory, *mdp.reward.shape))
    policies = []
    for k in range(iterations):
        policy, stack = step(stack, jnp.int32(k))
        policies.append(policy)
    return policies


@pytest.mark.parametrize("memory", [1, 4])
def test_with_exact_values_it_is_policy_mirror_descent(mdp, memory):
    config = SMALL.replace(temperature=TEMPERATURE, kl_weight=KL_WEIGHT, memory=memory)
    expected = exact.mirror_descent(mdp, TEMPERATURE, KL_WEIGHT, 10, memory=memory)
    np.testing.assert_allclose(descend(mdp, config, 10), expected.policy, atol=1e-5)


def test_finite_memory_reaches_the_optimum_if_weights_are_corrected(mdp):
    config = SMALL.replace(temperature=TEMPERATURE, kl_weight=KL_WEIGHT, memory=6)
    optimum = exact.regularised_optimum(mdp, TEMPERATURE).policy
    np.testing.assert_allclose(descend(mdp, config, 80)[-1], optimum, atol=1e-4)
    softer = descend(mdp, config.replace(corrected=False), 80)[-1]
    assert np.all(exact.entropy(softer) > exact.entropy(optimum) + 0.01)


def test_weights_and_places_in_the_stack():
    config = SMALL.replace(temperature=0.1, kl_weight=0.1)
    # beta is 1/2; the newest of four is where the first one was.
    scale = 0.2 * (1 - 1 / 8)
    for count, expected in ((0, [0, 0, 0]), (2, [0.5, 1, 0]), (4, [1, 0.25, 0.5])):
        found = staq.weights(jnp.int32(count), config)
        np.testing.assert_allclose(found, np.array(expected) / scale, rtol=1e-6)
    np.testing.assert_allclose(jnp.sum(staq.weights(jnp.int32(9), config)), 1 / 0.1, rtol=1e-6)
    plain = staq.weights(jnp.int32(4), config.replace(corrected=False))
    np.testing.assert_allclose(plain, np.array([1, 0.25, 0.5]) / 0.2, rtol=1e-6)

    stack = {"q": jnp.array([1.0, 2.0, 3.0])}
    for due, expected in ((True, [1.0, 9.0, 3.0]), (False, [1.0, 2.0, 3.0])):
        found = staq.push(stack, {"q": jnp.float32(9.0)}, jnp.int32(4), jnp.bool_(due))
        np.testing.assert_array_equal(found["q"], expected)


def test_targets_are_values_of_the_stacked_policy(cartpole):
    config = SMALL.replace(temperature=0.5, kl_weight=0.0, loss="mse", memory=2)
    learner = jax.jit(staq.init)(jax.random.key(0), config, cartpole).learner
    keys = jax.random.split(jax.random.key(1), 2)
    stack = jax.jit(jax.vmap(lambda key: staq.init_network(key, config, cartpole)))(keys)
    learner = replace(learner, stack=stack, count=jnp.int32(2))
    seen, next_seen = jax.random.normal(jax.random.key(2), (2, 64, 4))
    action, discount = np.arange(64) % 2, np.linspace(0.0, 1.0, 64)
    batch = replay.Sample(
        seen, jnp.array(action), jnp.ones(64), jnp.array(discount), next_seen, discount == 0.0
    )
    found, metrics = jax.jit(staq.loss)(learner.params, learner, batch, config, cartpole)
    # Without KL only the newest Q-function counts.
    values = jax.jit(staq.values)
    newest = values(jax.tree.map(lambda leaf: leaf[1], stack), next_seen, config)
    pi = np.asarray(jax.nn.softmax(newest / 0.5))
    after = np.asarray(values(learner.target, next_seen, config)) - 0.5 * np.log(pi)
    goal = 1.0 + discount * np.sum(pi * after, axis=1)
    now = np.asarray(values(learner.params, seen, config))[np.arange(64), action]
    np.testing.assert_allclose(found, 0.5 * np.mean((now - goal) ** 2), rtol=1e-4)
    np.testing.assert_allclose(metrics["entropy"], -np.mean(np.sum(pi * np.log(pi), 1)), rtol=1e-4)


def test_some_actions_are_uniform():
    logits = jnp.tile(jnp.log(jnp.array([0.1, 0.2, 0.7])), (8000, 1))
    actions = staq.behave(jax.random.key(0), logits, SMALL.replace(epsilon=0.3))
    np.testing.assert_allclose(np.bincount(actions) / 8000, [0.17, 0.24, 0.59], atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 0}, "memory: got 0, allowed: at least 1"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
    ],
)
def test_options_that_do_not_fit_are_refused(cartpole, options, message):
    with pytest.raises(ValueError, match=rf"^{message}"):
        staq.init(jax.random.key(0), replace(SMALL, **options), cartpole)


def test_it_learns_to_balance():
    config, task = learning("staq")
    _, metrics = run(staq, config, task)
    # 18 seeds lasted 35 to 500 steps, on average 150. Bootstrapping through ends, weights of the
    # wrong sign, ignoring the action: below 28.
    assert np.mean(final(metrics)) > 50.0, final(metrics)
