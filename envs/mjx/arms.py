"""Two-link arms: a reacher in the horizontal plane and a goal-conditioned arm under gravity."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.mjx.base import MjxEnv, MjxState
from envs.mjx.dynamics import PhysicsParams
from envs.mjx.goals import GoalObservation
from envs.mjx.picture import TARGET, Shape, View
from envs.mjx.reward import tolerance


@struct.dataclass
class ReacherParams(PhysicsParams):
    """As `PhysicsParams`; target_size: radius of the target in m (0.05 easy, 0.015 hard)."""

    target_size: float = 0.05


class Reacher(MjxEnv):
    """Bring the tip of two links of 0.12 m into a target, in the horizontal plane.

    Physics step 0.02 s, one per control step; episodes of 20 s (1000 steps) that never terminate.
    Action: torques, float32 (2,), times 0.05 Nm. Observation: float32 (6,), joint angles (the
    first is not wrapped), vector from tip to target, angular velocities. Reward: 1 in the target,
    else 0. One constraint (the range of the wrist), at most four solver iterations.

    Source of task and reward: Tassa et al., "DeepMind Control Suite", 2018.
    """

    model_file = "reacher.xml"
    frames = 1
    observation_size = 6
    view = View("top", width=0.64, height=0.56)
    _links = (0.12, 0.12)

    @property
    def name(self) -> str:
        """Environment name."""
        return "Reacher"

    @property
    def default_params(self) -> ReacherParams:
        """1000 steps, the model as written, the easy target."""
        return ReacherParams()

    def start(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Any joint angles at rest; a target at 0.05 to 0.2 m in any direction."""
        joint_key, angle_key, radius_key = jax.random.split(key, 3)
        bound = jnp.array([jnp.pi, jnp.deg2rad(160.0)])
        qpos = jax.random.uniform(joint_key, (2,), minval=-bound, maxval=bound)
        angle = jax.random.uniform(angle_key, minval=0.0, maxval=2 * jnp.pi)
        radius = jax.random.uniform(radius_key, minval=0.05, maxval=0.2)
        goal = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        return qpos, jnp.zeros(2), goal

    def tip(self, qpos: jax.Array) -> jax.Array:
        """Position of the tip (2,), m, from the joint angles."""
        upper, lower = qpos[0], qpos[0] + qpos[1]
        a, b = self._links
        x = a * jnp.cos(upper) + b * jnp.cos(lower)
        return jnp.stack([x, a * jnp.sin(upper) + b * jnp.sin(lower)])

    def observe(self, key: Any, state: MjxState, action: Any, params: Any) -> jax.Array:
        """Angles, vector to the target, angular velocities."""
        del key, action, params
        return jnp.concatenate([state.qpos, state.goal - self.tip(state.qpos), state.qvel])

    def outcome(
        self, old: MjxState, action: jax.Array, new: MjxState, params: Any
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """1 within the target."""
        del old, action
        distance = jnp.linalg.norm(new.goal - self.tip(new.qpos))
        reward = tolerance(distance, upper=params.target_size)
        return reward, jnp.bool_(False), {"success": reward > 0, "distance": distance}

    def marks(self, state: MjxState) -> list[Shape]:
        """The target."""
        return [Shape(state.goal[None], TARGET, 0.015)]


@struct.dataclass
class ArmParams(PhysicsParams):
    """As `PhysicsParams`, and:

    sparse: reward -1 until success and 0 then, instead of minus the distance.
    success_distance: m. terminate_on_success: end the episode there.
    """

    max_steps_in_episode: int = 200
    sparse: bool = False
    success_distance: float = 0.05
    terminate_on_success: bool = False


class Arm(GoalObservation, MjxEnv):
    """Bring the tip of two links of 0.5 m and 1 kg to a goal in a vertical plane, under gravity.

    Physics step 0.01 s, two per control step (0.02 s); episodes of 200 steps. Action: torques,
    float32 (2,), times 20 and 10 Nm, enough to hold any posture. Observation: float32 (10,),
    position of the tip (x, z; the achieved goal), cosines and sines of the joint angles (0 hangs
    down), angular velocities, goal. No constraints: the solver has nothing to do.
    """

    model_file = "arm.xml"
    frames = 2
    observation_size = 10
    view = View("side", width=2.6, height=2.4)
    _links = (0.5, 0.5)

    @property
    def name(self) -> str:
        """Environment name."""
        return "Arm"

    @property
    def default_params(self) -> ArmParams:
        """200 steps, the model as written, dense reward."""
        return ArmParams()

    def start(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Hanging at rest; a goal that is spread evenly over the ring of radii 0.2 to 0.95 m."""
        joint_key, angle_key, radius_key = jax.random.split(key, 3)
        qpos = jax.random.uniform(joint_key, (2,), minval=-0.1, maxval=0.1)
        angle = jax.random.uniform(angle_key, minval=0.0, maxval=2 * jnp.pi)
        square = jax.random.uniform(radius_key, minval=0.2**2, maxval=0.95**2)
        goal = jnp.sqrt(square) * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        return qpos, jnp.zeros(2), goal

    def tip(self, qpos: jax.Array) -> jax.Array:
        """Position of the tip (2,), x and z in m, from the joint angles."""
        upper, lower = qpos[0], qpos[0] + qpos[1]
        a, b = self._links
        x = a * jnp.sin(upper) + b * jnp.sin(lower)
        return jnp.stack([x, -a * jnp.cos(upper) - b * jnp.cos(lower)])

    def observe(self, key: Any, state: MjxState, action: Any, params: Any) -> jax.Array:
        """Tip, cosines, sines, angular velocities, goal."""
        del key, action, params
        cos, sin = jnp.cos(state.qpos), jnp.sin(state.qpos)
        return jnp.concatenate([self.tip(state.qpos), cos, sin, state.qvel, state.goal])

    def outcome(
        self, old: MjxState, action: jax.Array, new: MjxState, params: Any
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """`goal_reward` of the tip."""
        del old, action
        tip = self.tip(new.qpos)
        distance = jnp.linalg.norm(tip - new.goal)
        success = distance <= params.success_distance
        info = {"success": success, "distance": distance}
        reward = self.goal_reward(tip, new.goal, params)
        return reward, success & jnp.bool_(params.terminate_on_success), info

    def marks(self, state: MjxState) -> list[Shape]:
        """The goal."""
        return [Shape(state.goal[None], TARGET, 0.04)]

    def energy(self, state: MjxState, params: Any) -> jax.Array:
        """Kinetic and potential energy in J, from the equations of a double pendulum."""
        model = self.mj_model
        m1, m2 = (params.mass * float(model.body(name).mass[0]) for name in ("upper", "lower"))
        c1, c2 = (-float(model.body(name).ipos[2]) for name in ("upper", "lower"))
        i1, i2 = (params.mass * float(model.body(name).inertia[0]) for name in ("upper", "lower"))
        weight = -params.gravity * float(model.opt.gravity[2])
        length = self._links[0]
        (a, b), (w1, relative) = state.qpos, state.qvel
        w2 = w1 + relative
        kinetic = (m1 * c1**2 + i1 + m2 * length**2) * w1**2 / 2
        kinetic += (m2 * c2**2 + i2) * w2**2 / 2 + m2 * length * c2 * jnp.cos(b) * w1 * w2
        height = -(m1 * c1 + m2 * length) * jnp.cos(a) - m2 * c2 * jnp.cos(a + b)
        return kinetic + weight * height
