"""AVG: normalisations against numpy, targets by hand at every kind of step, and that it learns."""

import dataclasses
from functools import partial
from typing import Any

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment, spaces

from algorithms import avg
from algorithms.common import return_scale
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = avg.Config(network="mlp", rounds=4, total_timesteps=400)
STEPS = 60


@struct.dataclass
class FillState(environment.EnvState):
    """level: float32 ()."""

    level: jax.Array


@struct.dataclass
class FillParams(environment.EnvParams):
    """A limit that some episodes reach and others do not."""

    max_steps_in_episode: int = 4


class Fill(environment.Environment):
    """A level x that becomes 0.9 x + 1 whatever the action; reward x; terminates above 5."""

    default_params = FillParams()

    def reset_env(self, key, params):
        state = FillState(time=jnp.int32(0), level=jax.random.uniform(key, (), maxval=4.0))
        return self.observe(None, state, None, params), state

    def step_env(self, key, state, action, params):
        after = FillState(time=state.time + 1, level=0.9 * state.level + 1.0)
        observation = self.observe(None, after, None, params)
        return observation, after, state.level, after.level > 5.0, {}

    def observe(self, key, state, action, params):
        return jnp.stack([state.level, 10.0 - state.level])

    def action_space(self, params):
        return spaces.Box(-1.0, 1.0, (1,))


@pytest.fixture(scope="module")
def fill() -> Task:
    return Task(Fill(), FillParams())


def network(inputs: list[float], bias: float, outputs: list[float], constants: list[float]) -> dict:
    """Parameters whose outputs are w x + c for a weighted sum x = inputs . input + bias > 0."""
    first = jnp.zeros((len(inputs), 64)).at[:, 0].set(jnp.array(inputs))
    return {
        "dense_0": {"kernel": first, "bias": jnp.zeros(64).at[0].set(bias)},
        "dense_1": {"kernel": jnp.zeros((64, 64)).at[0, 0].set(1.0), "bias": jnp.zeros(64)},
        "head": {
            "kernel": jnp.zeros((64, len(outputs))).at[0].set(jnp.array(outputs)),
            "bias": jnp.array(constants),
        },
    }


def follow(state: avg.State, config: avg.Config, task: Task) -> tuple[avg.State, dict[str, Any]]:
    """The state after some steps, and levels, ends and metrics (steps, N) on the way."""
    step = jax.jit(avg.learn, static_argnums=3)
    rows = []
    for key in jax.random.split(jax.random.key(5), STEPS):
        before = state
        state, (_, metrics) = step(state, key, config, task)
        level = np.asarray(before.scene[:, 0])
        after = (0.9 * level + 1.0).astype(np.float32)
        terminated = after > 5.0
        truncated = ~terminated & (np.asarray(before.env_state.time) == 3)
        row = {"level": level, "after": after, "terminated": terminated, "truncated": truncated}
        rows.append(row | {"next": np.asarray(state.scene[:, 0])} | metrics)
    seen = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    assert seen["terminated"].any() and seen["truncated"].any()
    np.testing.assert_allclose(seen["next"][:-1], seen["level"][1:])
    return state, seen


def test_statistics_are_those_of_the_whole_streams(fill):
    config = SMALL.replace(num_envs=2, alpha=0.0, gamma=0.9, reward_scale=2.0)
    state = avg.init(jax.random.key(0), config, fill)
    state, seen = follow(state, config, fill)
    done = seen["terminated"] | seen["truncated"]
    # Every observation counts once: the first, the last of episodes, the first of the next ones.
    levels = np.concatenate([seen["level"][0], seen["after"].ravel(), seen["next"][done]])
    observations = np.stack([levels, 10.0 - levels], axis=1)
    assert state.moments.count == len(levels)
    np.testing.assert_allclose(state.moments.mean, observations.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(state.moments.variance, observations.var(axis=0), rtol=1e-3)

    rewards, returns = 2.0 * seen["level"], []
    for reward, ends in zip(rewards.T, done.T, strict=True):
        episodes = np.split(reward, np.flatnonzero(ends) + 1)
        returns += [episode.sum() for episode in episodes[:-1]]
    discounts = np.where(seen["terminated"], 0.0, 0.9)
    stream = state.stream
    np.testing.assert_allclose(stream.reward.variance, rewards.var(), rtol=1e-3)
    np.testing.assert_allclose(stream.discount.variance, discounts.var(), rtol=1e-3)
    np.testing.assert_allclose(stream.squared_return.mean, np.mean(np.square(returns)), rtol=1e-4)
    sigma = np.sqrt(rewards.var() + discounts.var() * np.mean(np.square(returns)))
    np.testing.assert_allclose(seen["sigma"][-1], sigma, rtol=1e-3)


def test_errors_bootstrap_from_the_end_of_an_episode_unless_it_terminated(fill):
    # Q(s, a) = 2 x + 3, and networks that stand still.
    config = SMALL.replace(
        learning_rate=0.0,
        actor_learning_rate=0.0,
        alpha=0.0,
        normalise_observations=False,
        normalise_features=False,
    )
    state = avg.init(jax.random.key(0), config, fill)
    critic = network([1.0, 0.0, 0.0], 0.0, [2.0], [3.0])
    state = state.replace(learner=state.learner.replace(critic=critic))
    _, seen = follow(state, config, fill)
    goal = seen["level"] + np.where(seen["terminated"], 0.0, 0.99 * (2.0 * seen["after"] + 3.0))
    error = np.abs(2.0 * seen["level"] + 3.0 - goal)[:, 0]
    np.testing.assert_allclose(seen["td_error"], error, rtol=1e-4)
    np.testing.assert_allclose(seen["critic_loss"], (error / seen["sigma"]) ** 2, rtol=1e-3)


def test_the_entropy_of_the_next_action_counts():
    config = SMALL.replace(normalise_features=False, alpha=0.5, gamma=0.9)
    learner = avg.Learner(
        network([0.0], 1.0, [0.0, 0.0], [0.3, -1.0]), network([0.0, 0.0], 1.0, [0.0], [4.0]),
        None, None, jnp.int32(0),
    )  # fmt: skip
    newest = avg.Newest(
        *jnp.zeros((2, 2, 1)), jnp.ones(2), jnp.array([True, False]), jnp.zeros((2, 1))
    )
    key = jax.random.key(1)
    _, log_prob = avg.act(learner.actor, newest.next_seen, key, config)
    expected = [1.0, 1.0 + 0.9 * (4.0 - 0.5 * log_prob[1])]
    np.testing.assert_allclose(avg.targets(learner, newest, key, config), expected, rtol=1e-6)


def test_features_have_length_one_at_every_scale():
    params = avg.init_network(jax.random.key(0), 5, 1, SMALL)
    features = jax.jit(avg.features)
    for scale in (1e-3, 1.0, 1e3):
        inputs = scale * jax.random.normal(jax.random.key(1), (20, 5))
        found = features(params, inputs, SMALL)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-4)
        plain = features(params, inputs, SMALL.replace(normalise_features=False))
        lengths = np.linalg.norm(plain, axis=1, keepdims=True)
        np.testing.assert_allclose(found * lengths, plain, rtol=1e-3, atol=1e-6)
    # Dead features: no direction, but numbers.
    gradient = jax.grad(lambda x: jnp.sum(features(params, x, SMALL)))(jnp.zeros((1, 5)))
    assert np.all(np.isfinite(gradient))


def test_the_scaled_loss_does_not_depend_on_the_unit_of_rewards():
    keys = jax.random.split(jax.random.key(0), 5)
    rewards = 3.0 * jax.random.normal(keys[0], (50, 1)) + 1.0
    ends = jax.random.uniform(keys[1], (2, 50, 1)) < 0.1
    newest = avg.Newest(
        jax.random.normal(keys[2], (1, 2)),
        jnp.array([[0.4]]),
        rewards[-1],
        jnp.array([False]),
        jax.random.normal(keys[3], (1, 2)),
    )
    actor = avg.init_network(keys[4], 2, 2, SMALL)

    @partial(jax.jit, static_argnums=1)
    def loss(unit, scaled):
        config = SMALL.replace(alpha=0.1 * unit, scale_errors=scaled)
        critic = avg.init_network(keys[4], 3, 1, SMALL)
        critic["head"] = jax.tree.map(lambda x: unit * x, critic["head"])

        def step(stream, inputs):
            reward, terminated, truncated = inputs
            return return_scale.update(stream, unit * reward, terminated, truncated, 0.99), None

        stream, _ = jax.lax.scan(step, return_scale.init(1), (rewards, *ends))
        scale = return_scale.sigma(stream) if scaled else jnp.float32(1.0)
        one = newest._replace(reward=unit * newest.reward)
        learner = avg.Learner(actor, critic, None, None, jnp.int32(0))
        goal = avg.targets(learner, one, keys[0], config)
        (value, _), gradient = jax.value_and_grad(avg.critic_loss, has_aux=True)(
            critic, one, goal, scale, config
        )
        return value, gradient["dense_0"]["kernel"]

    for factor in (1e-2, 30.0):
        for one, other in zip(loss(1.0, True), loss(factor, True), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
        plain = factor**2 * loss(1.0, False)[0]
        np.testing.assert_allclose(loss(factor, False)[0], plain, rtol=1e-3)


def test_sigma_is_one_until_rewards_differ_or_an_episode_ends():
    stream, ends = return_scale.init(1), jnp.zeros(1, bool)
    for reward in (0.0, 0.0, 0.1):
        stream = return_scale.update(stream, jnp.array([reward]), ends, ends, 0.99)
        assert return_scale.sigma(stream) == 1.0
    ended = return_scale.update(stream, jnp.array([0.1]), ends, ~ends, 0.99)
    np.testing.assert_allclose(return_scale.sigma(ended), 0.05, rtol=1e-4)
    stream = return_scale.update(stream, jnp.array([9.0]), ends, ends, 0.99)
    np.testing.assert_allclose(return_scale.sigma(stream), np.std([0, 0, 0.1, 9.0]), rtol=1e-4)


def test_the_actors_gradient_goes_through_the_action_that_was_taken():
    # Q = 3 a + 30, mean 0.2 and deviation exp(-0.7).
    config = SMALL.replace(normalise_features=False, alpha=0.0)
    actor = network([0.0, 0.0], 1.0, [0.0, 0.0], [0.2, -0.7])
    critic = network([0.0, 0.0, 1.0], 10.0, [3.0], [0.0])
    seen, key = jnp.ones((1, 2)), jax.random.key(3)
    taken, _ = avg.act(actor, seen, key, config)
    gradient, _ = jax.jit(jax.grad(avg.actor_loss, has_aux=True))(actor, critic, seen, key, config)
    action = float(taken[0, 0])
    slope = 3.0 * (1.0 - action**2)
    expected = [-slope, -slope * (np.arctanh(action) - 0.2)]
    np.testing.assert_allclose(gradient["head"]["bias"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_envs": 0}, "num_envs: got 0, allowed: at least 1"),
        ({"network": "small"}, "network: got 'small', allowed: mlp, mlp-128, mlp-256"),
        ({"total_timesteps": 3}, "total_timesteps: 3 is less than one update"),
    ],
)
def test_options_that_do_not_fit_are_refused(fill, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        avg.init(jax.random.key(0), dataclasses.replace(SMALL, **options), fill)


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match="CartPole-v1 has Discrete actions, allowed: vectors"):
        avg.init(jax.random.key(0), SMALL, Task(*gymnax.make("CartPole-v1")))


def test_it_learns_to_swing_up_a_pendulum():
    config, task = learning("avg")
    _, metrics = run(avg, config, task)
    # A random policy has -1230. Without bootstrapping, without the gradient through the action, or
    # without observations, no seed gets above -1180; with the actor's sign turned, -1420.
    assert np.mean(final(metrics)) > -900.0, final(metrics)
    assert np.all(final(metrics) > -1100.0), final(metrics)
