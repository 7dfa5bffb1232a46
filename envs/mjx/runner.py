"""A planar runner with two legs, rewarded for speed."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.mjx.base import MjxEnv, MjxState
from envs.mjx.dynamics import PhysicsParams
from envs.mjx.picture import Shape, View
from envs.mjx.reward import tolerance

_FULL_SPEED = 10.0  # m/s
_POST = (150, 158, 172)


@struct.dataclass
class RunnerParams(PhysicsParams):
    """As `PhysicsParams`; control_cost: reward lost per squared action."""

    control_cost: float = 0.0


class Runner(MjxEnv):
    """Run to the right as fast as possible, like a cheetah in the plane.

    Physics step 0.005 s, four per control step (0.02 s); episodes of 1000 steps that never
    terminate. Action: torques, float32 (6,), of thigh, shin and foot of the back and the front
    leg. Observation: float32 (17,), height, pitch and six joint angles, then the nine velocities.
    Reward: speed / 10 m/s within [0, 1]. Eight possible contacts (spheres with the ground), six
    joint ranges, at most six solver iterations; with these the solver has converged.

    Source of the task: the cheetah of Wawrzynski 2009 and its reward in Tassa et al., "DeepMind
    Control Suite", 2018; body and numbers are our own.
    """

    model_file = "runner.xml"
    frames = 4
    observation_size = 17
    view = View("side", center=(0.0, 0.55), width=3.0, height=1.6, follow=True, ground=True)

    @property
    def name(self) -> str:
        """Environment name."""
        return "Runner"

    @property
    def default_params(self) -> RunnerParams:
        """1000 steps, the model as written."""
        return RunnerParams()

    def start(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Standing, with a little noise in the joints and the velocities."""
        position_key, velocity_key = jax.random.split(key)
        joints = jax.random.uniform(position_key, (6,), minval=-0.1, maxval=0.1)
        qvel = 0.1 * jax.random.normal(velocity_key, (9,))
        return jnp.concatenate([jnp.zeros(3), joints]), qvel, jnp.zeros(0)

    def observe(self, key: Any, state: MjxState, action: Any, params: Any) -> jax.Array:
        """All but the horizontal position."""
        del key, action, params
        return jnp.concatenate([state.qpos[1:], state.qvel])

    def outcome(
        self, old: MjxState, action: jax.Array, new: MjxState, params: Any
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Mean speed of the torso over the control step, relative to 10 m/s."""
        speed = (new.qpos[0] - old.qpos[0]) / self.control_timestep
        reward = tolerance(
            speed, _FULL_SPEED, jnp.inf, margin=_FULL_SPEED, sigmoid="linear", value_at_margin=0
        )
        reward = (reward - params.control_cost * (action**2).sum()).astype(jnp.float32)
        return reward, jnp.bool_(False), {"speed": speed, "x_position": new.qpos[0]}

    def marks(self, state: MjxState) -> list[Shape]:
        """Posts in the ground, 1 m apart: they show how fast a view that follows moves."""
        positions = jnp.arange(-1.0, 3.0) - state.qpos[0] % 1.0
        heights = jnp.array([-0.1, -0.2])
        return [Shape(jnp.stack([jnp.stack([x, x]), heights], -1), _POST, 0.04) for x in positions]
