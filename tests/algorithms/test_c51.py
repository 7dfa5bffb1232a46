"""C51: its targets and loss by hand, what it refuses, and that it learns."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import c51
from algorithms.common import replay
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = c51.Config(
    network="mlp", rounds=4, total_timesteps=400, atoms=5, v_min=0.0, v_max=4.0, reward_scale=1.0
)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


def constant(masses: list[list[float]]) -> dict:
    """Parameters of a network that gives these masses (A, M) for every observation of CartPole."""
    bias = jnp.log(jnp.array(masses)).reshape(-1)
    return {
        "dense_0": {"kernel": jnp.zeros((4, 64)), "bias": jnp.zeros(64)},
        "dense_1": {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)},
        "head": {"kernel": jnp.zeros((64, bias.size)), "bias": bias},
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


LOW, HIGH = [0.96, 0.01, 0.01, 0.01, 0.01], [0.01, 0.01, 0.01, 0.01, 0.96]


@pytest.mark.parametrize("double", [False, True])
def test_targets_are_projections_of_the_best_distribution(cartpole, double):
    # The online network prefers action 0, the target network action 1.
    config = SMALL.replace(double=double)
    online, target = constant([HIGH, LOW]), constant([LOW, HIGH])
    batch = batch_of([0.5, 1.5, 0.0], [0.5, 0.0, 1.0], [0, 1, 0])
    found = c51.targets(online, target, batch, config, cartpole)
    best = np.array(LOW if double else HIGH)
    # 0.5 + z / 2 lies at 0.5, 1, 1.5, 2, 2.5.
    shares = np.array([[0.5, 0.5, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 1, 0, 0]])
    shares = np.vstack([shares, [0, 0, 0.5, 0.5, 0]])
    np.testing.assert_allclose(found[0], best @ shares, atol=1e-6)
    # After a termination the return is the reward; without reward and discount nothing moves.
    np.testing.assert_allclose(found[1], [0, 0.5, 0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found[2], best, atol=1e-6)


def test_the_loss_is_the_cross_entropy_of_the_action_taken(cartpole):
    params = constant([HIGH, LOW])
    batch = batch_of([1.5], [0.0], [1])
    result, metrics = c51.loss(params, params, batch, SMALL, cartpole)
    np.testing.assert_allclose(result, -0.5 * (np.log(0.01) + np.log(0.01)), rtol=1e-5)
    np.testing.assert_allclose(metrics["value"], 0.01 * (1 + 2 + 3 + 4), rtol=1e-5)
    np.testing.assert_allclose(metrics["td_error"], 1.5 - 0.1, rtol=1e-5)
    np.testing.assert_allclose(metrics["entropy"], -np.sum(LOW * np.log(LOW)), rtol=1e-5)
    other = jax.grad(lambda p: c51.loss(p, params, batch, SMALL, cartpole)[0])(params)
    bias = other["head"]["bias"].reshape(2, 5)
    np.testing.assert_allclose(bias[0], 0.0)  # of the action that was not taken
    np.testing.assert_allclose(bias[1], LOW - np.array([0, 0.5, 0.5, 0, 0]), atol=1e-6)


def test_values_are_expectations(cartpole):
    value = c51.values(constant([HIGH, LOW]), jnp.zeros((3, 4)), SMALL, cartpole)
    np.testing.assert_allclose(value, np.tile([3.9, 0.1], (3, 1)), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"atoms": 1}, "atoms: got 1, allowed: at least 2"),
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
    ],
)
def test_options_that_do_not_fit_are_refused(cartpole, options, message):
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        c51.init(jax.random.key(0), SMALL.replace(**options), cartpole)
    assert message in str(error.value)


def test_it_learns_to_balance():
    config, task = learning("c51")
    _, metrics = run(c51, config, task)
    # 18 seeds reached 130 to 453. Ignoring terminations: at most 74, without bootstrapping 21,
    # training the distribution of the wrong action 10.
    assert np.all(final(metrics) > 100.0), final(metrics)
    np.testing.assert_allclose(metrics["epsilon"][:, -1], 0.05, rtol=1e-5)
