"""A tiny pixel environment with scenes, for tests of what algorithms do with observations."""

import jax
import jax.numpy as jnp
import pytest
from flax import struct
from gymnax.environments import environment

from algorithms.common.task import Task


@struct.dataclass
class WalkState(environment.EnvState):
    """Position on a line of eight cells."""

    position: jax.Array


@struct.dataclass
class WalkParams(environment.EnvParams):
    """Time limit of seven steps: shorter than the tests' rollouts."""

    max_steps_in_episode: int = 7


class Walk(environment.Environment):
    """Action 1 goes right, 0 left; a bright column marks the position; reward at the right end.

    Reaching the right end terminates, so that episodes end in both ways.
    """

    @property
    def num_actions(self):
        return 2

    @property
    def default_params(self):
        return WalkParams()

    def reset_env(self, key, params):
        state = WalkState(time=jnp.int32(0), position=jax.random.randint(key, (), 0, 6))
        return self.observe(key, state, None, params), state

    def step_env(self, key, state, action, params):
        position = jnp.clip(state.position + 2 * action - 1, 0, 7)
        state = WalkState(time=state.time + 1, position=position)
        at_end = position == 7
        obs = self.observe(key, state, None, params)
        return obs, state, jnp.float32(at_end), at_end, {"final_scene": self.scene(state, params)}

    def observe(self, key, state, action, params):
        return self.render(self.scene(state, params), params)

    def scene(self, state, params):
        return {"position": state.position, "time": state.time}

    def render(self, scene, params):
        column = jnp.where(jnp.arange(8) == scene["position"], 255, 20 * scene["time"])
        return jnp.broadcast_to(column[None, :, None], (8, 8, 3)).astype(jnp.uint8)


@pytest.fixture(scope="session")
def walk() -> Task:
    """Task with scenes, images of 8x8 and a time limit of 7 steps."""
    env = Walk()
    return Task(env, env.default_params)
