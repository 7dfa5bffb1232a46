"""MD3QN: the discrepancy in closed form, a joint law of returns, and that it learns."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import envs
from algorithms import md3qn
from algorithms.common import mmd, networks, replay, risk
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = md3qn.Config(
    network="mlp", rounds=4, total_timesteps=400, particles=2, reward_scale=1.0, channels="one"
)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


@pytest.fixture(scope="module")
def treasure() -> Task:
    return Task(*envs.make("grid/deep-sea-treasure-convex", one_hot=True))


def test_the_discrepancy_of_single_particles_and_of_equal_sets():
    # Two single particles: 2 - 2 k; per dimension the mean of 9 and 16 is 12.5.
    x, y = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]])
    expected = 2 - 2 * (np.exp(-12.5 / 2.0) + np.exp(-12.5 / 20.0)) / 2
    np.testing.assert_allclose(mmd.squared(x, y, (2.0, 20.0)), expected, rtol=1e-5)
    z = jax.random.normal(jax.random.key(0), (5, 7, 2))
    np.testing.assert_allclose(mmd.squared(z, z[:, ::-1], (1.0,)), 0.0, atol=1e-6)


def test_the_discrepancy_of_normal_distributions():
    # E exp(-(X - Y)^2 / h) = exp(-m^2 / (h + 2 v)) / sqrt(1 + 2 v / h) for X - Y ~ N(m, v).
    def k(mean, variance, h):
        return np.exp(-(mean**2) / (h + 2 * variance)) / np.sqrt(1 + 2 * variance / h)

    x = jax.scipy.special.ndtri(risk.fractions(1500))[:, None]
    y = 1.0 + 2.0 * x
    for h in (0.5, 4.0):
        expected = k(0, 2, h) - 2 * k(1, 5, h) + k(0, 8, h)
        np.testing.assert_allclose(mmd.squared(x, y, (h,)), expected, atol=1e-3)


def test_the_discrepancy_sees_how_dimensions_vary_together():
    # Equal marginals: (0, 0), (1, 1) against (0, 1), (1, 0). Kernels 1 and exp(-1), across e^-1/2.
    same, opposite = jnp.array([[0.0, 0.0], [1.0, 1.0]]), jnp.array([[0.0, 1.0], [1.0, 0.0]])
    expected = 2 * (1 + np.exp(-1)) / 2 - 2 * np.exp(-0.5)
    np.testing.assert_allclose(mmd.squared(same, opposite, (1.0,)), expected, rtol=1e-5)


def constant(particles: list, inputs: int = 4) -> dict:
    """Parameters of a network that gives these particles (A, M, K) for every observation."""
    table = jnp.array(particles, jnp.float32).reshape(-1)
    return {
        "dense_0": {"kernel": jnp.zeros((inputs, 64)), "bias": jnp.zeros(64)},
        "dense_1": {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)},
        "head": {"kernel": jnp.zeros((64, table.size)), "bias": table},
    }


def batch_of(seen, reward, discount, action) -> replay.Sample:
    return replay.Sample(
        seen=seen,
        action=action,
        reward=reward,
        discount=discount,
        next_seen=seen,
        terminated=discount == 0.0,
    )


def test_targets_follow_the_best_sum_of_channels(treasure):
    # Sums of means: 0 + 4, 3 + 2, 1 + 1, 0; the second action is best, in neither channel alone.
    config = SMALL.replace(channels="vector")
    z = [[[-1, 4], [1, 4]], [[2, 0], [4, 4]], [[1, 1], [1, 1]], [[4, -4], [4, -4]]]
    params = constant(z, 110)
    seen = jnp.zeros((2, 110))
    np.testing.assert_allclose(
        md3qn.values(params, seen, config, treasure), [[4.0, 5.0, 2.0, 0.0]] * 2
    )
    batch = batch_of(
        seen, jnp.array([[1.0, -1.0], [2.0, 0.0]]), jnp.array([0.5, 0.0]), jnp.array([0, 2])
    )
    goal = md3qn.targets(params, batch, config, treasure)
    np.testing.assert_allclose(goal, [[[2, -1], [3, 1]], [[2, 0], [2, 0]]])
    result, metrics = md3qn.loss(params, params, batch, config, treasure)
    chosen = jnp.array(z, jnp.float32)[batch.action]
    np.testing.assert_allclose(
        result, np.mean(mmd.squared(chosen, goal, config.bandwidths)), rtol=1e-5
    )
    np.testing.assert_allclose(metrics["value"], (4 + 2) / 2)


def test_rewards_come_from_the_vector_or_are_one_channel():
    info = {"reward_vector": jnp.array([[1, -1], [4, 0]])}
    config = SMALL.replace(channels="vector", reward_scale=0.5)
    found = md3qn.split(jnp.array([9.0, 9.0]), info, config)
    np.testing.assert_allclose(found, [[0.5, -0.5], [2.0, 0.0]])
    np.testing.assert_allclose(md3qn.split(jnp.array([3.0]), {}, SMALL), [[3.0]])


def test_the_joint_law_of_two_channels_is_recovered(cartpole):
    # Two steps. The first pays (c, 1 - c), the second (2 d, 2 d), with fair coins c and d: returns
    # covary by -1/4 + 1 and have variances 1/4 + 1 at the start; at the second step they are equal.
    config = md3qn.Config(learning_rate=2e-3, network="mlp", bandwidths=(0.0625, 0.25, 1.0, 4.0))
    steps = jnp.eye(4)[:2]
    table = constant(np.zeros((2, 16, 2)))
    head = networks.init_dense(jax.random.key(0), 64, 64)
    trunk = networks.init_trunk(jax.random.key(1), "mlp", (4,))
    params = {**table, **trunk, "head": head}
    adam = md3qn.optimiser(config)

    def step(carry, key):
        params, target, state, count = carry
        coins = jax.random.bernoulli(key, shape=(2, 64)).astype(jnp.float32)
        first = jnp.stack([coins[0], 1 - coins[0]], axis=1)
        second = jnp.stack([2 * coins[1], 2 * coins[1]], axis=1)
        at = jnp.repeat(jnp.arange(2), 64)
        batch = replay.Sample(
            seen=steps[at],
            action=jnp.zeros(128, jnp.int32),
            reward=jnp.concatenate([first, second]),
            discount=jnp.where(at == 0, 1.0, 0.0),
            next_seen=steps[jnp.ones(128, jnp.int32)],
            terminated=at == 1,
        )
        gradient = jax.grad(md3qn.loss, has_aux=True)(params, target, batch, config, cartpole)[0]
        change, state = adam.update(gradient, state, params)
        params = optax.apply_updates(params, change)
        target = optax.incremental_update(params, target, jnp.where(count % 50 == 0, 1.0, 0.0))
        return (params, target, state, count + 1), None

    keys = jax.random.split(jax.random.key(2), 1500)
    carry = (params, params, adam.init(params), jnp.int32(0))
    (params, *_), _ = jax.jit(lambda: jax.lax.scan(step, carry, keys))()
    z = np.asarray(md3qn.particles(params, steps, config, cartpole))[:, 0]

    first, second = (np.cov(z[i].T, bias=True) for i in (0, 1))
    np.testing.assert_allclose(first, [[1.25, 0.75], [0.75, 1.25]], atol=0.2)
    np.testing.assert_allclose(second, np.ones((2, 2)), atol=0.15)
    np.testing.assert_allclose(z.mean(axis=1), [[1.5, 1.5], [1.0, 1.0]], atol=0.15)
    law = jnp.array([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [2.0, 3.0]])
    assert float(mmd.squared(jnp.asarray(z[0]), law, config.bandwidths)) < 0.02
    apart = jnp.array([[a, b] for a in range(4) for b in range(4)], jnp.float32)
    assert float(mmd.squared(apart, law, config.bandwidths)) > 0.1  # same marginals, independent


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"particles": 0}, "particles: got 0, allowed: at least 1"),
        ({"bandwidths": (1.0, 0.0)}, "bandwidths: got (1.0, 0.0), allowed: numbers above 0"),
        ({"channels": "sign"}, "channels: got 'sign', allowed: vector, one"),
        ({"channels": "vector"}, "needs an environment that reports reward_vector"),
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
    ],
)
def test_options_that_do_not_fit_are_refused(cartpole, options, message):
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        md3qn.init(jax.random.key(0), SMALL.replace(**options), cartpole)
    assert message in str(error.value)


def test_it_learns_to_dive_for_treasure():
    config, task = learning("md3qn")
    _, metrics = run(md3qn, config, task)
    # 18 seeds reached 3.1 to 3.3; with few random actions the best is 3.55. Ignoring terminations:
    # 2.5 to 2.9, without bootstrapping or training the wrong action below 0, without the second
    # channel below -10.
    assert np.mean(final(metrics)) > 3.0, final(metrics)
