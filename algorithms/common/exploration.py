"""Epsilon-greedy exploration."""

import jax
import jax.numpy as jnp


def epsilon(
    step: jax.Array,
    start: float | jax.Array,
    end: float | jax.Array,
    decay_steps: float | jax.Array,
    learning_starts: float | jax.Array,
) -> jax.Array:
    """Share of random actions after ``step`` environment steps, float32.

    It falls linearly from ``start`` to ``end`` over ``decay_steps``, and is 1 before
    ``learning_starts``.
    """
    progress = jnp.minimum(step / decay_steps, 1.0)
    return jnp.where(step < learning_starts, 1.0, start + progress * (end - start))


def explore(
    key: jax.Array, value: jax.Array, share: float | jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Best actions int32 (B,) of values (B, A), a share of them replaced by uniform ones.

    Given a mask, bool (B, A), both are among the actions that it allows.
    """
    batch, num_actions = value.shape
    # One draw for both: hashing keys is what such a small function spends its time on.
    draws = jax.random.uniform(key, (2, batch))
    if mask is None:
        uniform = (draws[1] * num_actions).astype(jnp.int32)
    else:
        uniform = nth_allowed(draws[1], mask)
    return jnp.where(draws[0] < share, uniform, best(value, mask).astype(jnp.int32))


def nth_allowed(draw: jax.Array, mask: jax.Array) -> jax.Array:
    """A uniform choice, int32 (B,), of the actions in a mask (B, A), by numbers (B,) in [0, 1)."""
    rank = (draw * jnp.sum(mask, axis=-1)).astype(jnp.int32)
    return jnp.argmax(jnp.cumsum(mask, axis=-1) > rank[:, None], axis=-1).astype(jnp.int32)


def best(value: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Best actions int32 (...) of values (..., A), among those that a mask (..., A) allows."""
    return jnp.argmax(value if mask is None else jnp.where(mask, value, -jnp.inf), axis=-1)
