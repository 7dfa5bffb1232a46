"""Point lights: additive glows at fixed screen positions, after the filters."""

import jax
import jax.numpy as jnp

from kagebench.params import EffectParams, EnvSpec
from kagebench.render.filters import Planes


def apply(image: Planes, lights: jax.Array, effects: EffectParams, spec: EnvSpec) -> Planes:
    """Add every light: intensity x colour / (1 + (distance / reach)^falloff).

    Args:
        image: planes [B, H, W] of whole values 0..255.
        lights: float32 [B, lights, 2], positions (x, y) as fractions of the frame.
        effects: parameters with a batch axis.
    """
    height, width = spec.height, spec.width
    column = lambda leaf: leaf[:, None, None]  # noqa: E731
    y = jnp.arange(height, dtype=jnp.float32)[None, :, None]
    x = jnp.arange(width, dtype=jnp.float32)[None, None, :]
    reach = column((height**2 + width**2) ** 0.5 * effects.point_light_radius)
    planes = list(image)
    for i in range(spec.lights):
        on = effects.point_light_enabled & (i < effects.point_light_count)
        dx, dy = x - column(lights[:, i, 0] * width), y - column(lights[:, i, 1] * height)
        distance = jnp.sqrt(dx * dx + dy * dy)
        mask = 1.0 / (1.0 + (distance / reach) ** column(effects.point_light_falloff))
        mask = jnp.clip(mask, 0.0, 1.0) * column(on)
        color = effects.point_light_colors[:, i] * effects.point_light_intensity[:, None]
        planes = [p + mask * column(color[:, c]) for c, p in enumerate(planes)]
    red, green, blue = (jnp.clip(p, 0.0, 255.0) for p in planes)
    return red, green, blue
