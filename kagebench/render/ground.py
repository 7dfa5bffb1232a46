"""Background and terrain: the only layers that touch every pixel, drawn in one pass.

Frames are [B, H, 3 W] bytes here: rows of interleaved RGB "lanes", which vectorise well. Terrain is
one solid interval of rows per column.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from kagebench.atlas import Atlas
from kagebench.batching import materialize
from kagebench.params import COLOR, IMAGE, NOISE, EnvParams, EnvSpec
from kagebench.physics import to_pixel
from kagebench.render import hashing
from kagebench.scene import Scene, first_segment


class Terrain(struct.PyTreeNode):
    """Per lane: first solid row and number of solid rows (row type, [B, 3 W]); colour uint8."""

    top: jax.Array
    depth: jax.Array
    color: jax.Array


def row_dtype(spec: EnvSpec) -> type:
    """The narrowest type that counts the rows of a frame."""
    return jnp.uint8 if spec.height <= 255 else jnp.uint16


def lane_columns(width: int) -> np.ndarray:
    """The pixel column (int32 [3 width]) of every lane."""
    return np.repeat(np.arange(width, dtype=np.int32), 3)


def solid_lanes(scene: Scene, params: EnvParams, spec: EnvSpec) -> tuple[jax.Array, jax.Array]:
    """First solid row and number of solid rows of every lane, for one scene."""
    layout = params.layout
    left = to_pixel(scene.camera_x)
    column = jnp.clip(left + lane_columns(spec.width), 0, layout.length - 1)
    # Exact for integers below 2^22, and unlike integer division it vectorises.
    segment = jnp.floor((column + 0.5) / layout.run_width).astype(jnp.int32)
    index = jnp.clip(segment - first_segment(scene.camera_x, layout) + 1, 0, len(scene.tops) - 1)
    ground = scene.tops[index].astype(jnp.int32)
    before = scene.tops[jnp.maximum(index - 1, 0)].astype(jnp.int32)
    wall = (segment * layout.run_width == column) & (segment > 0)
    bottom = ground + layout.ground_thickness
    top = jnp.where(wall, jnp.minimum(ground, before), ground)
    bottom = jnp.where(wall, jnp.maximum(bottom, before), bottom)
    limit = jnp.minimum(spec.height, layout.height_px)
    top, bottom = jnp.clip(top, 0, limit), jnp.clip(bottom, 0, limit)
    rows = row_dtype(spec)
    return top.astype(rows), (bottom - top).astype(rows)


def terrain(scene: Scene, params: EnvParams, spec: EnvSpec) -> Terrain:
    """Terrain lanes of a batch of scenes, in memory."""

    def compute() -> tuple[jax.Array, jax.Array, jax.Array]:
        top, depth = jax.vmap(solid_lanes, (0, 0, None))(scene, params, spec)
        palette = params.layout.layout_colors.values
        color = jax.vmap(lambda p, i: p[i])(palette, scene.visuals.layout_color)
        return top, depth, jnp.tile(color, (1, spec.width))

    top, depth, color = materialize(compute, scene.tops)
    return Terrain(top=top, depth=depth, color=color)


def _image_rows(scene: Scene, params: EnvParams, atlas: Atlas, spec: EnvSpec) -> jax.Array:
    """The visible part of one background image: uint8 [H, 3 W]."""
    background = params.background
    image = background.images.values[scene.visuals.background]
    offset = to_pixel(scene.camera_x * background.parallax_factor)
    size = (1, spec.height, 3 * spec.width)

    def tiled() -> jax.Array:
        start = 3 * (offset % background.image_width)
        return jax.lax.dynamic_slice(jnp.asarray(atlas.tiled), (image, 0, start), size)[0]

    def clamped() -> jax.Array:
        shift = jnp.clip(offset, -spec.width, background.image_width) + spec.width
        return jax.lax.dynamic_slice(jnp.asarray(atlas.clamped), (image, 0, 3 * shift), size)[0]

    if spec.tilings == (True,):
        return tiled()
    if spec.tilings == (False,):
        return clamped()
    return jnp.where(background.tile_horizontal, tiled(), clamped())


def _background(scene: Scene, params: EnvParams, atlas: Atlas, spec: EnvSpec) -> jax.Array:
    """Background lanes, uint8 [B, 1 or H, 3 W]."""
    mode = params.background.mode[:, None, None]
    lanes = jnp.zeros((len(mode), 1, 3 * spec.width), jnp.uint8)
    if COLOR in spec.backgrounds:
        palette = params.background.color_names.values
        rgb = jax.vmap(lambda p, i: p[i])(palette, scene.visuals.background)
        tile = materialize(lambda: jnp.tile(rgb, (1, spec.width)), scene.tops)
        lanes = jnp.where(mode == COLOR, tile[:, None], lanes)
    if NOISE in spec.backgrounds:
        shape = (spec.height, 3 * spec.width)
        noise = (hashing.bits(scene.visuals.noise, 0, shape) >> 24).astype(jnp.uint8)
        lanes = jnp.where(mode == NOISE, noise, lanes)
    if IMAGE in spec.backgrounds:
        rows = materialize(
            lambda: jax.vmap(_image_rows, (0, 0, None, None))(scene, params, atlas, spec),
            scene.tops,
        )
        lanes = rows if spec.backgrounds == (IMAGE,) else jnp.where(mode == IMAGE, rows, lanes)
    return lanes


def paint(
    scene: Scene, params: EnvParams, ground: Terrain, atlas: Atlas, spec: EnvSpec
) -> jax.Array:
    """Background with the terrain on it: uint8 [B, H, 3 W]."""
    row = jnp.arange(spec.height, dtype=row_dtype(spec))[None, :, None]
    # Unsigned wrap-around makes this one comparison: top <= row < top + depth.
    solid = (row - ground.top[:, None]) < ground.depth[:, None]
    background = _background(scene, params, atlas, spec)
    return jnp.where(solid, ground.color[:, None], background)
