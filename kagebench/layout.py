"""The level: one ground row per segment of `run_width` columns, and where it is solid.

Terrain under a box is connected (bands joined by the one-column walls between them), so the solid
rows below any box of columns are a single interval. That closed form replaces a solid mask.
"""

import jax
import jax.numpy as jnp

from kagebench.draws import Draws
from kagebench.params import LayoutParams


def generate(key: jax.Array, layout: LayoutParams, num_segments: int) -> jax.Array:
    """Draw a level: int16 [num_segments], the first solid row of each segment (row 0 on top).

    Heights follow h[k+1] = clip(h[k] + e[k] m[k], min_height, max_height) with e in {-1, 0, 1} and
    m uniform on min_step_height..max_step_height (inclusive), starting in the middle.
    """
    draws, shape = Draws(key, 2 * num_segments), (num_segments,)
    u = draws.uniform(shape)
    size = draws.integer(layout.min_step_height, layout.max_step_height, shape)
    return tops_from_draws(u, size, layout)


def tops_from_draws(u: jax.Array, size: jax.Array, layout: LayoutParams) -> jax.Array:
    """The level that the draws u (float32 [S] in [0, 1)) and size (int32 [S]) define."""
    flat = 1.0 - layout.p_change
    up = flat + layout.p_change * layout.p_up_given_change
    change = jnp.where(u < flat, 0, jnp.where(u < up, 1, -1)) * size
    low = jnp.broadcast_to(layout.min_height, change.shape)
    high = jnp.broadcast_to(layout.max_height, change.shape)
    # Clipped additions are closed under composition, so the recurrence is an associative scan.
    add, floor, ceil = jax.lax.associative_scan(_compose, (change, low, high))
    start = (layout.min_height + layout.max_height) // 2
    reached = jnp.clip(start + add, floor, ceil)
    height = jnp.concatenate([start[None], reached[:-1]])
    return (layout.base_ground_y - layout.pix_per_unit * height).astype(jnp.int16)


def _compose(first: tuple[jax.Array, ...], second: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    """x -> clip(x + a1, l1, h1), then x -> clip(x + a2, l2, h2), as one such map."""
    a1, l1, h1 = first
    a2, l2, h2 = second
    return a1 + a2, jnp.clip(l1 + a2, l2, h2), jnp.clip(h1 + a2, l2, h2)


def ground_row(tops: jax.Array, column: jax.Array, layout: LayoutParams) -> jax.Array:
    """First solid row (int32) of a column; columns outside the level are clamped."""
    column = jnp.clip(column, 0, layout.length - 1)
    return tops[column // layout.run_width].astype(jnp.int32)


def solid_rows(
    tops: jax.Array, cx: jax.Array, half_width: jax.Array, layout: LayoutParams, segments: int
) -> tuple[jax.Array, jax.Array]:
    """Solid rows under the columns cx - half_width .. cx + half_width: the interval [top, bottom).

    Args:
        tops: int16 [S], from `generate`.
        cx, half_width: int32 scalars, px.
        segments: upper bound on the number of segments that the columns overlap.

    Returns:
        int32 scalars top and bottom (exclusive).
    """
    left = jnp.clip(cx - half_width, 0, layout.length - 1)
    right = jnp.clip(cx + half_width, 0, layout.length - 1)
    first, last = left // layout.run_width, right // layout.run_width
    index = jnp.minimum(first + jnp.arange(-1, segments), last)
    ground = tops[jnp.maximum(index, 0)].astype(jnp.int32)
    inside = ground[1:]
    # The wall to the previous segment stands in the first column of a segment.
    wall = jnp.where(left == first * layout.run_width, ground[0], inside[0])
    top = jnp.minimum(inside.min(), wall)
    bottom = jnp.maximum(inside.max() + layout.ground_thickness, wall)
    return top, bottom


def hits(
    rows: tuple[jax.Array, jax.Array], top: jax.Array, bottom: jax.Array, layout: LayoutParams
) -> jax.Array:
    """Whether the solid interval `rows` meets the rows top..bottom (inclusive, clamped)."""
    top = jnp.clip(top, 0, layout.height_px - 1)
    bottom = jnp.clip(bottom, 0, layout.height_px - 1)
    return (bottom >= rows[0]) & (top < rows[1])
