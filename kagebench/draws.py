"""Many small random draws from one call of the generator.

A call of the generator costs compile time and a loop of its own. A new episode needs some thirty
variates, so it takes them from one block.
"""

import jax
import jax.numpy as jnp

from kagebench.params import Pool


class Draws:
    """Hands out parts of a block of uniform variates, each once.

    Args:
        key: typed PRNG key, not used elsewhere.
        count: variates in the block; asking for more raises IndexError while tracing.
    """

    def __init__(self, key: jax.Array, count: int):
        self._block = jax.random.uniform(key, (count,))
        self._used = 0

    def uniform(self, shape: tuple[int, ...] = ()) -> jax.Array:
        """Float32 variates on [0, 1)."""
        size = 1
        for n in shape:
            size *= n
        start, self._used = self._used, self._used + size
        if self._used > self._block.shape[0]:
            raise IndexError(f"{self._used} variates used of a block of {self._block.shape[0]}")
        return self._block[start : self._used].reshape(shape)

    def between(
        self, low: jax.Array | float, high: jax.Array | float, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Float32 variates on [low, high)."""
        return low + self.uniform(shape) * (high - low)

    def integer(
        self, low: jax.Array | int, high: jax.Array | int, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Int32 variates on low..high, both inclusive.

        Probabilities are equal to within (high - low) / 2^23.
        """
        span = jnp.asarray(high - low + 1)
        offset = jnp.floor(self.uniform(shape) * span).astype(jnp.int32)
        return low + jnp.minimum(offset, span - 1)

    def index(self, pool: Pool, shape: tuple[int, ...] = ()) -> jax.Array:
        """Int32 indices into the used part of a pool."""
        if pool.values.shape[0] == 1:
            return jnp.zeros(shape, jnp.int32)
        return self.integer(0, pool.count - 1, shape)
