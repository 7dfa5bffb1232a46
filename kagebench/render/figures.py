"""Everything drawn inside a small window: distractors, NPCs and the player.

Each figure reads a window of the frame, draws, and writes it back in place. Windows are moved
inside the frame; what is drawn is positioned in frame coordinates, so it is cut off at the border.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from kagebench.atlas import Atlas
from kagebench.batching import materialize
from kagebench.params import (
    DISTRACTOR_WINDOW,
    RECTANGLE,
    SHAPE,
    SPRITE,
    CharacterParams,
    EnvParams,
    EnvSpec,
)
from kagebench.physics import to_pixel
from kagebench.render import shapes
from kagebench.render.ground import Terrain, lane_columns
from kagebench.scene import Scene
from kagebench.visuals import Visuals


def _window(
    frame: jax.Array,
    row: jax.Array,
    column: jax.Array,
    size: tuple[int, int],
    draw: Callable[[jax.Array, jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Redraw the window of one frame whose top-left corner is nearest to (row, column).

    draw(window uint8 [h, 3 w], row, column) returns the new window.
    """
    height, lanes = frame.shape
    h, w = min(size[0], height), min(size[1], lanes // 3)
    row = jnp.clip(row, 0, height - h)
    column = jnp.clip(column, 0, lanes // 3 - w)
    window = jax.lax.dynamic_slice(frame, (row, 3 * column), (h, 3 * w))
    return jax.lax.dynamic_update_slice(frame, draw(window, row, column), (row, 3 * column))


def _lanes(color: jax.Array, width: int, token: jax.Array) -> jax.Array:
    """Repeat colours (uint8 [..., 3]) over `width` pixels: uint8 [..., 3 width], in memory.

    Repeated inside a drawing loop, the remainder per lane would keep the loop from vectorising.
    """
    return materialize(lambda: jnp.tile(color, (1,) * (color.ndim - 1) + (width,)), token)


def _stamp(
    frame: jax.Array,
    center: tuple[jax.Array, jax.Array],
    size: tuple[int, int],
    paint: jax.Array,
    inside: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Fill the pixels of inside(dx int32 [lanes], dy int32 [rows]) with `paint` (uint8 [lanes])."""
    cx, cy = center

    def draw(window: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
        dx = column + lane_columns(window.shape[1] // 3) - cx
        dy = row + jnp.arange(window.shape[0]) - cy
        return jnp.where(inside(dx, dy), paint[: window.shape[1]], window)

    return _window(frame, cy - size[0] // 2, cx - size[1] // 2, size, draw)


def blit(
    frame: jax.Array,
    sprite: jax.Array,
    cx: jax.Array,
    cy: jax.Array,
    half_height: jax.Array,
    visible: jax.Array,
    atlas: Atlas,
) -> jax.Array:
    """Blend one sprite frame over one image, centred on cx, its bottom row at cy + half_height.

    frame: uint8 [H, 3 W]; sprite: int32 atlas frame; out = a rgb + (1 - a) frame, truncated.
    """
    h, w = atlas.sprite_height, atlas.sprite_width
    size = jnp.asarray(atlas.frame_sizes)[sprite]
    top, left = cy + half_height - size[0], cx - size[1] // 2

    def draw(window: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
        # The frame lies in a transparent canvas; its first rows are empty: nothing is drawn.
        start_row = jnp.where(visible, jnp.clip(h + row - top, 0, 2 * h), 0)
        start = (sprite, start_row, 3 * jnp.clip(w + column - left, 0, 2 * w))
        part = (1, *window.shape)
        rgb = jax.lax.dynamic_slice(jnp.asarray(atlas.rgb), start, part)[0]
        alpha = jax.lax.dynamic_slice(jnp.asarray(atlas.alpha), start, part)[0]
        a = alpha.astype(jnp.float32) * jnp.float32(1 / 255)
        mixed = a * rgb.astype(jnp.float32) + (1.0 - a) * window.astype(jnp.float32)
        return jnp.clip(mixed, 0.0, 255.0).astype(jnp.uint8)

    return _window(frame, top, left, (h, w), draw)


def _skin_frame(skin: jax.Array, frame: jax.Array, atlas: Atlas) -> jax.Array:
    """Atlas frame of a skin's animation frame, which is clamped to the skin's range."""
    frames = jnp.asarray(atlas.skin_frames)[skin]
    return jnp.asarray(atlas.skin_first)[skin] + jnp.clip(frame, 0, frames - 1)


def _blit_slots(
    frames: jax.Array,
    figures: tuple[jax.Array, jax.Array, jax.Array],
    visible: jax.Array,
    params: EnvParams,
    atlas: Atlas,
) -> jax.Array:
    """Blit the visible ones of B x slots figures (sprite, cx, cy) in slot order.

    Visible slots move to the front, and the loop ends with the fullest frame of the batch.
    """
    half_height = params.character.height // 2
    order = jnp.argsort(~visible, axis=1, stable=True)
    count = visible.sum(axis=1)

    def body(i: jax.Array, frames: jax.Array) -> jax.Array:
        slot = jax.lax.dynamic_slice_in_dim(order, i, 1, axis=1)
        sprite, cx, cy = (jnp.take_along_axis(f, slot, axis=1)[:, 0] for f in figures)
        return jax.vmap(blit, (0, 0, 0, 0, 0, 0, None))(
            frames, sprite, cx, cy, half_height, i < count, atlas
        )

    return jax.lax.fori_loop(0, count.max(), body, frames)


def paint_npcs(frames: jax.Array, scene: Scene, params: EnvParams, atlas: Atlas) -> jax.Array:
    """World NPCs that are near the screen."""
    npcs, character = scene.visuals.npcs, params.character
    width = frames.shape[2] // 3
    cx = npcs.x.astype(jnp.int32) - to_pixel(scene.camera_x)[:, None]
    margin = character.width[:, None]
    visible = (npcs.x > 0) & (cx >= -margin) & (cx < width + margin)
    sprite = _skin_frame(npcs.skin, npcs.frame, atlas)
    return _blit_slots(frames, (sprite, cx, npcs.y.astype(jnp.int32)), visible, params, atlas)


def paint_sticky(frames: jax.Array, scene: Scene, params: EnvParams, atlas: Atlas) -> jax.Array:
    """NPCs at fixed offsets from the agent."""
    sticky = scene.visuals.sticky
    cx = to_pixel(scene.x - scene.camera_x)[:, None] + sticky.x_offset
    visible = jnp.arange(cx.shape[1]) < sticky.count[:, None]
    sprite = _skin_frame(sticky.skin, sticky.frame, atlas)
    return _blit_slots(frames, (sprite, cx, sticky.y.astype(jnp.int32)), visible, params, atlas)


def _distractor_mask(
    shape: jax.Array,
    angle: jax.Array,
    size: jax.Array,
    x: jax.Array,
    y: jax.Array,
    spec: EnvSpec,
) -> jax.Array:
    """Pixels (bool [window, window]) of one distractor in its window of the frame."""
    window = (min(DISTRACTOR_WINDOW, spec.height), min(DISTRACTOR_WINDOW, spec.width))
    cx, cy = to_pixel(x), to_pixel(y)
    row = jnp.clip(cy - DISTRACTOR_WINDOW // 2, 0, spec.height - window[0])
    column = jnp.clip(cx - DISTRACTOR_WINDOW // 2, 0, spec.width - window[1])
    dx = column + jnp.arange(window[1]) - cx
    dy = row + jnp.arange(window[0]) - cy
    half = DISTRACTOR_WINDOW // 2
    near = ((dy >= -half) & (dy < half))[:, None] & ((dx >= -half) & (dx < half))[None]
    size = size.astype(jnp.float32)
    # Angles are kept in degrees but drawn as radians, as in the reference.
    return near & shapes.mask(
        spec.distractor_shapes,
        shape,
        dx,
        dy,
        angle,
        size,
        (0.5 * size, 0.3 * size),
        True,
        (half, half),
    )


def paint_distractors(
    frames: jax.Array, scene: Scene, params: EnvParams, ground: Terrain, spec: EnvSpec
) -> jax.Array:
    """Distractors lie behind the terrain, which is already drawn: its pixels are left alone."""
    d = scene.visuals.distractors
    per_slot = jax.vmap(_distractor_mask, (0, 0, 0, 0, 0, None))
    pixels = materialize(
        lambda: jax.vmap(per_slot, (0, 0, 0, 0, 0, None))(d.shape, d.angle, d.size, d.x, d.y, spec),
        scene.tops,
    )
    masks = materialize(lambda: pixels[..., lane_columns(pixels.shape[-1])], scene.tops)
    palette = jax.vmap(lambda p, i: p[i])(params.distractors.shape_colors.values, d.color)
    paints = _lanes(palette, pixels.shape[-1], scene.tops)
    count = jnp.where(params.distractors.enabled, params.distractors.count, 0)
    cx, cy = to_pixel(d.x), to_pixel(d.y)

    def one(
        frame: jax.Array,
        mask: jax.Array,
        center: tuple[jax.Array, jax.Array],
        paint: jax.Array,
        shown: jax.Array,
        top: jax.Array,
        depth: jax.Array,
    ) -> jax.Array:
        def draw(window: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
            lanes = (window.shape[1],)
            above = jax.lax.dynamic_slice(top, (3 * column,), lanes)
            solid = jax.lax.dynamic_slice(depth, (3 * column,), lanes)
            rows = (row + jnp.arange(window.shape[0])).astype(top.dtype)[:, None]
            free = (rows - above[None]) >= solid[None]
            return jnp.where(mask & free & shown, paint[None], window)

        size, half = (DISTRACTOR_WINDOW, DISTRACTOR_WINDOW), DISTRACTOR_WINDOW // 2
        return _window(frame, center[1] - half, center[0] - half, size, draw)

    def body(i: jax.Array, frames: jax.Array) -> jax.Array:
        pick = lambda a: jax.lax.dynamic_index_in_dim(a, i, axis=1, keepdims=False)  # noqa: E731
        return jax.vmap(one)(
            frames,
            pick(masks),
            (pick(cx), pick(cy)),
            pick(paints),
            i < count,
            ground.top,
            ground.depth,
        )

    return jax.lax.fori_loop(0, count.max(), body, frames)


def paint_player(
    frames: jax.Array, scene: Scene, params: EnvParams, atlas: Atlas, spec: EnvSpec
) -> jax.Array:
    """The agent, one pixel below its position, as sprite, shape or rectangle."""
    character, visuals = params.character, scene.visuals
    cx, cy = to_pixel(scene.x - scene.camera_x), to_pixel(scene.y + 1)
    if RECTANGLE in spec.characters:
        paint = _lanes(character.fallback_color, spec.rectangle[1], scene.tops)
        frames = jax.vmap(_paint_rectangle, (0, 0, 0, 0, 0, None))(
            frames, cx, cy, paint, character, spec
        )
    if SHAPE in spec.characters:
        color = jax.vmap(lambda p, i: p[i])(character.shape_colors.values, visuals.shape_color)
        paint = _lanes(color, spec.shape_window, scene.tops)
        frames = jax.vmap(_paint_shape, (0, 0, 0, 0, 0, 0, None))(
            frames, cx, cy, paint, visuals, character, spec
        )
    if SPRITE in spec.characters:
        sprite = _skin_frame(visuals.skin, visuals.frame, atlas)
        visible = character.mode == SPRITE
        frames = jax.vmap(blit, (0, 0, 0, 0, 0, 0, None))(
            frames, sprite, cx, cy, character.height // 2, visible, atlas
        )
    return frames


def _paint_rectangle(
    frame: jax.Array,
    cx: jax.Array,
    cy: jax.Array,
    paint: jax.Array,
    character: CharacterParams,
    spec: EnvSpec,
) -> jax.Array:
    def inside(dx: jax.Array, dy: jax.Array) -> jax.Array:
        columns = jnp.abs(dx) <= character.width // 2
        rows = jnp.abs(dy) <= character.height // 2
        return columns[None] & rows[:, None] & (character.mode == RECTANGLE)

    return _stamp(frame, (cx, cy), spec.rectangle, paint, inside)


def _paint_shape(
    frame: jax.Array,
    cx: jax.Array,
    cy: jax.Array,
    paint: jax.Array,
    visuals: Visuals,
    character: CharacterParams,
    spec: EnvSpec,
) -> jax.Array:
    width, height = character.width, character.height

    def inside(dx: jax.Array, dy: jax.Array) -> jax.Array:
        filled = shapes.mask(
            spec.shapes,
            visuals.shape_type,
            dx,
            dy,
            visuals.shape_angle * jnp.float32(jnp.pi / 180),
            jnp.minimum(width, height).astype(jnp.float32),
            (width / 2, height / 2),
            False,
            (cx, cy),
        )
        return filled & (character.mode == SHAPE)

    return _stamp(frame, (cx, cy), (spec.shape_window, spec.shape_window), paint, inside)
