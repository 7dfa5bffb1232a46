"""The toy of Jaderberg et al. 2017 (arXiv 1711.09846), section on a quadratic function.

    Q(theta) = 1.2 - theta_0^2 - theta_1^2        is to be maximised, but the gradient is that of
    Q'(theta | h) = 1.2 - h_0 theta_0^2 - h_1 theta_1^2

With h = (1, 0) or (0, 1), one of the two parameters never moves from 0.9, and Q stays below 0.39.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from algorithms.common.task import Task


@struct.dataclass
class Config:
    h0: float = 1.0
    h1: float = 0.0
    learning_rate: float = 0.02
    num_updates: int = struct.field(pytree_node=False, default=120)

    @property
    def steps_per_update(self) -> int:
        return 1


@struct.dataclass
class State:
    theta: jax.Array


def init(key: jax.Array, config: Config, task: Task) -> State:
    return State(jnp.array([0.9, 0.9]))


def update(state: State, config: Config, task: Task) -> tuple[State, dict[str, jax.Array]]:
    def surrogate(theta: jax.Array) -> jax.Array:
        return 1.2 - config.h0 * theta[0] ** 2 - config.h1 * theta[1] ** 2

    theta = state.theta + config.learning_rate * jax.grad(surrogate)(state.theta)
    return State(theta), {"q": 1.2 - jnp.sum(theta**2)}


def policy(state: State, config: Config, task: Task) -> Any:
    return lambda key, obs: jnp.int32(0)
