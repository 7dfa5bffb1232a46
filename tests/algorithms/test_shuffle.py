"""Permutations."""

import jax
import numpy as np
import pytest

from algorithms.common.shuffle import permutation


@pytest.mark.parametrize("size", [1, 2, 5, 8192, 2**16, 2**16 + 1])
def test_every_index_once(size):
    order = permutation(jax.random.key(0), size)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))


def test_all_orders_are_equally_likely():
    keys = jax.random.split(jax.random.key(0), 24_000)
    orders = np.asarray(jax.vmap(permutation, (0, None))(keys, 4))
    counts = np.unique(orders @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(counts) == 24
    # Chi-squared with 23 degrees of freedom: above 49.7 once in a thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 49.7
