"""Iterated Q-networks: one network is DQN, the window by hand, Bellman updates in closed form."""

from dataclasses import replace

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import dqn, iterated_q
from algorithms.common import replay
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = iterated_q.Config(network="mlp", num_networks=3, rounds=4, total_timesteps=400)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


def test_one_network_is_dqn(cartpole):
    sizes = {"network": "mlp", "rounds": 24, "learning_starts": 32, "batch_size": 16, "n_step": 2}
    config = iterated_q.Config(num_networks=1, shift_interval=7, **sizes)
    plain = dqn.Config(double=False, target_interval=7, **sizes)
    expected = jax.jit(dqn.init)(jax.random.key(0), plain, cartpole)
    state = jax.jit(iterated_q.init)(jax.random.key(0), config, cartpole)
    params = jax.tree.map(lambda leaf: leaf[None], expected.learner.params)
    state = replace(state, learner=replace(state.learner, params=params, target=params))

    expected, expected_metrics = jax.jit(dqn.update)(expected, plain, cartpole)
    state, metrics = jax.jit(iterated_q.update)(state, config, cartpole)
    learner = expected.learner
    assert int(state.learner.gradients) == int(learner.gradients) == 21
    for name in ("params", "target", "optimiser"):
        pairs = zip(
            jax.tree.leaves(getattr(state.learner, name)),
            jax.tree.leaves(getattr(learner, name)),
            strict=True,
        )
        for one, other in pairs:
            np.testing.assert_allclose(one[0], other, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(state.ring.steps.action, expected.ring.steps.action)
    for name in iterated_q.METRICS + ("return", "episodes", "epsilon"):
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_targets_are_those_of_dqn(cartpole, double):
    config, plain = SMALL.replace(double=double), dqn.Config(double=double, network="mlp")
    init = jax.jit(iterated_q.init_network)
    online, target = (init(jax.random.key(seed), config, cartpole) for seed in (0, 1))
    seen, next_seen = jax.random.normal(jax.random.key(2), (2, 64, 4))
    action, discount = jnp.arange(64) % 2, jnp.linspace(0.0, 1.0, 64)
    reward = jnp.ones(64)
    batch = replay.Sample(seen, action, reward, discount, next_seen, discount == 0.0)
    found = jax.jit(iterated_q.loss)(online, target, batch, config, cartpole)[0]
    channels = replace(batch, reward=reward[:, None])
    expected = jax.jit(dqn.loss)(online, target, channels, plain, cartpole)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("gradients", "params", "target"),
    [
        (5, [1.0, 2.0, 3.0], [0.0, 10.0, 20.0]),
        (6, [1.0, 2.0, 3.0], [0.0, 1.0, 2.0]),
        (9, [2.0, 3.0, 3.0], [1.0, 2.0, 3.0]),
        (18, [2.0, 3.0, 3.0], [1.0, 2.0, 3.0]),
    ],
)
def test_targets_are_renewed_and_the_window_moves(gradients, params, target):
    # Networks 1, 2, 3 online; 0 frozen; 10 and 20 older copies of 1 and 2.
    config = SMALL.replace(target_interval=6, shift_interval=9)
    online, old = {"w": jnp.array([1.0, 2.0, 3.0])}, {"w": jnp.array([0.0, 10.0, 20.0])}
    found = iterated_q.advance(online, old, jnp.int32(gradients), config)
    np.testing.assert_array_equal(found[0]["w"], params)
    np.testing.assert_array_equal(found[1]["w"], target)


def test_the_chain_starts_with_targets_one_network_behind(cartpole):
    learner = jax.jit(iterated_q.init)(jax.random.key(0), SMALL, cartpole).learner
    kernel, target = learner.params["head"]["kernel"], learner.target["head"]["kernel"]
    np.testing.assert_array_equal(target[1:], kernel[:-1])
    np.testing.assert_array_equal(target[0], kernel[0])
    assert np.all(np.abs(kernel[1:] - kernel[:-1]).max(axis=(1, 2)) > 0.1)


def test_the_networks_learn_consecutive_bellman_updates(cartpole):
    # One state: only the biases of the heads learn. Action 0 pays 1, gamma 1/2, Q_0 = (0, 0).
    config = SMALL.replace(
        num_envs=2,
        buffer_size=16,
        gamma=0.5,
        learning_rate=0.02,
        batch_size=8,
        gradient_steps=1500,
        target_interval=3,
        shift_interval=10_000,
        learning_starts=0,
    )
    state = jax.jit(iterated_q.init)(jax.random.key(0), config, cartpole)
    flat = jax.tree.map(jnp.zeros_like, state.learner.params)
    learner = replace(state.learner, params=flat, target=flat)
    no = jnp.zeros(2, bool)
    step = replay.Step(
        jnp.zeros((2, 4)), jnp.arange(2), jnp.array([1.0, 0.0]), no, no, jnp.zeros((2, 4))
    )
    state = replace(state, learner=learner, ring=replay.add(state.ring, step))
    learn = jax.jit(iterated_q.learn)
    learner = learn(state, jax.random.key(1), config, cartpole)[0].learner
    updates = [[1.0, 0.0], [1.5, 0.5], [1.75, 0.75]]
    np.testing.assert_allclose(learner.params["head"]["bias"], updates, atol=2e-3)


def test_actions_are_of_networks_drawn_uniformly():
    chain = jnp.arange(4.0)[:, None, None] + 10.0 * jnp.arange(3.0) + jnp.zeros((4, 8000, 3))
    drawn = iterated_q.drawn_values(jax.random.key(0), chain)
    np.testing.assert_array_equal(drawn[:, 1:] - drawn[:, :1], [[10.0, 20.0]] * 8000)
    np.testing.assert_allclose(np.bincount(drawn[:, 0].astype(int)) / 8000, 0.25, atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_networks": 0}, "num_networks: got 0, allowed: at least 1"),
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
    ],
)
def test_options_that_do_not_fit_are_refused(cartpole, options, message):
    with pytest.raises(ValueError, match=rf"^{message}"):
        iterated_q.init(jax.random.key(0), replace(SMALL, **options), cartpole)


def test_it_learns_to_balance():
    config, task = learning("iterated_q")
    _, metrics = run(iterated_q, config, task)
    # 18 seeds lasted 113 to 277 steps. Bootstrapping through ends, ignoring the action, or a window
    # that never moves: below 16.
    assert np.all(final(metrics) > 60.0), final(metrics)
