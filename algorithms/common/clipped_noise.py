"""Clipped noise on actions whose deviation falls over a run.

Yarats et al. 2021 (DrQ-v2), arXiv 2107.09645.
"""

import jax
import jax.numpy as jnp


def deviation(
    step: jax.Array,
    start: float | jax.Array,
    end: float | jax.Array,
    decay_steps: float | jax.Array,
) -> jax.Array:
    """Standard deviation, falling linearly from ``start`` to ``end``, float32 ()."""
    progress = jnp.minimum(step / decay_steps, 1.0)
    return jnp.asarray(start + progress * (end - start), jnp.float32)


def add(
    key: jax.Array, action: jax.Array, std: float | jax.Array, bound: float | jax.Array = jnp.inf
) -> jax.Array:
    """Actions with normal noise, itself clipped to [-bound, bound], within [-1, 1].

    Gradients pass as if nothing were added and clipped.
    """
    noise = jnp.clip(std * jax.random.normal(key, action.shape), -bound, bound)
    return action + jax.lax.stop_gradient(jnp.clip(action + noise, -1.0, 1.0) - action)
