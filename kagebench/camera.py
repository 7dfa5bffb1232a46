"""The camera follows the agent horizontally between two screen margins."""

import jax
import jax.numpy as jnp

from kagebench.params import EnvParams


def start(x: jax.Array, params: EnvParams, width: int) -> jax.Array:
    """Camera position (float32, px) at reset: the agent centred, inside the level."""
    return jnp.clip(x - width // 2, 0.0, params.layout.length - width).astype(jnp.float32)


def follow(camera_x: jax.Array, x: jax.Array, params: EnvParams, width: int) -> jax.Array:
    """Camera position after the agent moved to x; the left margin has priority."""
    screen_x = x - camera_x
    left, right = params.camera.left_margin, width - params.camera.right_margin
    shift = jnp.where(screen_x > right, screen_x - right, 0.0)
    shift = jnp.where(screen_x < left, screen_x - left, shift)
    return jnp.clip(camera_x + shift, 0.0, params.layout.length - width)
