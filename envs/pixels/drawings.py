"""How the environments look whose states are drawn on the device."""

from typing import Any

import jax.numpy as jnp

from envs.mjx.picture import PALETTE, Shape, View
from envs.pixels.adapter import Drawing

_HUB = (120, 120, 128)


def pendulum_shapes(state: Any, params: Any) -> list[Shape]:
    """gymnax's pendulum: a rod of length `params.l` from the middle; angle 0 points up.

    The torque is not drawn: it is the agent's own action.
    """
    tip = params.l * jnp.stack([-jnp.sin(state.theta), jnp.cos(state.theta)])
    rod = jnp.stack([jnp.zeros(2), tip])
    return [Shape(rod, PALETTE[1], 0.1), Shape(jnp.zeros((1, 2)), _HUB, 0.06)]


PENDULUM = Drawing(View("side", width=2.6, height=2.6), pendulum_shapes)
