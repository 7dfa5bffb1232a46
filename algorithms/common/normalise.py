"""Observations and rewards scaled by running moments that all environments share.

Observations get mean 0 and deviation 1 and are clipped; rewards are divided by the deviation of a
running discounted return (Engstrom et al. 2020, arXiv 2005.12729, section 3). The moments are
state of the algorithm, so that a saved policy carries its own.
"""

import jax
import jax.numpy as jnp

from envs.wrappers.normalize import Moments, merge, no_moments

CLIP = 10.0
EPSILON = 1e-8


def init(shape: tuple[int, ...]) -> Moments:
    """Moments of no samples of this shape: they change nothing."""
    return no_moments(shape)


def update(moments: Moments, samples: jax.Array, where: jax.Array | None = None) -> Moments:
    """The moments with samples (B..., *shape) added, all of them or those ``where`` bool (B...)."""
    samples = samples.reshape(-1, *moments.mean.shape)
    weight = jnp.ones(samples.shape[0]) if where is None else where.reshape(-1).astype(jnp.float32)
    number = jnp.sum(weight)
    weight = jnp.expand_dims(weight, tuple(range(1, samples.ndim)))
    mean = jnp.sum(weight * samples, axis=0) / jnp.maximum(number, 1.0)
    m2 = jnp.sum(weight * jnp.square(samples - mean), axis=0)
    return merge(moments, Moments(number, mean, m2))


def observations(moments: Moments, observation: jax.Array) -> jax.Array:
    """Observations (B, *shape) under the moments, float32, in [-10, 10]."""
    scaled = (observation - moments.mean) * jax.lax.rsqrt(moments.variance + EPSILON)
    return jnp.clip(scaled, -CLIP, CLIP)


def rewards(
    moments: Moments, total: jax.Array, reward: jax.Array, done: jax.Array, gamma: float | jax.Array
) -> tuple[Moments, jax.Array, jax.Array]:
    """Scale the rewards of T steps of N environments.

    Args:
        moments: of the running discounted returns so far.
        total: float32 (N,), the running discounted returns.
        reward: float32 (T, N). done: bool (T, N), the episode ended with the step.
        gamma: discount.

    Returns:
        moments and running returns after these steps, and the rewards over the deviation of all
        running returns, clipped to [-10, 10].
    """

    def step(total, inputs):
        reward, done = inputs
        total = gamma * total + reward
        return jnp.where(done, 0.0, total), total

    total, totals = jax.lax.scan(step, total, (reward, done))
    moments = update(moments, totals)
    scaled = reward * jax.lax.rsqrt(moments.variance + EPSILON)
    return moments, total, jnp.clip(scaled, -CLIP, CLIP)
