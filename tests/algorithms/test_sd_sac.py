"""Discrete SAC: expectations, the clipped loss and the penalty by hand, soft optima, learning."""

import dataclasses

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algorithms import sd_sac
from algorithms.common import replay
from algorithms.common.task import Task
from envs import exact
from envs.tabular import garnet
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = sd_sac.Config(network="mlp", rounds=4, total_timesteps=400, buffer_size=256, batch_size=32)
HUGE = 1e6


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


@pytest.fixture
def tables(monkeypatch):
    """Networks are tables (S, A) and (num_critics, S, A) from here on; states are integers."""
    monkeypatch.setattr(sd_sac, "values", lambda table, state, config: table[:, state])
    monkeypatch.setattr(
        sd_sac, "log_policy", lambda logits, state, config: jax.nn.log_softmax(logits[state])
    )


def learner_of(logits: jax.Array, targets: jax.Array, alpha: float) -> sd_sac.Learner:
    """A learner of tables."""
    return sd_sac.Learner(
        actor=logits,
        critic=targets,
        target=targets,
        log_alpha=jnp.log(jnp.float32(alpha)),
        actor_optimiser=None,
        critic_optimiser=None,
        alpha_optimiser=None,
        gradients=jnp.int32(0),
    )


def batch_of(reward, discount, state, action, next_state) -> replay.Sample:
    return replay.Sample(state, action, reward, discount, next_state, discount == 0.0)


@pytest.mark.parametrize(("combine", "of_both"), [("mean", 2.5), ("min", 1.0)])
def test_targets_are_expectations(tables, combine, of_both):
    # Probabilities (3/4, 1/4); the first action has values 1 and 4, the second 0 and 0.
    logits = jnp.log(jnp.array([[3.0, 1.0]]))
    learner = learner_of(logits, jnp.array([[[1.0, 0.0]], [[4.0, 0.0]]]), alpha=0.2)
    zeros = jnp.zeros(2, jnp.int32)
    batch = batch_of(jnp.array([1.0, 1.0]), jnp.array([0.9, 0.0]), zeros, zeros, zeros)
    found = sd_sac.targets(learner, batch, zeros, SMALL.replace(combine=combine))
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    np.testing.assert_allclose(
        found, [1.0 + 0.9 * (0.75 * of_both + 0.2 * entropy), 1.0], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("goal", "loss", "gradient", "clipped"),
    [
        (0.0, 4.0, 2.0, 0.0),  # moved away from the goal: counts in full
        (3.0, 2.25, 0.0, 1.0),  # moved towards it by more than 0.5: no further
        (1.4, 0.36, 0.6, 0.0),  # moved beyond it: counts in full
    ],
)
def test_values_move_no_further_than_the_clip_range(tables, goal, loss, gradient, clipped):
    # The value was 1 in the target network and is 2 now.
    state = action = jnp.zeros(1, jnp.int32)
    goals = jnp.array([goal])

    def total(value, config=SMALL):
        old = jnp.ones((1, 1, 1))
        return sd_sac.critic_loss(value * old, old, state, action, goals, config)

    (found, metrics), slope = jax.value_and_grad(total, has_aux=True)(2.0)
    np.testing.assert_allclose([found, slope], [0.5 * loss, gradient], rtol=1e-5)
    np.testing.assert_allclose(metrics["clipped"], clipped)
    plain, _ = total(2.0, SMALL.replace(clip_range=HUGE))
    np.testing.assert_allclose(plain, 0.5 * (2.0 - goal) ** 2, rtol=1e-5)


def test_the_penalty_keeps_the_entropy(tables):
    # Probabilities (3/4, 1/4), no values, no temperature: only the penalty acts.
    logits, state = jnp.log(jnp.array([[3.0, 1.0]])), jnp.zeros(1, jnp.int32)
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)

    def total(logits, old, config=SMALL):
        critic, log_alpha = jnp.zeros((2, 1, 2)), jnp.float32(-jnp.inf)
        return sd_sac.actor_loss(logits, critic, log_alpha, state, jnp.array([old]), config)[0]

    for old in (0.1, entropy, 0.69):
        found, slope = jax.value_and_grad(total)(logits, old)
        np.testing.assert_allclose(found, 0.5 * (old - entropy) ** 2, atol=1e-6)
        after = sd_sac.entropy_of(jax.nn.log_softmax(logits - 0.5 * slope))[0]
        assert np.sign(np.round(after - entropy, 6)) == np.sign(np.round(old - entropy, 6))
        assert float(total(logits, old, SMALL.replace(entropy_penalty=0.0))) == 0.0


def test_tables_reach_the_soft_optimum(tables):
    # Soft policy iteration: expected targets for the critics, gradients for the policy.
    mdp = garnet(jax.random.key(0), states=6, actions=3, gamma=0.8)
    config = SMALL.replace(entropy_penalty=0.0)
    state, action, after = (x.reshape(-1) for x in jnp.indices((6, 3, 6)))
    batch = batch_of(mdp.reward[state, action], jnp.full(108, mdp.gamma), state, action, after)
    adam = optax.adam(0.1)

    def improve(carry, _):
        logits, moments, table = carry
        learner = learner_of(logits, jnp.stack([table, table]), alpha=0.3)
        goal = sd_sac.targets(learner, batch, after, config).reshape(6, 3, 6)
        table = jnp.sum(mdp.P * goal, axis=-1)

        def loss(logits):
            critic, states = jnp.stack([table, table]), jnp.arange(6)
            return sd_sac.actor_loss(
                logits, critic, learner.log_alpha, states, jnp.zeros(6), config
            )[0]

        change, moments = adam.update(jax.grad(loss)(logits), moments)
        return (optax.apply_updates(logits, change), moments, table), None

    start = jnp.zeros((6, 3))
    first = (start, adam.init(start), start)
    (logits, _, table), _ = jax.jit(lambda: jax.lax.scan(improve, first, length=1500))()
    optimum = exact.regularised_optimum(mdp, 0.3)
    np.testing.assert_allclose(table, optimum.q, atol=2e-3)
    np.testing.assert_allclose(jax.nn.softmax(logits), optimum.policy, atol=5e-3)


@jax.jit
def start(task: Task) -> sd_sac.State:
    """A state after eight random steps of every environment."""
    state = sd_sac.init(jax.random.key(0), SMALL, task)
    return sd_sac.collect(state, jax.random.key(1), SMALL.replace(num_steps=8), task)[0]


@jax.jit
def step(state: sd_sac.State, config: sd_sac.Config, task: Task):
    """One gradient step."""
    return sd_sac.gradient_step(state.learner, state.ring, jax.random.key(2), config, task)


def test_what_is_stored_and_alpha(cartpole):
    state = start(cartpole)
    steps, actor = state.ring.steps, state.learner.actor
    scenes = steps.seen.scene[:8].reshape(-1, 4)
    log_pi = np.asarray(sd_sac.log_policy(actor, scenes, SMALL))
    entropy = -np.sum(np.exp(log_pi) * log_pi, axis=1)
    np.testing.assert_allclose(steps.seen.entropy[:8].reshape(-1), entropy, rtol=1e-5)
    assert set(np.unique(steps.action[:8])) == {0, 1}

    share = float(step(state, SMALL, cartpole)[1]["entropy"]) / np.log(2.0)
    changes = []
    for offset in (-0.2, 0.2):
        learner, _ = step(state, SMALL.replace(target_entropy=share + offset), cartpole)
        changes.append(float(learner.log_alpha - state.learner.log_alpha))
    assert changes[0] < 0.0 < changes[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
        ({"num_critics": 0}, "num_critics: got 0, allowed: at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(cartpole, options, message):
    config = dataclasses.replace(SMALL, **options)
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        sd_sac.init(jax.random.key(0), config, cartpole)
    assert message in str(error.value)


def test_it_learns_to_balance():
    config, task = learning("sd_sac")
    _, metrics = run(sd_sac, config, task)
    # 18 seeds reached 197 to 330; with the loss of the actor turned round, without bootstrapping,
    # through ends, or with the mean over all actions: at most 96, 23, 20 and 101.
    assert np.all(final(metrics) > 150.0), final(metrics)
