"""Reward and progress of one step."""

import jax
import jax.numpy as jnp

from kagebench.params import EnvParams


def reward(
    old_x: jax.Array, x: jax.Array, x_max: jax.Array, jumped: jax.Array, params: EnvParams
) -> jax.Array:
    """forward_reward_scale max(0, x - x_max) - jump_penalty - timestep_penalty - idle_penalty.

    The jump penalty is due whenever the jump bit is set, the idle penalty whenever x is unchanged.

    Args:
        old_x, x: position before and after the step (float32, px).
        x_max: furthest position before the step.
        jumped: bool, the jump bit of the action.
    """
    progress = params.forward_reward_scale * jnp.maximum(0.0, x - x_max)
    return (
        progress
        - jnp.where(jumped, params.jump_penalty, 0.0)
        - params.timestep_penalty
        - jnp.where(x == old_x, params.idle_penalty, 0.0)
    )


def running_mean(mean: jax.Array, value: jax.Array, count: jax.Array) -> jax.Array:
    """Mean of `count` values (int32, >= 1) from the mean of the first count - 1 and the last."""
    n = count.astype(jnp.float32)
    return (mean * (n - 1.0) + value) / n


def progress(distance: jax.Array, params: EnvParams) -> jax.Array:
    """Share of dist_to_success that was covered; 0 if there is no such distance."""
    goal = params.dist_to_success
    return jnp.where(goal > 0, distance / jnp.where(goal > 0, goal, 1.0), 0.0)
