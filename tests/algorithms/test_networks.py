"""Distributions, convolutions and networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.common import distributions, networks
from algorithms.common.conv import conv


@pytest.mark.parametrize(("side", "size", "stride"), [(20, 8, 4), (9, 4, 4), (11, 3, 2)])
def test_both_formulations_of_a_convolution_agree(side, size, stride):
    image_key, kernel_key = jax.random.split(jax.random.key(0))
    images = jax.random.normal(image_key, (2, side, side + 3, 3))
    kernel = jax.random.normal(kernel_key, (size, size, 3, 5)) / size

    def loss(images, kernel, method):
        return jnp.mean(jnp.sin(conv(images, kernel, stride, method)))

    ours, xla = (conv(images, kernel, stride, method) for method in ("patches", "lax"))
    assert ours.shape == xla.shape
    np.testing.assert_allclose(ours, xla, atol=1e-5)
    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    gradients = [gradient(images, kernel, method) for method in ("patches", "lax")]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *gradients)


def test_bytes_are_divided_by_255():
    images = jax.random.randint(jax.random.key(0), (2, 8, 8, 3), 0, 256).astype(jnp.uint8)
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 3, 5))
    for method in ("patches", "lax"):
        expected = conv(images.astype(jnp.float32) / 255, kernel, 2, "lax")
        np.testing.assert_allclose(conv(images, kernel, 2, method), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "count"),
    [
        ("nature", (128, 128, 3), 4_799_657),
        ("small", (32, 32, 3), 784 + 2080 + 65_664 + 1032 + 129),
        ("mlp", (10,), 704 + 4160 + 520 + 65),
    ],
)
def test_parameter_counts(name, shape, count):
    params = jax.eval_shape(lambda key: networks.init(key, name, shape, 8), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
    images = jax.ShapeDtypeStruct((5, *shape), jnp.uint8 if len(shape) == 3 else jnp.float32)
    logits, value = jax.eval_shape(lambda p, x: networks.apply(p, x, name), params, images)
    assert (logits.shape, value.shape) == ((5, 8), (5,))


def test_initial_weights_are_orthogonal_with_the_gains_of_their_layers():
    params = networks.init(jax.random.key(0), "small", (32, 32, 3), 8)
    for layer, gain in (("conv_0", 2**0.5), ("conv_1", 2**0.5), ("actor", 0.01), ("critic", 1.0)):
        kernel = params[layer]["kernel"].reshape(-1, params[layer]["kernel"].shape[-1])
        np.testing.assert_allclose(kernel.T @ kernel, gain**2 * np.eye(kernel.shape[1]), atol=1e-5)
        assert not params[layer]["bias"].any()


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("large", (32, 32, 3), "network: 'large' is unknown"),
        ("mlp", (32, 32, 3), "network: 'mlp' takes vectors"),
        ("small", (4,), "network: 'small' takes images"),
        ("nature", (16, 16, 3), "network: 'nature' needs larger images"),
    ],
)
def test_networks_that_do_not_fit(name, shape, message):
    with pytest.raises(ValueError, match=message):
        networks.init(jax.random.key(0), name, shape, 8)


def test_categorical():
    logits = jnp.log(jnp.array([0.1, 0.2, 0.7])) + 3.0
    np.testing.assert_allclose(
        distributions.log_prob(logits[None].repeat(3, 0), jnp.arange(3)), logits - 3.0, atol=1e-6
    )
    expected = -sum(p * np.log(p) for p in (0.1, 0.2, 0.7))
    assert float(distributions.entropy(logits)) == pytest.approx(expected, abs=1e-6)
    assert float(distributions.entropy(jnp.zeros(8))) == pytest.approx(np.log(8), abs=1e-6)
    samples = distributions.sample(jax.random.key(0), jnp.broadcast_to(logits, (20_000, 3)))
    shares = np.bincount(np.asarray(samples), minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.7], atol=0.015)


def test_decompositions_are_never_batched():
    """Batched decompositions can deadlock on CPU: under vmap they must run one by one."""
    init = jax.vmap(lambda key: networks.init(key, "small", (32, 32, 3), 8))
    text = jax.jit(init).lower(jax.random.split(jax.random.key(0), 5)).as_text()
    calls = [line for line in text.splitlines() if "lapack" in line]
    assert calls and not any("tensor<5x" in line for line in calls)
