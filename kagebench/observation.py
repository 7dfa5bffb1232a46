"""The privileged state observation: what a perfect vision system would extract from the frame."""

import jax
import jax.numpy as jnp

from kagebench.params import EnvParams
from kagebench.physics import Body, to_pixel

_AHEAD = 4
STATE_SIZE = 7 + 2 * _AHEAD


def state_vector(body: Body, tops: jax.Array, time: jax.Array, params: EnvParams) -> jax.Array:
    """float32 [STATE_SIZE], each entry of order one.

    vx and vy in units of their limits, grounded, coyote time left, height of the feet above the
    ground (in jumps), step to the segment behind, time, and for each of the next four segments
    the distance of its first column from the front of the box (in run widths) and its height
    above the present ground (in jumps).
    """
    layout, physics, character = params.layout, params.physics, params.character
    half_w, half_h = character.width // 2, character.height // 2
    cx, cy = to_pixel(body.x), to_pixel(body.y)
    # Height of a full jump, from the energy balance v^2 = 2 g h.
    jump = jnp.maximum(physics.jump_velocity**2 / (2.0 * physics.gravity), 1.0)
    segment = cx // layout.run_width
    last = (layout.length - 1) // layout.run_width
    around = jnp.clip(segment + jnp.arange(-1, _AHEAD + 1), 0, last)
    ground = tops[around].astype(jnp.float32)
    ahead = (segment + jnp.arange(1, _AHEAD + 1)) * layout.run_width - (cx + half_w)
    feet = ground[1] - (cy + half_h + 1)
    waited = body.coyote_timer / (physics.coyote_time + 1)
    head = jnp.stack(
        [
            body.vx / physics.max_speed_x,
            body.vy / physics.terminal_velocity,
            body.grounded.astype(jnp.float32),
            1.0 - waited,
            feet / jump,
            (ground[1] - ground[0]) / jump,
            time / params.episode_length,
        ]
    )
    return jnp.concatenate([head, ahead / layout.run_width, (ground[1] - ground[2:]) / jump])
