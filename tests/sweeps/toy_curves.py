"""An algorithm whose learning curves are known, for tests of schedulers.

    level(t) = ceiling (1 - (1 - speed)^t)

after t updates, if there is no noise. Where the noise is not zero, it comes from the PRNG key of
the state. An update takes microseconds and the program compiles in a moment.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from algorithms.common.task import Task


@struct.dataclass
class Config:
    speed: float = 0.5
    ceiling: float = 1.0
    noise: float = 0.0
    fails_at: float = jnp.inf  # the level is NaN from this update on
    whole: int = 1
    flag: bool = False
    num_updates: int = struct.field(pytree_node=False, default=9)

    @property
    def steps_per_update(self) -> int:
        return 10


@struct.dataclass
class State:
    level: jax.Array
    time: jax.Array
    key: jax.Array


def init(key: jax.Array, config: Config, task: Task) -> State:
    return State(jnp.float32(0), jnp.int32(0), key)


def update(state: State, config: Config, task: Task) -> tuple[State, dict[str, jax.Array]]:
    key, noise_key = jax.random.split(state.key)
    time = state.time + 1
    level = state.level + config.speed * (config.ceiling - state.level)
    level += config.noise * jax.random.normal(noise_key)
    level = jnp.where(time >= config.fails_at, jnp.nan, level)
    rare = jnp.where(time % 2 == 0, level, jnp.nan)
    return State(level, time, key), {"level": level, "loss": -level, "rare": rare}


def policy(state: State, config: Config, task: Task) -> Any:
    return lambda key, obs: jnp.int32(0)


class Nothing:
    """The environment: the algorithm needs none."""

    num_actions = 1

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, None]:
        return jnp.zeros(1), None


TASK = Task(Nothing(), None)
