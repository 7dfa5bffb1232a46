"""DQN: its targets and losses by hand, the papers' options in closed form, and that it learns."""

import dataclasses

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import dqn
from algorithms.common import beer, exploration, replay, value_maps
from algorithms.common.task import Task
from sweeps.plan import build_task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = dqn.Config(network="mlp", rounds=4, total_timesteps=400)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


def constant(values: list[list[float]]) -> dict:
    """Parameters of a network that gives these values (K, A) for every observation of CartPole."""
    table = jnp.array(values)
    return {
        "dense_0": {"kernel": jnp.zeros((4, 64)), "bias": jnp.zeros(64)},
        "dense_1": {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)},
        "head": {"kernel": jnp.zeros((64, table.size)), "bias": table.reshape(-1)},
    }


def batch_of(reward, discount, action) -> replay.Sample:
    size = len(action)
    return replay.Sample(
        seen=jnp.zeros((size, 4)),
        action=jnp.array(action),
        reward=jnp.array(reward, jnp.float32),
        discount=jnp.array(discount, jnp.float32),
        next_seen=jnp.zeros((size, 4)),
        terminated=jnp.array(discount) == 0.0,
    )


@pytest.mark.parametrize(("double", "bootstrap"), [(True, 5.0), (False, 7.0)])
def test_targets_with_and_without_double_estimation(cartpole, double, bootstrap):
    # The online network prefers action 0, the target network action 1.
    config = SMALL.replace(double=double, loss="mse")
    online, target = constant([[3.0, 2.0]]), constant([[5.0, 7.0]])
    batch = batch_of([[1.0], [1.0]], [0.9, 0.0], [0, 1])
    errors = np.array([3.0 - (1.0 + 0.9 * bootstrap), 2.0 - 1.0])
    result, metrics = dqn.loss(online, target, batch, config, cartpole)
    np.testing.assert_allclose(result, 0.5 * np.mean(errors**2), rtol=1e-6)
    np.testing.assert_allclose(metrics["value"], 2.5)


def test_heads_bootstrap_from_the_joint_or_from_their_own_best_action(cartpole):
    # Weights 1 and -1: jointly action 1 is best (9 - 1 against 4 - 0), alone the second head
    # prefers its smaller value.
    params = constant([[4.0, 9.0], [0.0, 1.0]])
    batch = batch_of([[0.0, 0.0]], [1.0], [0])
    for own, expected in ((False, [[9.0, 1.0]]), (True, [[9.0, 0.0]])):
        config = SMALL.replace(channels="sign", own_targets=own)
        best = dqn.greedy_actions(jnp.array([[[4.0, 9.0], [0.0, 1.0]]]), None, config, cartpole)
        goal, _ = dqn.targets(params, batch, batch.next_seen, best, config, cartpole)
        np.testing.assert_allclose(goal, expected)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_targets_take_no_invalid_action(cartpole, double, own):
    # Action 1 is better, and valid at the end of the second transition only.
    config = SMALL.replace(double=double, own_targets=own, loss="mse")
    params = constant([[5.0, 7.0]])
    batch = batch_of([[0.0], [0.0]], [1.0, 1.0], [0, 0])
    batch = batch.replace(next_mask=jnp.array([[True, False], [True, True]]))
    result, _ = dqn.loss(params, params, batch, config, cartpole)
    np.testing.assert_allclose(result, 0.5 * np.mean(np.square([5.0 - 5.0, 5.0 - 7.0])))


def test_masked_exploration_is_uniform_over_valid_actions():
    value = jnp.tile(jnp.array([0.0, 3.0, 1.0, 2.0]), (30_000, 1))
    mask = jnp.array([True, False, True, True]) & jnp.ones((30_000, 1), bool)
    found = exploration.explore(jax.random.key(0), value, 0.5, mask)
    counts = np.bincount(np.asarray(found), minlength=4)
    assert counts[1] == 0
    np.testing.assert_allclose(counts, [5000, 0, 5000, 20_000], atol=300)
    assert (exploration.explore(jax.random.key(0), value, 0.0, mask) == 3).all()


def test_with_masks_no_invalid_action_is_ever_taken():
    task = build_task({"env": "grid/invalid-actions-4", "max_steps_in_episode": 9})
    task = task.replace(params=task.params.replace(invalid_penalty=1.0))
    small = dqn.Config(network="minatar", rounds=6, num_envs=4, learning_starts=1000)
    small = small.replace(total_timesteps=24, buffer_size=24)
    lowest = {}
    for masked in (False, True):
        state, _ = run(dqn, small.replace(mask_actions=masked), task, num_seeds=1)
        lowest[masked] = float(state.ring.steps.reward.min())
    assert lowest == {False: -1.0, True: 0.0}
    cut = np.asarray(state.ring.steps.truncated)
    assert state.ring.steps.next_mask[cut].all()
    assert not state.ring.steps.next_mask[~cut].all(-1).any()


def test_rewards_are_split_into_channels_that_add_up(cartpole):
    reward = jnp.array([2.0, -3.0, 0.0])
    config = SMALL.replace(channels="sign", reward_scale=0.5, reward_shift=0.25)
    channels = dqn.split(reward, {}, config)
    assert np.all(channels >= 0.0)
    np.testing.assert_allclose(channels[:, 0] - channels[:, 1], reward * 0.5 + 0.25)
    vector = jnp.array([[1.0, -1.0], [4.0, 0.0]])
    config = SMALL.replace(channels="vector", reward_shift=0.5)
    channels = dqn.split(jnp.zeros(2), {"reward_vector": vector}, config)
    np.testing.assert_allclose(channels.sum(axis=1), vector.sum(axis=1) + 0.5)


def test_a_mapping_and_its_inverse():
    x = jnp.array([[0.0, 1e-3], [0.5, 2.0], [100.0, 7.0]])[:, :, None]
    for mappings in ("log", "log,identity", "identity"):
        there = value_maps.forward(x, mappings, 0.5, 0.02)
        np.testing.assert_allclose(value_maps.inverse(there, mappings, 0.5, 0.02), x, rtol=2e-5)
    there = value_maps.forward(x, "log,identity", 0.5, 0.02)
    # c log(x + e) + d with d = -c log e, as published.
    expected = 0.5 * np.log(x[:, 0] + 0.02) - 0.5 * np.log(0.02)
    np.testing.assert_allclose(there[:, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(there[:, 1], x[:, 1])
    # What a network stores below zero is no value of a channel: its target is zero.
    assert value_maps.forward(jnp.full((1, 1), -0.5), "log", 0.5, 0.02).tolist() == [[0.0]]


def test_steps_towards_a_target_in_the_space_of_returns(cartpole):
    # Stored f(1) = c log(1 + 1/e); target return 3; a step of 1/4 leads to 1.5.
    config = SMALL.replace(channels="sign", mappings="log", map_step=0.25, loss="mse")
    stored = float(value_maps.forward(jnp.ones((1, 1)), "log", 0.5, 0.02)[0, 0])
    params = constant([[stored, stored], [0.0, 0.0]])
    batch = batch_of([[3.0, 0.0]], [0.0], [0])
    error = stored - 0.5 * np.log1p(1.5 / 0.02)
    result, _ = dqn.loss(params, params, batch, config, cartpole)
    np.testing.assert_allclose(result, 0.5 * error**2 / 2, rtol=1e-4)


def test_the_itakura_saito_loss_finds_the_certainty_equivalent():
    # Gaussian returns N(1, 0.6^2): mean - a sigma^2 / 2 (Udovichenko et al. 2025).
    config = SMALL.replace(loss="itakura-saito", risk_aversion=2.0)
    y = 1.0 + 0.6 * jax.random.normal(jax.random.key(0), (100_000,))
    total = jax.jit(lambda value: jnp.mean(dqn.elementwise_loss(value - y, config)))
    value = jnp.float32(0.0)
    for _ in range(60):
        value -= jax.grad(total)(value)
    np.testing.assert_allclose(value, -0.5 * np.log(np.mean(np.exp(-2.0 * y))), atol=1e-3)
    np.testing.assert_allclose(value, 1.0 - 0.36, atol=0.02)
    # Without aversion it is the squared error.
    nearly = config.replace(risk_aversion=1e-2)
    np.testing.assert_allclose(dqn.elementwise_loss(jnp.float32(0.7), nearly), 0.245, rtol=0.01)


def test_the_rank_penalty_is_zero_for_values_that_satisfy_the_bellman_equation():
    phi, after = jax.random.normal(jax.random.key(0), (2, 50, 3))
    weight = jnp.array([0.3, -0.2, 0.9])
    reward = (phi - 0.9 * after) @ weight
    bellman = beer.penalty(phi, after, jnp.sum(weight**2), reward, jnp.full(50, 0.9))
    assert float(bellman) < 1e-5
    # Equal features and a reward of 1 contradict the equation: bound (1.81 - 1) / 1.8.
    ones = jnp.array([[1.0, 0.0]])
    found = beer.penalty(ones, ones, jnp.float32(1.0), jnp.ones(1), jnp.full(1, 0.9))
    np.testing.assert_allclose(found, 1.0 - 0.81 / 1.8, rtol=1e-5)
    assert float(beer.penalty(ones, ones, jnp.float32(1.0), jnp.ones(1), jnp.zeros(1))) == 0.0


def test_the_rank_penalty_turns_features_and_does_not_scale_them():
    phi, after = jax.random.normal(jax.random.key(1), (2, 8, 3))
    rest = (jnp.float32(1.3), jnp.full(8, 4.0), jnp.full(8, 0.9))
    found, gradient = jax.value_and_grad(beer.penalty)(phi, after, *rest)
    assert float(found) > 0.1
    np.testing.assert_allclose(jnp.sum(gradient * phi, axis=-1), 0.0, atol=1e-6)
    assert float(jnp.abs(gradient).max()) > 1e-3
    larger = beer.penalty(5.0 * phi, 5.0 * after, rest[0] / 25.0, *rest[1:])
    np.testing.assert_allclose(larger, found, rtol=1e-5)


def test_the_rank_penalty_enters_the_loss(cartpole):
    config = SMALL.replace(beer=True, beer_coef=2.0, loss="mse")
    params = constant([[1.0, 0.0]])
    batch = batch_of([[5.0]], [0.9], [0])
    result, metrics = dqn.loss(params, params, batch, config, cartpole)
    # Features are zero but for the bias's one: phi = phi' = 1, |w|^2 = 1, bound (1.81 - 25) / 1.8.
    np.testing.assert_allclose(metrics["beer_penalty"], 1.0 + (25 - 1.81) / 1.8, rtol=1e-5)
    plain, _ = dqn.loss(params, params, batch, config.replace(beer_coef=0.0), cartpole)
    np.testing.assert_allclose(result - plain, 2.0 * metrics["beer_penalty"], rtol=1e-5)


def test_dueling_advantages_have_no_mean(cartpole):
    config = SMALL.replace(dueling=True)
    params = dqn.init_network(jax.random.key(0), config, cartpole)
    shifted = params | {"advantage": dict(params["advantage"])}
    shifted["advantage"]["bias"] = params["advantage"]["bias"] + 3.0
    observation = jax.random.normal(jax.random.key(1), (5, 4))
    values = dqn.values(params, observation, config, cartpole)
    assert values.shape == (5, 2)
    np.testing.assert_allclose(
        dqn.values(shifted, observation, config, cartpole), values, atol=1e-5
    )


def test_epsilon_falls_linearly_after_the_warm_up():
    steps = jnp.array([0, 99, 100, 500, 1000, 5000])
    share = exploration.epsilon(steps, 1.0, 0.1, 1000, 100)
    np.testing.assert_allclose(share, [1.0, 1.0, 0.91, 0.55, 0.1, 0.1], rtol=1e-6)
    value = jnp.tile(jnp.array([0.0, 1.0, 0.0, 0.0]), (4000, 1))
    actions = exploration.explore(jax.random.key(0), value, 0.4)
    counts = np.bincount(actions, minlength=4) / 4000
    np.testing.assert_allclose(counts, [0.1, 0.7, 0.1, 0.1], atol=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        (
            {"n_step": 99, "buffer_size": 80},
            "n_step: got 99, allowed: 1 to buffer_size / num_envs = 10",
        ),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
        ({"mappings": "sqrt"}, "mappings: got 'sqrt', allowed"),
        ({"mappings": "log"}, "mappings: 'log' needs rewards of one sign"),
        ({"channels": "sign", "mappings": "log,log,log"}, "allowed: one, or one of 2"),
        ({"channels": "vector"}, "needs an environment that reports reward_vector"),
        ({"beer": True, "dueling": True}, "beer: needs values linear"),
        ({"beer": True, "channels": "sign"}, "beer: needs one channel"),
    ],
)
def test_options_that_do_not_fit_are_refused(cartpole, options, message):
    config = dataclasses.replace(SMALL, **options)
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        dqn.init(jax.random.key(0), config, cartpole)
    assert message in str(error.value)


def test_it_learns_to_balance():
    config, task = learning("dqn")
    _, metrics = run(dqn, config, task)
    # 18 seeds lasted 108 to 235 steps. A random policy lasts 22; without the maximum, or without
    # ends, it stays below 35.
    assert np.all(final(metrics) > 90.0), final(metrics)
    np.testing.assert_allclose(metrics["epsilon"][:, -1], 0.05, rtol=1e-5)
