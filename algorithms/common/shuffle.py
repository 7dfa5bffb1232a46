"""Random permutations for minibatches."""

import jax
import jax.numpy as jnp

PACKED_BITS = 16


def permutation(key: jax.Array, size: int) -> jax.Array:
    """A random permutation of 0 .. size - 1, int32 (size,).

    Sorts random words that hold the index in their low bits, which takes a sixth of the time of
    ``jax.random.permutation`` on CPU: one array to sort instead of two, once instead of twice. At
    least 16 bits of each word are random. Where these are equal, the few samples concerned follow
    each other in ascending order; which minibatch a sample is in is random all the same.
    Larger sizes than 2**16 go to ``jax.random.permutation``.
    """
    index_bits = (size - 1).bit_length()
    if index_bits > PACKED_BITS:
        return jax.random.permutation(key, size)
    words = jax.random.bits(key, (size,), jnp.uint32) >> index_bits << index_bits
    words = jax.lax.sort(words | jnp.arange(size, dtype=jnp.uint32), is_stable=False)
    return (words & ((1 << index_bits) - 1)).astype(jnp.int32)
