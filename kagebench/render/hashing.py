"""Counter-based noise: each value is a hash of a seed and its own position.

Frames need tens of thousands of fresh variates per step. Hashing positions needs no state, gives
the same frame from the same seed on every machine, and is several times cheaper than a
cryptographic counter generator.
"""

import jax
import jax.numpy as jnp

_GOLDEN = 0x9E3779B9
# Polynomials of erfinv(x) / x in w = -log(1 - x^2), around w = 2.5 and sqrt(w) = 3.
_CENTRAL = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


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
    """The standard normal quantile of u in (0, 1), to about 1e-6.

    Source: Giles, "Approximating the erfinv function" (GPU Computing Gems, 2011), single precision.
    """
    x = 2.0 * u - 1.0
    w = -jnp.log(4.0 * u * (1.0 - u))
    tail = w >= 5.0
    t = jnp.where(tail, jnp.sqrt(w) - 3.0, w - 2.5)
    value = jnp.where(tail, _TAIL[0], _CENTRAL[0])
    for central, far in zip(_CENTRAL[1:], _TAIL[1:], strict=True):
        value = value * t + jnp.where(tail, far, central)
    return jnp.float32(2.0**0.5) * value * x


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
