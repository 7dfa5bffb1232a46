"""DrQ: its loss by hand and against DQN's, what it refuses, and that it learns from images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms import dqn, drq
from algorithms.common import augment, replay
from algorithms.common.task import Task
from sweeps.plan import build_task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = drq.Config(network="minatar", rounds=4, num_envs=2, total_timesteps=800, pad=1)
SIZE = 6


@pytest.fixture(scope="module")
def fruits() -> Task:
    return build_task({"env": "grid/fruits"})


@pytest.fixture(scope="module")
def batch(fruits) -> replay.Sample:
    keys = jax.random.split(jax.random.key(3), 3)
    shape = (SIZE, *fruits.observation_shape)
    return replay.Sample(
        seen=jax.random.uniform(keys[0], shape),
        action=jnp.array([0, 1, 2, 3, 0, 1]),
        reward=jax.random.normal(keys[1], (SIZE,)),
        discount=jnp.array([0.9, 0.0, 0.5, 0.9, 1.0, 0.2]),
        next_seen=jax.random.uniform(keys[2], shape),
        terminated=jnp.array([False, True, False, False, False, False]),
    )


def two_networks(config, task) -> list:
    return [drq.init_network(jax.random.key(seed), config, task) for seed in (0, 1)]


def test_one_view_without_shift_is_double_dqn(fruits, batch):
    config = SMALL.replace(pad=0, loss_views=1, target_views=1)
    params, target = two_networks(config, fruits)
    plain = dqn.Config(network="minatar", rounds=4, total_timesteps=800)
    vector = batch.replace(reward=batch.reward[:, None])
    expected, metrics = dqn.loss(params, target, vector, plain, fruits)
    found, ours = drq.loss(params, target, batch, jax.random.key(5), config, fruits)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(ours["td_error"], metrics["td_error"], rtol=1e-5)
    assert ours["view_std"] == 0.0


@pytest.mark.parametrize("double", [False, True])
def test_targets_average_the_views_of_the_next_image(fruits, batch, double):
    config = SMALL.replace(target_views=3, double=double)
    params, target = two_networks(config, fruits)
    key = jax.random.key(7)
    found = drq.targets(params, target, batch, key, config, fruits)

    copies = jnp.tile(batch.next_seen, (3, 1, 1, 1))
    views = augment.random_shift(key, copies, 1).reshape(3, *batch.next_seen.shape)
    total = np.zeros(SIZE)
    for view in views:
        value = np.asarray(drq.values(target, view, config))
        chooser = np.asarray(drq.values(params, view, config)) if double else value
        total += value[np.arange(SIZE), chooser.argmax(axis=1)]
    expected = np.asarray(batch.reward) + np.asarray(batch.discount) * total / 3
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_over_views_of_one_target(fruits, batch):
    config = SMALL.replace(loss_views=2, target_views=2)
    params, target = two_networks(config, fruits)
    key = jax.random.key(9)
    found, metrics = drq.loss(params, target, batch, key, config, fruits)

    loss_key, target_key = jax.random.split(key)
    goal = np.asarray(drq.targets(params, target, batch, target_key, config, fruits))
    views = drq.views(loss_key, batch.seen, 2, config).reshape(2, *batch.seen.shape)
    assert np.any(views[0] != views[1])
    chosen = [
        np.asarray(drq.values(params, view, config))[np.arange(SIZE), batch.action]
        for view in views
    ]
    error = np.abs(np.stack(chosen) - goal)
    huber = np.where(error <= 1, 0.5 * error**2, error - 0.5)
    np.testing.assert_allclose(found, huber.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["view_std"], np.std(chosen, axis=0).mean(), rtol=1e-4)


def test_no_gradient_flows_through_targets(fruits, batch):
    params, _ = two_networks(SMALL, fruits)
    weights = batch.replace(seen=jnp.zeros_like(batch.seen))
    gradient = jax.grad(lambda p: drq.loss(p, p, weights, jax.random.key(0), SMALL, fruits)[0])
    # Images of zeros excite no weight of the convolution; the next images would.
    assert not np.any(gradient(params)["conv_0"]["kernel"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_views": 0}, "loss_views: got 0, allowed: at least 1"),
        ({"target_views": 0}, "target_views: got 0, allowed: at least 1"),
        ({"n_step": 0}, "n_step: got 0, allowed: 1 to"),
        ({"total_timesteps": 1}, "total_timesteps: 1 is less than one update"),
    ],
)
def test_options_that_do_not_fit_are_refused(fruits, options, message):
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        drq.init(jax.random.key(0), SMALL.replace(**options), fruits)
    assert message in str(error.value)


def test_tasks_without_images_are_refused():
    task = build_task({"env": "gymnax/CartPole-v1"})
    with pytest.raises(ValueError, match=r"^env: drq shifts images .* observations are \(4,\)"):
        drq.init(jax.random.key(0), SMALL.replace(network="mlp"), task)


def test_it_learns_from_images():
    config, task = learning("drq")
    _, metrics = run(drq, config, task)
    # 18 seeds reached 1.19 to 1.44. Without bootstrapping at most 0.54, training the values of
    # other actions -0.58, with the views of one image under the targets of another -0.51.
    assert np.all(final(metrics) > 0.9), final(metrics)
