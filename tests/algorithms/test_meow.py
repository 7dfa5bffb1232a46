"""MEow: densities, exact soft values and inverses by numerical integration, and that it learns."""

import dataclasses
from types import SimpleNamespace

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algorithms import meow
from algorithms.common import couplings, replay
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = meow.Config(network="mlp", num_couplings=2, rounds=4, total_timesteps=400, log_std_min=-2.0)


@pytest.fixture(scope="module")
def pendulum() -> Task:
    return Task(*gymnax.make("Pendulum-v1"))


def shapes_of(size: int, config: meow.Config) -> dict:
    """Shapes of the parameters of a flow over actions of so many components."""
    task = SimpleNamespace(observation_shape=(3,), action_size=size)
    return jax.eval_shape(lambda key: meow.init_flow(key, config, task), jax.random.key(0))


def rough(size: int, config: meow.Config) -> dict:
    """A flow that is far from the identity."""
    rng = np.random.default_rng(3)

    def draw(path, leaf):
        if path[-1].key == "scale":
            return jnp.ones(leaf.shape)
        spread = leaf.shape[-2] ** -0.5 if path[-1].key == "kernel" else 0.3
        return jnp.asarray(spread * rng.normal(size=leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes_of(size, config))


def observations(count: int) -> jax.Array:
    """The same observation many times."""
    return jnp.tile(jnp.array([0.5, -1.0, 2.0]), (count, 1))


@pytest.mark.parametrize(("size", "kind"), [(1, "additive"), (2, "additive"), (2, "affine")])
def test_densities_integrate_to_one_and_soft_values_are_exact(size, kind):
    config = SMALL.replace(coupling=kind)
    flow = rough(size, config)
    # Over u with a = tanh(u), as densities may lean to the bounds.
    side = np.linspace(-6.0, 6.0, 481)
    u = np.stack(np.meshgrid(*[side] * size, indexing="ij"), axis=-1).reshape(-1, size)
    volume = np.prod(1.0 - np.tanh(u) ** 2, axis=1) * (side[1] - side[0]) ** size
    values = jax.jit(lambda flow, a, o: meow.value(flow, o, a, config))
    q, v = values(flow, jnp.tanh(jnp.array(u, jnp.float32)), observations(len(u)))
    q, v = np.asarray(q, np.float64), float(v[0])
    density = np.exp((q - v) / config.alpha)
    np.testing.assert_allclose(np.sum(density * volume), 1.0, atol=2e-3)
    soft = config.alpha * np.log(np.sum(np.exp(q / config.alpha) * volume))
    np.testing.assert_allclose(soft, v, atol=1e-3)


@pytest.mark.parametrize("kind", ["additive", "affine"])
def test_densities_are_those_of_generated_actions(kind):
    config = SMALL.replace(coupling=kind)
    flow = rough(2, config)
    noise = jax.random.normal(jax.random.key(0), (50, 2))

    def action(flow, noise):
        return meow.generate(flow, observations(1), noise[None], config)[0]

    def both(flow, noise):
        jacobian = jax.vmap(jax.jacfwd(lambda x: action(flow, x)))(noise)
        det = jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0]
        normal = -0.5 * jnp.sum(noise**2, axis=1) - jnp.log(2.0 * jnp.pi)
        actions = jax.vmap(lambda x: action(flow, x))(noise)
        found = meow.log_density(flow, observations(50), actions, config)
        return normal - jnp.log(jnp.abs(det)), found, actions

    expected, found, actions = jax.jit(both)(flow, noise)
    inside = np.all(np.abs(actions) < 0.999, axis=1)
    assert inside.sum() > 20
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.02)


@pytest.mark.parametrize(("size", "kind"), [(1, "affine"), (3, "additive"), (3, "affine")])
def test_couplings_are_inverted(size, kind):
    config = SMALL.replace(coupling=kind)
    layers = rough(size, config)["couplings"]
    z, observation = jax.random.normal(jax.random.key(1), (20, size)), observations(20)

    def there_and_back(layers, z):
        u = couplings.forward(layers, z, observation, "mlp", kind)
        return u, *couplings.inverse(layers, u, observation, "mlp", kind)

    u, back, log_det = jax.jit(there_and_back)(layers, z)
    np.testing.assert_allclose(back, z, atol=1e-4)
    assert np.all(np.abs(u - z) > 1e-3)
    # Additive layers keep volumes.
    assert np.all(log_det == 0.0) == (kind == "additive")


def constant(shifts: list[float], raw: float, config: meow.Config) -> dict:
    """A flow with these shifts everywhere, g the identity, and log sigma from ``raw``."""
    shapes = shapes_of(1, config.replace(num_shifts=len(shifts)))
    flow = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    flow["log_std"]["head"]["bias"] = jnp.array([raw])
    if shifts:
        flow["shifts"]["head"]["bias"] = jnp.array(shifts)[:, None]
    return flow


def test_targets_and_loss_by_hand():
    # log sigma is half way between -2 and -0.3; V = 0.2 (-1.15).
    flow = constant([3.0, 1.0], 0.0, SMALL)
    config = SMALL
    batch = replay.Sample(
        seen=observations(2),
        action=jnp.array([[0.5], [-0.5]]),
        reward=jnp.array([1.0, 2.0]),
        discount=jnp.array([0.9, 0.0]),
        next_seen=observations(2),
        terminated=jnp.array([False, True]),
    )
    learner = meow.Learner(flow, flow, None, jnp.int32(0))
    goal = meow.targets(learner, batch, batch.next_seen, config)
    np.testing.assert_allclose(goal, [1.0 + 0.9 * (-0.23 + 1.0), 2.0], rtol=1e-5)
    z = np.arctanh(0.5) * np.exp(1.15)
    q = 0.2 * (-0.5 * z**2 - 0.5 * np.log(2.0 * np.pi) - np.log(1.0 - 0.25))
    errors = q + np.array([[3.0], [1.0]]) - np.array([1.693, 2.0])
    result, metrics = meow.loss(flow, batch.seen, batch.action, goal, config)
    np.testing.assert_allclose(result, 0.5 * np.mean(errors**2, axis=1).sum(), rtol=1e-4)
    np.testing.assert_allclose(metrics["log_density"], (q + 0.23) / 0.2, rtol=1e-4)
    # Without shifts the values are those of the flow.
    none = config.replace(num_shifts=0)
    bare = dataclasses.replace(learner, target=constant([], 0.0, none))
    goal = meow.targets(bare, batch, batch.next_seen, none)
    np.testing.assert_allclose(goal, [1.0 + 0.9 * -0.23, 2.0], rtol=1e-5)


def test_actions_outside_of_the_open_box_have_finite_values():
    flow = constant([0.0], 0.0, SMALL)
    action = jnp.array([[1.0], [-1.0], [0.0]])
    slopes = jax.grad(lambda flow: jnp.sum(meow.value(flow, observations(3), action, SMALL)[0]))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(jax.jit(slopes)(flow)))


def test_one_loss_finds_the_boltzmann_policy_and_its_soft_value():
    # One step whose reward is the logarithm of the density of tanh(N(0.3, 0.4^2)), times alpha and
    # shifted: Q is the reward, V = alpha log int exp(Q / alpha) da.
    config = SMALL.replace(num_shifts=1)

    def pay(a):
        return 1.0 + config.alpha * (-0.5 * ((np.arctanh(a) - 0.3) / 0.4) ** 2 - np.log(1 - a * a))

    a = np.linspace(-0.9999, 0.9999, 20_001)
    weight = np.exp(pay(a) / config.alpha)
    exact = config.alpha * np.log(np.trapezoid(weight, a))
    table = jnp.asarray(pay(a), jnp.float32)
    adam = optax.adam(optax.cosine_decay_schedule(2e-2, 2000))

    @jax.jit
    def fit(flow):
        def step(carry, key):
            flow, optimiser = carry
            action = jax.random.uniform(key, (128, 1), minval=-0.99, maxval=0.99)
            goal = jnp.interp(action[:, 0], jnp.asarray(a, jnp.float32), table)
            gradient, _ = jax.grad(meow.loss, has_aux=True)(
                flow, observations(128), action, goal, config
            )
            change, optimiser = adam.update(gradient, optimiser)
            return (optax.apply_updates(flow, change), optimiser), None

        keys = jax.random.split(jax.random.key(0), 2000)
        flow = jax.lax.scan(step, (flow, adam.init(flow)), keys)[0][0]
        v = meow.value(flow, observations(1), jnp.zeros((1, 1)), config)[1]
        noise = jax.random.normal(jax.random.key(1), (4000, 1))
        actions = meow.generate(flow, observations(4000), noise, config)
        return (v + meow.shifts(flow, observations(1), config)[0])[0], actions

    value, actions = fit(constant([0.0], 0.0, SMALL))
    np.testing.assert_allclose(value, exact, atol=0.02)
    mean = np.sum(a * weight) / np.sum(weight)
    std = np.sqrt(np.sum((a - mean) ** 2 * weight) / np.sum(weight))
    np.testing.assert_allclose([actions.mean(), actions.std()], [mean, std], atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coupling": "spline"}, "coupling: got 'spline', allowed: additive, affine"),
        ({"num_shifts": 3}, "num_shifts: got 3, allowed: 0, 1, 2"),
        ({"num_couplings": 0}, "num_couplings: got 0, allowed: at least 1"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one update"),
    ],
)
def test_options_that_do_not_fit_are_refused(pendulum, options, message):
    with pytest.raises(ValueError, match=r"^[a-z_]+: ") as error:
        meow.init(jax.random.key(0), dataclasses.replace(SMALL, **options), pendulum)
    assert message in str(error.value)


def test_it_learns_to_swing_up():
    config, task = learning("meow")
    _, metrics = run(meow, config, task)
    # 18 seeds reached -460 to -120. In two thirds of the steps, without bootstrapping it stayed
    # below -1100, with the wrong sign of the energy or with shifts in the targets alone below
    # -1500. The sign of V hardly matters here: the tests above are for it.
    assert np.all(final(metrics) > -800.0), final(metrics)
