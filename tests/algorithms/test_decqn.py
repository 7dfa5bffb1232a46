"""DecQN and REValueD: bins, factored maxima, variance of targets, the regulariser, and learning."""

import dataclasses
import itertools

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment, spaces

from algorithms import decqn
from algorithms.common import factored, replay
from algorithms.common.task import Task
from envs.spaces import MultiDiscrete
from envs.wrappers import Discretize
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

# Two chains of three states, one per dimension of the action: where action a leads from state s,
# and what it earns; the reward is the mean over the chains.
NEXT = np.array([[[0, 1, 2], [1, 2, 0], [0, 0, 1]], [[2, 1, 0], [1, 1, 2], [2, 0, 0]]])
REWARD = np.array([[[0.0, 1.0, -1.0], [2.0, 0.5, 0.0], [1.0, -2.0, 3.0]]] * 2)
REWARD[1] = [[1.0, 0.0, 0.5], [-1.0, 0.0, 4.0], [0.0, 2.0, -0.5]]
GAMMA = 0.8


@struct.dataclass
class PairState(environment.EnvState):
    """Where both chains are, int32 (2,)."""

    places: jax.Array


class Pair(environment.Environment):
    """The two chains side by side; one-hot observation of the 9 joint states."""

    @property
    def name(self):
        return "Pair"

    @property
    def default_params(self):
        return environment.EnvParams(max_steps_in_episode=20)

    def reset_env(self, key, params):
        state = PairState(time=jnp.int32(0), places=jax.random.randint(key, (2,), 0, 3))
        return self.observe(key, state, None, params), state

    def step_env(self, key, state, action, params):
        both = jnp.arange(2)
        reward = jnp.mean(jnp.asarray(REWARD)[both, state.places, action])
        places = jnp.asarray(NEXT)[both, state.places, action].astype(jnp.int32)
        state = PairState(time=state.time + 1, places=places)
        return self.observe(key, state, None, params), state, reward, jnp.bool_(False), {}

    def observe(self, key, state, action, params):
        return jax.nn.one_hot(3 * state.places[0] + state.places[1], 9)

    def action_space(self, params=None):
        return MultiDiscrete(2, 3)


SMALL = decqn.Config(network="mlp", rounds=4, total_timesteps=400, loss="mse", double=False)


@pytest.fixture(scope="module")
def pair() -> Task:
    env = Pair()
    return Task(env, env.default_params)


@pytest.fixture(scope="module")
def reacher() -> Task:
    return Task(*gymnax.make("Reacher-misc"))


def constant(tables) -> dict:
    """Parameters of critics that give these utilities (K, 2, 3) in every state of the pair."""
    tables = jnp.asarray(tables, jnp.float32)
    count = len(tables)
    return {
        "dense_0": {"kernel": jnp.zeros((count, 9, 64)), "bias": jnp.zeros((count, 64))},
        "dense_1": {"kernel": jnp.zeros((count, 64, 64)), "bias": jnp.zeros((count, 64))},
        "head": {"kernel": jnp.zeros((count, 64, 6)), "bias": tables.reshape(count, 6)},
    }


def batch_of(reward, discount, action) -> replay.Sample:
    size = len(action)
    return replay.Sample(
        seen=jnp.zeros((size, 9)),
        action=jnp.array(action),
        reward=jnp.array(reward, jnp.float32),
        discount=jnp.array(discount, jnp.float32),
        next_seen=jnp.zeros((size, 9)),
        terminated=jnp.array(discount) == 0.0,
    )


def test_bins_are_evenly_spaced_between_the_bounds(reacher):
    pendulum = Task(*gymnax.make("Pendulum-v1"))
    assert factored.factors(pendulum, 5) == (1, 5)
    assert factored.factors(reacher, 2) == (2, 2)
    found = factored.to_environment(jnp.arange(5)[:, None], pendulum, 5)
    np.testing.assert_allclose(found, [[-2.0], [-1.0], [0.0], [1.0], [2.0]], atol=1e-6)
    pairs = jnp.array(list(itertools.product(range(2), repeat=2)))
    found = factored.to_environment(pairs, reacher, 2)
    np.testing.assert_allclose(found, [[-1, -1], [-1, 1], [1, -1], [1, 1]])
    # The wrapper with the same bins makes the same actions, and its choices are taken as they are.
    env = Discretize(reacher.env, bins=4)
    task = Task(env, env.default_params)
    assert factored.factors(task, 99) == (2, 4)
    choices = jnp.array([3, 1])
    assert factored.to_environment(choices, task, 99) is choices
    expected = env.continuous(choices, task.params)
    np.testing.assert_allclose(factored.to_environment(choices, reacher, 4), expected, atol=1e-6)
    cartpole = Task(*gymnax.make("CartPole-v1"))
    assert factored.factors(cartpole, 99) == (1, 2)
    assert factored.to_environment(jnp.ones((5, 1), jnp.int32), cartpole, 99).shape == (5,)


def test_the_best_joint_action_is_found_without_a_search():
    target, choosing = jax.random.normal(jax.random.key(0), (2, 4, 7, 3, 5))
    everything = np.array(list(itertools.product(range(5), repeat=3)))
    rows = np.arange(3)
    joint, by_other = (np.mean(u, axis=0)[:, rows, everything].mean(-1) for u in (target, choosing))
    assert joint.shape == (7, 125)
    np.testing.assert_allclose(decqn.bootstrap(target, target), joint.max(axis=1), rtol=1e-5)
    best = by_other.argmax(axis=1)
    np.testing.assert_allclose(
        decqn.bootstrap(choosing, target), joint[np.arange(7), best], rtol=1e-4, atol=1e-6
    )
    greedy = factored.explore(jax.random.key(1), jnp.mean(choosing, axis=0), 0.0, False)
    np.testing.assert_array_equal(greedy, everything[best])


def test_explores_in_every_dimension_or_jointly():
    value = jnp.tile(jnp.array([0.0, 1.0, 0.0, 0.0]), (8000, 2, 1))
    for jointly, both in ((False, 0.4**2), (True, 0.4)):
        action = np.asarray(factored.explore(jax.random.key(0), value, 0.4, jointly))
        shares = [np.bincount(column, minlength=4) / 8000 for column in action.T]
        np.testing.assert_allclose(shares, [[0.1, 0.7, 0.1, 0.1]] * 2, atol=0.02)
        # A random choice is the best one in a quarter of all cases.
        changed = np.mean(np.all(action != 1, axis=1))
        np.testing.assert_allclose(changed, both * 0.75**2, atol=0.02)


def test_what_is_stored_is_what_was_done(pair):
    params = constant([[[0, 9, 0], [0, 0, 9]], [[0, 0, 9], [9, 0, 0]]])
    scene, env_state = jax.jit(lambda key: pair.reset(key, 64))(jax.random.key(0))
    key = jax.random.key(1)
    act = jax.jit(lambda share: decqn.act(params, scene, env_state, key, share, SMALL, pair))
    for share, actions in (
        (0.0, {(1, 2), (2, 0)}),
        (1.0, set(itertools.product(range(3), repeat=2))),
    ):
        _, step = act(share)
        # Without exploration, one of the critics acts in each environment.
        assert {tuple(row) for row in np.asarray(step.action).tolist()} == actions
        places, both = np.asarray(env_state.places), np.arange(2)
        expected = REWARD[both, places, step.action].mean(axis=1)
        np.testing.assert_allclose(step.reward, expected, rtol=1e-6)
        after = NEXT[both, places, step.action]
        np.testing.assert_array_equal(step.next_seen.argmax(-1), 3 * after[:, 0] + after[:, 1])


def moments_of_maximum(cdf, count: int) -> tuple[float, float]:
    """Mean and variance of the maximum of numbers in [-1, 1], by integration."""
    x = np.linspace(-1.0, 1.0, 20_001)
    above = 1.0 - cdf(x) ** count
    mean = -1.0 + np.trapezoid(above, x)
    # E (m + 1)^2 = int 2 (x + 1) P(m > x) dx
    return mean, np.trapezoid(2 * (x + 1) * above, x) - (mean + 1) ** 2


def test_bias_and_variance_of_targets_with_noisy_utilities():
    # Utilities that should be zero, with errors uniform in [-1, 1]: the setting of REValueD.
    samples, critics, dimensions, choices = 20_000, 2, 3, 4
    noise = jax.random.uniform(
        jax.random.key(0), (critics, samples, dimensions, choices), minval=-1.0, maxval=1.0
    )
    single = decqn.bootstrap(noise[:1], noise[:1])
    bias, variance = 3 / 5, 4 * 4 / (5**2 * 6) / dimensions
    np.testing.assert_allclose(np.mean(single), bias, atol=0.005)
    np.testing.assert_allclose(np.var(single), variance, rtol=0.03)
    # Without the decomposition there are 64 joint actions: more bias, less variance.
    joint = np.max(np.asarray(noise).reshape(-1, 64), axis=1)
    assert np.mean(joint) > bias + 0.3 and np.var(joint) < variance / 10
    np.testing.assert_allclose(np.mean(joint), 63 / 65, atol=0.002)
    np.testing.assert_allclose(np.var(joint), 4 * 64 / (65**2 * 66), rtol=0.1)
    # The maxima of the critics, averaged: the same bias and 1 / K of the variance.
    averaged = (single + decqn.bootstrap(noise[1:], noise[1:])) / 2
    np.testing.assert_allclose(np.mean(averaged), bias, atol=0.005)
    np.testing.assert_allclose(np.var(averaged), variance / 2, rtol=0.03)
    # The maximum of the critics' average, which has a triangular distribution: less bias too.
    mean, spread = moments_of_maximum(
        lambda x: np.where(x < 0, (1 + x) ** 2 / 2, 1 - (1 - x) ** 2 / 2), choices
    )
    ensemble = decqn.bootstrap(noise, noise)
    np.testing.assert_allclose(np.mean(ensemble), mean, atol=0.005)
    np.testing.assert_allclose(np.var(ensemble), spread / dimensions, rtol=0.03)
    assert mean < bias - 0.1 and spread / dimensions < variance


@pytest.mark.parametrize(("double", "bootstrap"), [(True, (2.0 - 3.0) / 2), (False, 9.0 / 2)])
def test_the_loss_by_hand(pair, double, bootstrap):
    config = SMALL.replace(double=double)
    # Online means prefer (0, 2); target means are (2, 4, 0) and (5, -1, -3).
    online = constant([[[6, 1, 0], [0, 1, 4]], [[2, 1, 0], [0, 1, 8]]])
    target = constant([[[2, 8, 0], [6, 0, -6]], [[2, 0, 0], [4, -2, 0]]])
    batch = batch_of([1.0, 1.0], [0.9, 0.0], [[0, 1], [2, 2]])
    errors = np.array([[3.5, 2.0], [1.5, 4.0]]) - np.array([1.0 + 0.9 * bootstrap, 1.0])
    result, metrics = decqn.loss(online, target, batch, config, pair)
    np.testing.assert_allclose(result, np.sum(np.mean(0.5 * errors**2, axis=1)), rtol=1e-6)
    np.testing.assert_allclose(metrics["value"], np.mean([3.5, 2.0, 1.5, 4.0]))
    assert metrics["regulariser"] == 0.0


def test_the_regulariser_by_hand(pair):
    # One transition, y = 3; utilities 1 and 3 of choices (0, 1), which were 0 and 5 before.
    online, before = constant([[[1, 0, 0], [0, 3, 0]]]), constant([[[0, 0, 0], [0, 5, 0]]])
    batch = batch_of([3.0], [0.0], [[0, 1]])
    config = SMALL.replace(regularise=True, regulariser_coef=0.5)
    result, metrics = decqn.loss(online, before, batch, config, pair)
    # The second one is right, so that it may change: its weight is zero.
    penalty = (1 - np.exp(-2.0)) * 1.0 + 0.0 * 4.0
    np.testing.assert_allclose(metrics["regulariser"], penalty, rtol=1e-6)
    np.testing.assert_allclose(result, 0.5 * (2.0 - 3.0) ** 2 + 0.5 * penalty, rtol=1e-6)
    # Weights are constants: the gradient is 2 w (U - U'), summed over critics.
    gradient = jax.grad(decqn.regulariser)(
        jnp.array([[[1.0, 3.0]]] * 2), jnp.array([[[0.0, 5.0]]] * 2), jnp.array([3.0])
    )
    np.testing.assert_allclose(gradient, [[[2 * (1 - np.exp(-2.0)), 0.0]]] * 2, rtol=1e-6)


def brute_force() -> np.ndarray:
    """Q*(s, a) of all 9 joint states and 9 joint actions, by value iteration without factors."""
    states = list(itertools.product(range(3), repeat=2))
    reward, following = np.zeros((9, 9)), np.zeros((9, 9), int)
    for (i, s), (j, a) in itertools.product(enumerate(states), enumerate(states)):
        reward[i, j] = 0.5 * (REWARD[0, s[0], a[0]] + REWARD[1, s[1], a[1]])
        following[i, j] = 3 * NEXT[0, s[0], a[0]] + NEXT[1, s[1], a[1]]
    q = np.zeros((9, 9))
    for _ in range(200):
        q = reward + GAMMA * q.max(axis=1)[following]
    return q


def test_gradient_descent_solves_a_factored_process_exactly(pair):
    # Features that tell the joint states apart: the utilities are tables.
    params = constant(np.zeros((2, 2, 3)))
    for name in ("dense_0", "dense_1"):
        kernel = params[name]["kernel"]
        params[name]["kernel"] = jnp.broadcast_to(jnp.eye(*kernel.shape[1:]), kernel.shape)
    params["head"]["bias"] += jnp.array([[1.0], [-1.0]])  # critics that differ
    config = SMALL.replace(network="mlp", double=True)
    joint = jnp.array(list(itertools.product(range(3), repeat=2)))
    places, action = jnp.repeat(joint, 9, axis=0), jnp.tile(joint, (9, 1))
    both = jnp.arange(2)
    after = jnp.asarray(NEXT)[both, places, action]
    # The trunk has tanh: observations of 3 give features that are far from zero, one per state.
    batch = replay.Sample(
        seen=jax.nn.one_hot(3 * places[:, 0] + places[:, 1], 9) * 3.0,
        action=action,
        reward=jnp.mean(jnp.asarray(REWARD, jnp.float32)[both, places, action], axis=1),
        discount=jnp.full(81, GAMMA),
        next_seen=jax.nn.one_hot(3 * after[:, 0] + after[:, 1], 9) * 3.0,
        terminated=jnp.zeros(81, bool),
    )

    def descend(head, _):
        now = params | {"head": head}
        gradient = jax.grad(decqn.loss, has_aux=True)(now, now, batch, config, pair)[0]["head"]
        return jax.tree.map(lambda p, g: p - 5.0 * g, head, gradient), None

    head, _ = jax.jit(lambda h: jax.lax.scan(descend, h, None, length=3000))(params["head"])
    found = decqn.utilities(params | {"head": head}, batch.seen, config, pair)
    q = jnp.mean(factored.take(found, action), axis=-1).reshape(2, 9, 9)
    np.testing.assert_allclose(q, np.stack([brute_force()] * 2), atol=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
        ({"bins": 1}, "bins: got 1, allowed: at least 2"),
        ({"num_critics": 0}, "num_critics: got 0, allowed: at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(pair, options, message):
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        decqn.init(jax.random.key(0), dataclasses.replace(SMALL, **options), pair)
    assert message in str(error.value)


def test_actions_of_another_kind_are_refused(pair):
    class Odd(Pair):
        def action_space(self, params=None):
            return spaces.Dict({"push": spaces.Discrete(2)})

    env = Odd()
    with pytest.raises(ValueError, match=r"^env: Pair has Dict actions"):
        decqn.init(jax.random.key(0), SMALL, Task(env, env.default_params))


def test_it_learns_to_reach():
    config, task = learning("decqn")
    _, metrics = run(decqn, config, task)
    # 18 seeds reached 22.5 to 35.1, on average 30. Random actions reach 15; with the dimensions
    # mixed up in the loss, without a bootstrap, or without gradients, seeds end between 11 and 18.
    assert np.mean(final(metrics)) > 22.0, final(metrics)
