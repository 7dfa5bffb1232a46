"""Counter-based noise: each value is a hash of a seed and its own position.

Frames need tens of thousands of fresh variates per step. Hashing positions needs no state, gives
the same frame from the same seed on every machine, and is several times cheaper than a
cryptographic counter generator.
"""

import jax
import jax.numpy as jnp

_GOLDEN = 0x9E3779B9


def mix(word: jax.Array) -> jax.Array:
    """A 32-bit finalizer (two multiply-xorshift rounds) with low bias; uint32 -> uint32."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)


def bits(seed: jax.Array, stream: int, shape: tuple[int, ...]) -> jax.Array:
    """Independent uint32 [B, *shape] for seeds uint32 [B]; `stream` separates uses of one seed."""
    position = jnp.arange(_size(shape), dtype=jnp.uint32).reshape(shape)
    start = mix(seed + jnp.uint32((stream * _GOLDEN) & 0xFFFFFFFF))
    start = start.reshape((-1,) + (1,) * len(shape))
    # Two rounds with the seed in between: neighbouring seeds must not give shifted noise.
    return mix(mix(position[None] + start) ^ (start * jnp.uint32(_GOLDEN) + jnp.uint32(1)))


def uniform(seed: jax.Array, stream: int, shape: tuple[int, ...]) -> jax.Array:
    """Float32 [B, *shape] uniform on the open interval (0, 1), in steps of 2^-23."""
    return (bits(seed, stream, shape) >> 9).astype(jnp.float32) * 2.0**-23 + 2.0**-24


def normal(seed: jax.Array, stream: int, shape: tuple[int, ...]) -> jax.Array:
    """Float32 [B, *shape] standard normal, by inversion."""
    return normal_from_uniform(uniform(seed, stream, shape))


def normal_from_uniform(u: jax.Array) -> jax.Array:
    """The standard normal quantile of u in (0, 1)."""
    return jnp.float32(2.0**0.5) * jax.lax.erf_inv(2.0 * u - 1.0)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
