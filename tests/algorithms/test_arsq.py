"""ARSQ: its normalisation over all actions, its policy, a bandit with dependent components."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import envs
from algorithms import arsq
from algorithms.common import replay, zoom
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = arsq.Config(
    network="mlp", rounds=4, total_timesteps=400, layer_norm=False, levels=2, bins=3, alpha=0.5
)
# All actions of two components, as bins (81, L, d) and as numbers (81, d).
BINS = np.array(list(itertools.product(range(3), repeat=4))).reshape(81, 2, 2)
ACTIONS = zoom.decode(jnp.array(BINS), 3)


@pytest.fixture(scope="module")
def peaks() -> Task:
    return Task(*envs.make("bandit/peaks", dim=2))


def random_networks(config: arsq.Config, task: Task) -> dict:
    """Networks whose advantages differ much between bins, levels and components."""
    params = jax.jit(arsq.init_network)(jax.random.key(0), config, task)
    layers = params["advantage"]
    for name, key in zip(("zoom", "head"), jax.random.split(jax.random.key(1))):
        kernel = 0.5 * jax.random.normal(key, layers[name]["kernel"].shape)
        layers = layers | {name: layers[name] | {"kernel": kernel}}
    return params | {"advantage": layers}


def batch_of(action, reward, discount, size=3) -> replay.Sample:
    seen = jnp.zeros((len(action), size))
    reward, discount = jnp.array(reward, jnp.float32), jnp.array(discount, jnp.float32)
    return replay.Sample(seen, jnp.array(action), reward, discount, seen, discount == 0.0)


@pytest.mark.parametrize("autoregressive", [True, False])
def test_the_soft_maximum_over_all_actions_is_the_value(peaks, autoregressive):
    config = SMALL.replace(autoregressive=autoregressive)
    params = random_networks(config, peaks)
    observation = jnp.tile(jnp.array([[0.3, -1.0, 0.5]]), (81, 1))

    @jax.jit
    def everything(key):
        features = arsq.features_of(params, observation, config)
        each = arsq.advantages(params, features, jnp.array(BINS), config)
        many = jnp.tile(observation[:1], (20_000, 1))
        drawn = arsq.draw(key, params, many, False, config, peaks)
        best = arsq.draw(key, params, observation[:1], True, config, peaks)
        value = arsq.values(params, observation, ACTIONS, config)
        return each, value, arsq.state_value(params, observation, config), drawn, best

    each, q, v, drawn, best = (np.array(x) for x in everything(jax.random.key(3)))
    np.testing.assert_allclose(q, v + each.sum(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(0.5 * np.log(np.sum(np.exp(q / 0.5))), v[0], rtol=1e-4)
    policy = np.exp(each.sum(axis=(1, 2)) / 0.5)
    np.testing.assert_allclose(policy.sum(), 1.0, rtol=1e-4)
    assert policy.max() > 5 / 81
    # Drawn actions follow exp(A / alpha).
    digits = np.array(zoom.encode(jnp.array(drawn), 2, 3)).reshape(-1, 4)
    counts = np.bincount(digits @ np.array([27, 9, 3, 1]), minlength=81) / 20_000
    assert 0.5 * np.abs(counts - policy).sum() < 0.04
    # The greedy way takes the best bin of every position, given those before.
    way = zoom.encode(jnp.array(best), 2, 3)[0]
    for level, i in np.ndindex(2, 2):
        before = [(m, j) for m, j in np.ndindex(2, 2) if (m, j) < (level, i)]
        same = np.ones(81, bool)
        for m, j in before:
            same &= BINS[:, m, j] == int(way[m, j])
        assert BINS[same][np.argmax(each[same, level, i])][level, i] == way[level, i]
    # What a position knows: all bins before it, or those of the levels before alone.
    others = [(m, j) for m, j in np.ndindex(2, 2) if (m, j) < (1, 1)]
    known = others if autoregressive else [(0, 0), (0, 1)]
    for level, i in others:
        pairs = [
            (a, b)
            for a, b in itertools.combinations(range(81), 2)
            if np.sum(BINS[a] != BINS[b]) == 1 and BINS[a, level, i] != BINS[b, level, i]
        ]
        differs = max(abs(each[a, 1, 1] - each[b, 1, 1]) for a, b in pairs)
        assert (differs > 1e-3) == ((level, i) in known)


def test_the_loss_by_hand(peaks):
    config = SMALL.replace(levels=1, alpha=0.5)
    params = jax.jit(arsq.init_network)(jax.random.key(0), config, peaks)

    def constant(layers, values):
        kernel = jnp.zeros_like(layers["head"]["kernel"])
        return layers | {"head": {"kernel": kernel, "bias": jnp.array(values).reshape(-1)}}

    raw = np.array([[1.0, 0.0, 2.0], [0.0, 0.5, 0.0]])
    online = {
        "value": constant(params["value"], [3.0]),
        "advantage": constant(params["advantage"], raw),
    }
    target = online | {"value": constant(params["value"], [7.0])}
    batch = batch_of([[-0.9, 0.0], [0.9, 0.9]], [1.0, -2.0], [0.5, 0.0])
    advantage = raw - 0.5 * np.log(np.sum(np.exp(raw / 0.5), axis=1, keepdims=True))
    q = 3.0 + np.array([advantage[0, 0] + advantage[1, 1], advantage[0, 2] + advantage[1, 2]])
    y = np.array([1.0 + 0.5 * 7.0, -2.0])
    result, metrics = jax.jit(arsq.loss)(online, target, batch, config, peaks)
    np.testing.assert_allclose(result, 0.5 * np.mean((q - y) ** 2), rtol=1e-5)
    np.testing.assert_allclose(metrics["log_prob"], np.mean(q - 3.0) / 0.5, rtol=1e-5)


def test_dependent_components_of_a_bandit(peaks):
    """Reward 1 where both components are in the same third: soft values of all 81 actions are
    known, and independent components within a level cannot express them."""
    reward = np.where(BINS[:, 0, 0] == BINS[:, 0, 1], 1.0, 0.0)
    batch = batch_of(ACTIONS, reward, np.zeros(81))

    def train(config):
        params = jax.jit(arsq.init_network)(jax.random.key(0), config, peaks)
        adam = optax.adam(3e-3)

        def step(carry, _):
            params, state = carry
            gradient, metrics = jax.grad(arsq.loss, has_aux=True)(
                params, params, batch, config, peaks
            )
            change, state = adam.update(gradient, state, params)
            return (optax.apply_updates(params, change), state), metrics["loss"]

        (params, _), losses = jax.lax.scan(step, (params, adam.init(params)), None, 600)
        value = arsq.values(params, batch.seen, ACTIONS, config)
        return value, arsq.state_value(params, batch.seen, config), losses[-1]

    soft = 0.5 * np.log(np.sum(np.exp(reward / 0.5)))
    q, v, _ = jax.jit(lambda: train(SMALL))()
    np.testing.assert_allclose(q, reward, atol=0.05)
    np.testing.assert_allclose(v, soft, atol=0.05)
    # Without the dependence the best fit is the mean, whose variance 1/3 * 2/3 remains.
    _, _, error = jax.jit(lambda: train(SMALL.replace(autoregressive=False)))()
    np.testing.assert_allclose(error, 0.5 * 2 / 9, atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
        ({"levels": 0}, "levels: got 0, allowed: at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(peaks, options, message):
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        arsq.init(jax.random.key(0), dataclasses.replace(SMALL, **options), peaks)
    assert message in str(error.value)


def test_it_learns_to_swing_up():
    config, task = learning("arsq")
    _, metrics = run(arsq, config, task)
    # 18 seeds reached -620 to -140. Without the value of what comes after: -1230 at best;
    # with advantages that are not normalised: -1350; with V for Q: -1070.
    assert np.all(final(metrics) > -900.0), final(metrics)
