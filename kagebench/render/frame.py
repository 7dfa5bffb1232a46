"""The observation kernel: scenes to frames, layer by layer in draw order."""

from functools import reduce

import jax
import jax.numpy as jnp

from kagebench.atlas import Atlas
from kagebench.batching import materialize
from kagebench.params import EnvParams, EnvSpec
from kagebench.render import figures, filters, ground, lights
from kagebench.scene import Scene


def render(spec: EnvSpec, atlas: Atlas, scene: Scene, params: EnvParams) -> jax.Array:
    """Draw a batch of scenes.

    Args:
        scene, params: leaves with one leading batch axis B.

    Returns:
        uint8 [B, H, W, 3], or [B, obs_size, obs_size, 3] for a low-resolution track.
    """
    batch = scene.x.shape[0]
    frames = _paint(spec, atlas, scene, params)
    if spec.filters or spec.presets or spec.episode_presets or spec.lights:
        frames = _filtered(frames, spec, scene, params)
    frames = frames.reshape(batch, spec.height, spec.width, 3)
    return pool(frames, spec.obs_size, spec.pooling) if spec.obs_size else frames


def _paint(spec: EnvSpec, atlas: Atlas, scene: Scene, params: EnvParams) -> jax.Array:
    """All layers before the filters, as uint8 lanes [B, H, 3 W]."""
    level = ground.terrain(scene, params, spec)
    frames = ground.paint(scene, params, level, atlas, spec)
    if spec.distractor_slots:
        frames = figures.paint_distractors(frames, scene, params, level, spec)
    if spec.npc_slots:
        frames = figures.paint_npcs(frames, scene, params, atlas)
    if spec.sticky_slots:
        frames = figures.paint_sticky(frames, scene, params, atlas)
    return figures.paint_player(frames, scene, params, atlas, spec)


def truncate(image: filters.Planes) -> filters.Planes:
    """What storing an image in bytes leaves of it."""
    red, green, blue = (jnp.floor(plane) for plane in image)
    return red, green, blue


def _filtered(frames: jax.Array, spec: EnvSpec, scene: Scene, params: EnvParams) -> jax.Array:
    token = scene.tops
    pixels = frames.reshape(*frames.shape[:2], -1, 3)
    image = materialize(lambda: tuple(pixels[..., c].astype(jnp.float32) for c in range(3)), token)
    if spec.episode_presets:
        which = scene.visuals.preset
        image = truncate(filters.apply_presets(image, which, spec.episode_presets, token))
    if spec.filters or spec.presets:
        # Lights add to the values as they are; only the last step makes bytes of them.
        image = filters.apply(image, scene.visuals.filter_noise, params, spec, token)
    if spec.lights:
        image = lights.apply(image, scene.visuals.lights, params.effects, spec, token)
    planes = materialize(lambda: tuple(p.astype(jnp.uint8) for p in image), token)
    return jnp.stack(planes, axis=-1)


def pool(frames: jax.Array, size: int, how: str) -> jax.Array:
    """Reduce uint8 frames [B, H, W, C] to [B, size, size, C] by blocks: rounded mean, or max."""
    batch, height, width, channels = frames.shape
    rows, columns = height // size, width // size
    area = rows * columns
    # Rows first, as whole lanes: that pass reads the most and vectorises.
    blocks = frames.reshape(batch, size, rows, width * channels)
    if how == "max":
        merge, kind = jnp.maximum, jnp.uint8
    else:
        merge, kind = jnp.add, jnp.uint16 if area < 257 else jnp.uint32
    lanes = reduce(merge, (blocks[:, :, i].astype(kind) for i in range(rows)))
    lanes = lanes.reshape(batch, size, size, columns, channels)
    total = reduce(merge, (lanes[:, :, :, j] for j in range(columns)))
    return total if how == "max" else ((total + area // 2) // area).astype(jnp.uint8)
