"""Scripted policies that read the state: the reference points that bound every result.

Each is a pure function of (key, state, params) for one environment and returns an int32 action;
`vmap` it over environments. They see the level itself, so their scores do not depend on how the
environment looks.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from kagebench import physics
from kagebench.env import NUM_ACTIONS, KageState
from kagebench.params import EnvParams

Policy = Callable[[jax.Array, KageState, EnvParams], jax.Array]

NOOP = 0
RIGHT = physics.RIGHT
RIGHT_JUMP = physics.RIGHT | physics.JUMP

# Steps that the oracle looks ahead: at 1 px per step enough to land behind the next wall.
HORIZON = 16
# Array sizes of the look-ahead: it is exact up to 3 px per step and for boxes over 3 segments.
_MODEL: Any = SimpleNamespace(max_dx=1, box_segments=3)


def noop(key: jax.Array, state: KageState, params: EnvParams) -> jax.Array:
    """Never do anything."""
    del key, state, params
    return jnp.int32(NOOP)


def right(key: jax.Array, state: KageState, params: EnvParams) -> jax.Array:
    """Always walk right, never jump: stops at the first wall."""
    del key, state, params
    return jnp.int32(RIGHT)


def right_jump(key: jax.Array, state: KageState, params: EnvParams) -> jax.Array:
    """Always hold right and jump: fast, but pays for every step."""
    del key, state, params
    return jnp.int32(RIGHT_JUMP)


def random(key: jax.Array, state: KageState, params: EnvParams) -> jax.Array:
    """Uniform over the 8 actions."""
    del state, params
    return jax.random.randint(key, (), 0, NUM_ACTIONS, jnp.int32)


def oracle(key: jax.Array, state: KageState, params: EnvParams) -> jax.Array:
    """Walk right and jump at the last moment that still pays.

    Three plans are simulated with the environment's own physics: to jump now, to jump in the next
    step, and not to jump. Now is the time if it leads further than both others.
    """
    del key
    ahead = jnp.full((3, HORIZON), RIGHT).at[0, 0].set(RIGHT_JUMP).at[1, 1].set(RIGHT_JUMP)
    now, next_step, never = jax.vmap(_reach, (None, 0, None))(state, ahead, params)
    return jnp.where(now > jnp.maximum(next_step, never), RIGHT_JUMP, RIGHT)


def _reach(state: KageState, actions: jax.Array, params: EnvParams) -> jax.Array:
    """Position x (px) after the given actions (int32 [T])."""

    def step(body: physics.Body, action: jax.Array) -> tuple[physics.Body, None]:
        return physics.move(body, action, state.tops, params, _MODEL), None

    return jax.lax.scan(step, state.body, actions)[0].x


POLICIES: dict[str, Policy] = {
    "oracle": oracle,
    "random": random,
    "right": right,
    "right_jump": right_jump,
    "noop": noop,
}
