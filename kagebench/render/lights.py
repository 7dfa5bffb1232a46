"""Point lights: additive glows at fixed screen positions, after the filters."""

import jax
import jax.numpy as jnp

from kagebench.batching import materialize
from kagebench.params import EffectParams, EnvSpec
from kagebench.render.filters import Planes


def apply(
    image: Planes, lights: jax.Array, effects: EffectParams, spec: EnvSpec, token: jax.Array
) -> Planes:
    """Add every light: intensity x colour / (1 + (distance / reach)^falloff).

    Args:
        image: planes [B, H, W] of whole values 0..255.
        lights: float32 [B, lights, 2], positions (x, y) as fractions of the frame.
        effects: parameters with a batch axis.
        token: see `materialize`.
    """
    masks = materialize(lambda: _masks(lights, effects, spec), token)
    colors = effects.point_light_colors * effects.point_light_intensity[:, None, None]
    planes = []
    for c, plane in enumerate(image):
        for i, mask in enumerate(masks):
            plane = plane + mask * colors[:, i, c, None, None]
        planes.append(jnp.clip(plane, 0.0, 255.0))
    return planes[0], planes[1], planes[2]


def _masks(lights: jax.Array, effects: EffectParams, spec: EnvSpec) -> tuple[jax.Array, ...]:
    """Strength in 0..1 of each light at each pixel, float32 [B, H, W]."""
    height, width = spec.height, spec.width
    column = lambda leaf: leaf[:, None, None]  # noqa: E731
    y = jnp.arange(height, dtype=jnp.float32)[None, :, None]
    x = jnp.arange(width, dtype=jnp.float32)[None, None, :]
    reach = column((height**2 + width**2) ** 0.5 * effects.point_light_radius)
    half_falloff = column(0.5 * effects.point_light_falloff)
    on = effects.point_light_enabled[:, None] & (
        jnp.arange(spec.lights) < effects.point_light_count[:, None]
    )

    def squares(i: int) -> jax.Array:
        dx, dy = x - column(lights[:, i, 0] * width), y - column(lights[:, i, 1] * height)
        return dx * dx + dy * dy

    def quadratic() -> tuple[jax.Array, ...]:
        r2 = reach * reach
        return tuple(column(on[:, i]) * (r2 / (r2 + squares(i))) for i in range(spec.lights))

    def general() -> tuple[jax.Array, ...]:
        ratios = (jnp.log(squares(i) / (reach * reach)) for i in range(spec.lights))
        masks = (1.0 / (1.0 + jnp.exp(half_falloff * ratio)) for ratio in ratios)
        return tuple(column(on[:, i]) * mask for i, mask in enumerate(masks))

    # The usual exponent needs one division per pixel and light instead of two transcendentals.
    return jax.lax.cond(jnp.all(effects.point_light_falloff == 2.0), quadratic, general)
