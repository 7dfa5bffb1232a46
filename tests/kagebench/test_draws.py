"""Blocks of random draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench.draws import Draws
from kagebench.params import Pool


def test_integers_are_uniform_on_the_closed_range():
    values = np.asarray(Draws(jax.random.key(0), 60_000).integer(-2, 3, (60_000,)))
    counts = np.bincount(values + 2, minlength=6)
    assert counts.size == 6
    assert np.abs(counts - 10_000).max() < 400  # 4.4 standard deviations


def test_parts_of_a_block_are_distinct_and_end():
    draws = Draws(jax.random.key(1), 6)
    first, second = draws.uniform((3,)), draws.between(2.0, 4.0, (2,))
    assert not set(np.asarray(first).tolist()) & set((np.asarray(second) / 2 - 1).tolist())
    assert bool(jnp.all((second >= 2.0) & (second < 4.0)))
    draws.uniform()
    with pytest.raises(IndexError, match="7 variates used of a block of 6"):
        draws.uniform()


def test_an_index_stays_in_the_used_part_of_a_pool():
    pool = Pool(values=jnp.zeros(8, jnp.int32), count=jnp.int32(3))
    index = Draws(jax.random.key(2), 500).index(pool, (500,))
    assert set(np.asarray(index).tolist()) == {0, 1, 2}
    single = Pool(values=jnp.zeros(1, jnp.int32), count=jnp.int32(1))
    assert int(Draws(jax.random.key(3), 0).index(single)) == 0
