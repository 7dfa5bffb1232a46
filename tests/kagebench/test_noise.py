"""Counter-based noise: uniformity, independence, the normal quantile and Poisson variates."""

import math
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench.render import hashing, poisson

SEEDS = 64
SHAPE = (64, 64)


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    """uint32 [3 streams, seeds, rows, columns] of neighbouring seeds."""
    seeds = jnp.arange(1000, 1000 + SEEDS, dtype=jnp.uint32)
    draw = jax.jit(lambda s: jnp.stack([hashing.bits(s, k, SHAPE) for k in (0, 10, 11)]))
    return np.asarray(draw(seeds))


def test_every_bit_is_fair(words: np.ndarray) -> None:
    assert words.dtype == np.uint32
    n = words[0].size
    for bit in range(32):
        share = ((words[0] >> bit) & 1).mean()
        assert abs(share - 0.5) < 5 * 0.5 / math.sqrt(n), bit


def test_bytes_are_uniform(words: np.ndarray) -> None:
    """Also within the frame of every single seed."""
    for shift in (0, 24):
        byte = (words[0] >> shift) & 0xFF
        counts = np.bincount(byte.ravel(), minlength=256)
        expected = byte.size / 256
        assert ((counts - expected) ** 2 / expected).sum() < 341  # 255 degrees, p = 0.0003
        coarse = np.stack([np.bincount(b.ravel() >> 4, minlength=16) for b in byte])
        chi = ((coarse - 256) ** 2 / 256).sum(axis=1)
        assert chi.max() < 50  # 15 degrees, p = 1e-5, 64 seeds


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """In standard deviations of the coefficient of independent samples."""
    a, b = a.astype(float).ravel(), b.astype(float).ravel()
    return abs(np.corrcoef(a, b)[0, 1]) * math.sqrt(a.size)


def test_no_correlation_in_space_between_seeds_or_streams(words: np.ndarray) -> None:
    noise = words[0]
    for rows, columns in ((0, 1), (1, 0), (1, 1), (0, 2), (0, 32)):
        ahead = noise[:, rows:, columns:]
        behind = noise[:, : SHAPE[0] - rows, : SHAPE[1] - columns]
        assert correlation(ahead, behind) < 4.5
    assert correlation(noise[1:], noise[:-1]) < 4.5
    assert correlation(words[0], words[1]) < 4.5 and correlation(words[1], words[2]) < 4.5


def test_no_shifted_copies_between_seeds(words: np.ndarray) -> None:
    """Words of different seeds and streams coincide only by chance."""
    values = np.unique(words.ravel())
    expected = words.size**2 / 2 / 2**32
    assert words.size - values.size < expected + 6 * math.sqrt(expected)


def test_every_input_bit_changes_half_of_the_output() -> None:
    word = jnp.arange(20000, dtype=jnp.uint32) * jnp.uint32(2654435761)
    flips = jnp.uint32(1) << jnp.arange(32, dtype=jnp.uint32)
    change = hashing.mix(word) ^ hashing.mix(word[None] ^ flips[:, None])
    ones = np.unpackbits(np.asarray(change).view(np.uint8).reshape(32, -1, 4), axis=2)
    share = ones.mean(axis=1)
    assert abs(share - 0.5).max() < 0.03


def test_uniform_is_inside_the_open_interval(words: np.ndarray) -> None:
    u = np.asarray(hashing.uniform(jnp.arange(16, dtype=jnp.uint32), 3, SHAPE))
    assert u.dtype == np.float32 and 0 < u.min() < 1e-4 and 1 - 1e-4 < u.max() < 1
    assert abs(u.mean() - 0.5) < 5 / math.sqrt(12 * u.size)
    assert abs(u.var() - 1 / 12) < 5e-3 / 12


def test_normal_quantile_is_accurate() -> None:
    ends = np.float32(2.0**-24) * np.array([1, 3, 1001, 70001])
    u = np.concatenate([ends, np.linspace(0.001, 0.999, 999), 1 - ends]).astype(np.float32)
    exact = np.array([NormalDist().inv_cdf(float(p)) for p in u])
    found = np.asarray(hashing.normal_from_uniform(jnp.asarray(u)))
    np.testing.assert_allclose(found, exact, rtol=3e-6, atol=1e-6)


def test_normal_moments_and_tails() -> None:
    z = np.asarray(hashing.normal(jnp.arange(64, dtype=jnp.uint32), 20, SHAPE)).astype(float)
    n = math.sqrt(z.size)
    assert abs(z.mean()) < 5 / n and abs(z.var() - 1) < 5 * math.sqrt(2) / n
    assert abs((z**3).mean()) < 5 * math.sqrt(15) / n
    assert abs((z**4).mean() - 3) < 5 * math.sqrt(96) / n
    assert 4.0 < np.abs(z).max() < 5.6
    assert np.abs(z[0]).max() > 3.0  # the tails are in every frame, not only in some


MEANS = (0.0, 0.05, 0.7, 1.9, 2.0, 2.1, 5.0, 20.0, 100.0, 255.0)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Poisson variates [means, samples]."""
    seeds = jnp.arange(len(MEANS), dtype=jnp.uint32) + 7
    mean = jnp.broadcast_to(jnp.asarray(MEANS)[:, None, None], (len(MEANS), 400, 500))
    drawn = jax.jit(poisson.sample, static_argnums=1)(seeds, 30, mean)
    return np.asarray(drawn).reshape(len(MEANS), -1).astype(float)


def test_poisson_moments(counts: np.ndarray) -> None:
    n = counts.shape[1]
    assert (counts >= 0).all() and (counts == np.floor(counts)).all() and (counts[0] == 0).all()
    for mean, x in list(zip(MEANS, counts, strict=True))[1:]:
        # The expansion's bias is below 0.5 % of the mean.
        assert abs(x.mean() - mean) < 5 * math.sqrt(mean / n) + 0.001 * mean, mean
        spread = math.sqrt((mean + 2 * mean**2) / n)
        assert abs(x.var() - mean) < 5 * spread + 0.01 * mean, mean
        skew = ((x - x.mean()) ** 3).mean() / mean
        assert abs(skew - 1) < 0.1 + 5 * math.sqrt(15 * mean**3 / n) / mean, mean


def test_poisson_probabilities(counts: np.ndarray) -> None:
    """Total variation from the exact law, above what sampling explains."""
    n = counts.shape[1]
    for mean, x in list(zip(MEANS, counts, strict=True))[1:8]:
        top = int(mean + 10 * math.sqrt(mean) + 10)
        law = np.array(
            [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(top)]
        )
        share = np.bincount(x.astype(int), minlength=top)[:top] / n
        sampling = 0.5 * np.sqrt(law * (1 - law) * 2 / math.pi / n).sum()
        bias = 0.006 if 2.0 <= mean < 10 else 0.001
        assert 0.5 * np.abs(share - law).sum() < 2 * sampling + bias, mean
