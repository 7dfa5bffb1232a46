"""The part of the state that a frame is drawn from: what rollouts and replay buffers store."""

import jax
import jax.numpy as jnp
from flax import struct

from kagebench.params import EnvParams, EnvSpec, LayoutParams
from kagebench.physics import to_pixel
from kagebench.visuals import Visuals


class Scene(struct.PyTreeNode):
    """Everything that `render` reads.

    x, y, camera_x: float32 (px). tops: int16 [visible segments + 1], the ground rows from one
    segment left of the screen on. visuals: see `Visuals`.
    """

    x: jax.Array
    y: jax.Array
    camera_x: jax.Array
    tops: jax.Array
    visuals: Visuals


def first_segment(camera_x: jax.Array, layout: LayoutParams) -> jax.Array:
    """Index (int32) of the segment in the leftmost screen column."""
    return jnp.clip(to_pixel(camera_x), 0, layout.length - 1) // layout.run_width


def scene_of(
    x: jax.Array,
    y: jax.Array,
    camera_x: jax.Array,
    tops: jax.Array,
    visuals: Visuals,
    params: EnvParams,
    spec: EnvSpec,
) -> Scene:
    """Cut the visible window out of a level; tops is int16 [S]."""
    layout = params.layout
    last = (layout.length - 1) // layout.run_width
    index = first_segment(camera_x, layout) + jnp.arange(-1, spec.visible_segments)
    window = tops[jnp.clip(index, 0, last)]
    return Scene(x=x, y=y, camera_x=camera_x, tops=window, visuals=visuals)
