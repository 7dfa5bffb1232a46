"""Motion and collision of the agent, one step at a time (60 steps per second).

Positions are integers at the start of every step (collision stores whole pixels), velocities are
px per step, y grows downwards. The order of operations is part of the benchmark.
"""

import jax
import jax.numpy as jnp
from flax import struct

from kagebench.layout import hits, solid_rows
from kagebench.params import EnvParams, EnvSpec

LEFT, RIGHT, JUMP = 1, 2, 4
_UP_LIMIT = -100.0


class Body(struct.PyTreeNode):
    """What moves: x, y, vx, vy float32 (px, px/step), grounded bool, coyote_timer int32 (steps)."""

    x: jax.Array
    y: jax.Array
    vx: jax.Array
    vy: jax.Array
    grounded: jax.Array
    coyote_timer: jax.Array


def to_pixel(value: jax.Array) -> jax.Array:
    """Round half to even, as int32."""
    return jnp.round(value).astype(jnp.int32)


def move(body: Body, action: jax.Array, tops: jax.Array, params: EnvParams, spec: EnvSpec) -> Body:
    """Advance the body by one step: contact, jump, friction, gravity, integration, collision.

    Args:
        action: int32 bit mask of LEFT, RIGHT and JUMP; further bits are ignored.
        tops: int16 [S] level.
    """
    physics, layout = params.physics, params.layout
    half_w, half_h = params.character.width // 2, params.character.height // 2
    cx, cy = to_pixel(body.x), to_pixel(body.y)

    below = solid_rows(tops, cx, half_w, layout, spec.box_segments)
    feet = cy + half_h
    contact = hits(below, feet + 1, feet + physics.ground_snap_dist, layout)
    grounded = contact & (body.vy >= 0)
    waited = jnp.minimum(body.coyote_timer + 1, physics.coyote_time + 1)
    coyote = jnp.where(grounded, 0, waited)
    jumps = ((action & JUMP) != 0) & (coyote <= physics.coyote_time)
    grounded = grounded & ~jumps
    coyote = jnp.where(jumps, physics.coyote_time + 1, coyote)

    direction = ((action & RIGHT) >> 1) - (action & LEFT)
    friction = jnp.where(grounded, physics.ground_friction, physics.air_resistance)
    accel = jnp.where(grounded, physics.ground_accel, physics.air_accel)
    vx = body.vx * friction + accel * direction
    vx = jnp.clip(vx, -physics.max_speed_x, physics.max_speed_x)
    vy = jnp.where(jumps, physics.jump_velocity, body.vy) + physics.gravity
    vy = jnp.clip(vy, _UP_LIMIT, physics.terminal_velocity)
    x = jnp.clip(body.x + vx, half_w, layout.length - 1 - half_w)
    y = jnp.clip(body.y + vy, half_h, layout.height_px - 1 - half_h)

    moved = body.replace(vx=vx, vy=vy, grounded=grounded, coyote_timer=coyote)
    return _collide(moved, (cx, cy), (to_pixel(x), to_pixel(y)), tops, params, spec)


def _collide(
    body: Body,
    start: tuple[jax.Array, jax.Array],
    target: tuple[jax.Array, jax.Array],
    tops: jax.Array,
    params: EnvParams,
    spec: EnvSpec,
) -> Body:
    """Move back from `target` towards `start` until free: columns on the old row, then rows."""
    (x0, y0), (x1, y1) = start, target
    layout = params.layout
    half_w, half_h = params.character.width // 2, params.character.height // 2

    steps = jnp.arange(spec.max_dx)
    sign, distance = jnp.sign(x1 - x0), jnp.abs(x1 - x0)
    columns = x1 - sign * steps
    rows = jax.vmap(solid_rows, (None, 0, None, None, None))(
        tops, columns, half_w, layout, spec.box_segments
    )
    free = ~hits(rows, y0 - half_h, y0 + half_h, layout) & (steps < distance)
    back = jnp.where(free.any(), jnp.argmax(free), distance)
    cx = x1 - sign * back

    top, bottom = solid_rows(tops, cx, half_w, layout, spec.box_segments)
    blocked = hits((top, bottom), y1 - half_h, y1 + half_h, layout)
    falling = y1 > y0
    landed = jnp.maximum(jnp.minimum(top - half_h - 1, y1), y0)
    bumped = jnp.minimum(jnp.maximum(bottom + half_h, y1), y0)
    cy = jnp.where(blocked & (y1 != y0), jnp.where(falling, landed, bumped), y1)
    return body.replace(
        x=cx.astype(jnp.float32),
        y=cy.astype(jnp.float32),
        vx=jnp.where(cx != x1, 0.0, body.vx),
        vy=jnp.where(cy != y1, 0.0, body.vy),
    )


def box_is_free(
    tops: jax.Array, cx: jax.Array, cy: jax.Array, params: EnvParams, spec: EnvSpec
) -> jax.Array:
    """Whether the agent's whole box at (cx, cy) touches no solid pixel."""
    half_w, half_h = params.character.width // 2, params.character.height // 2
    rows = solid_rows(tops, cx, half_w, params.layout, spec.box_segments)
    return ~hits(rows, cy - half_h, cy + half_h, params.layout)


def spawn(tops: jax.Array, params: EnvParams, spec: EnvSpec) -> tuple[jax.Array, jax.Array]:
    """First free start position (float32 x, y) of 20 candidates to the right of column 64."""
    width, height = params.character.width, params.character.height
    half_w, half_h = width // 2, height // 2
    last = params.layout.length - half_w - 1
    cx = jnp.clip(64 + jnp.arange(20) * (width + 4), half_w, last)
    cy = tops[cx // params.layout.run_width].astype(jnp.int32) - half_h - 2
    free = jax.vmap(box_is_free, (None, 0, 0, None, None))(tops, cx, cy, params, spec)
    first = jnp.argmax(free)
    x, y = (jnp.where(free.any(), c[first], 64) for c in (cx, cy))
    return x.astype(jnp.float32), y.astype(jnp.float32)
