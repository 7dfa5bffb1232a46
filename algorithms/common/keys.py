"""Keys beside those that a key is split into."""

import jax

# ``fold_in(key, i)`` is ``split(key, n)[i]``: far above the numbers of keys that are split off.
_BESIDE = 0x5EED0001


def beside(key: jax.Array) -> jax.Array:
    """A key that is none of ``jax.random.split(key, n)``, for every n that is used."""
    return jax.random.fold_in(key, _BESIDE)
