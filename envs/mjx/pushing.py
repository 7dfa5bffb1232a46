"""Pushing in the plane: a puck to a goal, and a T to a pose (Push-T)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from envs.mjx.base import MjxEnv, MjxState
from envs.mjx.coverage import RECTANGLES, coverage
from envs.mjx.dynamics import PhysicsParams
from envs.mjx.goals import GoalObservation
from envs.mjx.picture import TARGET, Shape, View

_CANDIDATES = 16  # positions among which a free one is chosen at the start


@struct.dataclass
class PusherParams(PhysicsParams):
    """As `PhysicsParams`, and:

    sparse: reward -1 until success and 0 then, instead of minus the distance of puck and goal.
    near_weight: weight of minus the distance of finger and puck, added to the dense reward.
    success_distance: m. terminate_on_success: end the episode there.
    """

    max_steps_in_episode: int = 200
    sparse: bool = False
    near_weight: float = 0.0
    success_distance: float = 0.1
    terminate_on_success: bool = False


def free_position(key: jax.Array, bound: float, taken: jax.Array, gap: float) -> jax.Array:
    """A point (2,) in the square [-bound, bound]^2 that is at least `gap` from `taken`.

    Of some random points the first far enough one is taken (the farthest, should there be none).
    """
    points = jax.random.uniform(key, (_CANDIDATES, 2), minval=-bound, maxval=bound)
    distance = jnp.linalg.norm(points - taken, axis=-1)
    return points[jnp.argmax(jnp.minimum(distance, gap))]


class Pusher(GoalObservation, MjxEnv):
    """Push a round puck to a goal with a round finger, in a square of 2 m.

    Physics step 0.01 s, five per control step (0.05 s); episodes of 200 steps. Action: force on
    the finger, float32 (2,), times 10 N. Observation: float32 (10,), position of the puck (the
    achieved goal), its velocity, position and velocity of the finger, goal. One contact (puck and
    finger), four ranges (the square), at most four solver iterations. The puck slides with viscous
    friction (`damping`); `friction` is that between finger and puck.

    Source of the task: the pushers of Gymnasium (v5 rewards minus distances) and of Andrychowicz
    et al. 2017 (sparse form); the planar body is our own.
    """

    model_file = "pusher.xml"
    frames = 5
    observation_size = 10
    view = View("top", width=2.4, height=2.4)

    @property
    def name(self) -> str:
        """Environment name."""
        return "Pusher"

    @property
    def default_params(self) -> PusherParams:
        """200 steps, the model as written, dense reward."""
        return PusherParams()

    def start(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Puck, finger and goal at rest, at random and apart from one another."""
        puck_key, finger_key, goal_key = jax.random.split(key, 3)
        puck = jax.random.uniform(puck_key, (2,), minval=-0.6, maxval=0.6)
        finger = free_position(finger_key, 0.9, puck, 0.25)
        goal = free_position(goal_key, 0.75, puck, 0.3)
        return jnp.concatenate([finger, puck]), jnp.zeros(4), goal

    def observe(self, key: Any, state: MjxState, action: Any, params: Any) -> jax.Array:
        """Puck, finger (positions and velocities), goal."""
        del key, action, params
        q, v = state.qpos, state.qvel
        return jnp.concatenate([q[2:], v[2:], q[:2], v[:2], state.goal])

    def outcome(
        self, old: MjxState, action: jax.Array, new: MjxState, params: Any
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """`goal_reward` of the puck, with the dense form's bonus for being near it."""
        del old, action
        finger, puck = new.qpos[:2], new.qpos[2:]
        distance = jnp.linalg.norm(puck - new.goal)
        near = jnp.where(params.sparse, 0.0, params.near_weight * jnp.linalg.norm(finger - puck))
        reward = self.goal_reward(puck, new.goal, params) - near.astype(jnp.float32)
        success = distance <= params.success_distance
        info = {"success": success, "distance": distance}
        return reward, success & jnp.bool_(params.terminate_on_success), info

    def marks(self, state: MjxState) -> list[Shape]:
        """The goal."""
        return [Shape(state.goal[None], TARGET, 0.04)]


@struct.dataclass
class PushTParams(PhysicsParams):
    """As `PhysicsParams`, and:

    success_coverage: share of the goal's area from which the reward is 1 and the task is solved.
    terminate_on_success: end the episode there.
    goal: the pose x, y (100 px), angle (rad) of the goal, (3,).
    random_goal: draw the goal anew in every episode instead.
    """

    max_steps_in_episode: int = 300
    success_coverage: float = 0.95
    terminate_on_success: bool = True
    goal: Any = (0.0, 0.0, np.pi / 4)
    random_goal: bool = False


class PushT(GoalObservation, MjxEnv):
    """Push a T onto a target pose with a disc, seen from above.

    Lengths are in units of 100 pixels of the original drawing, the origin is its middle. Physics
    step 0.01 s, ten per control step (0.1 s); episodes of 300 steps. Action: float32 (2,), the
    position that the disc is drawn to, times 2.4; a critically damped controller (100 and 20 per
    kg) moves it. Observation: float32 (12,), position and velocity of the disc, pose of the T
    (x, y, cosine, sine; the achieved goal), pose of the goal. Reward: covered share of the goal
    relative to `success_coverage`, at most 1. Two contacts (disc with the two boxes of the T),
    two ranges, at most six solver iterations.

    The T slides with strong viscous friction (it stops within 0.05 s), where the original has none
    but sets velocities to zero.

    Source: Chi et al., "Diffusion Policy", 2023; the task is from Florence et al., "Implicit
    Behavioral Cloning", 2021. The body is our own.
    """

    model_file = "push_t.xml"
    frames = 10
    observation_size = 12
    goal_size = 4
    achieved_slice = slice(4, 8)
    view = View("top", width=5.12, height=5.12)
    _reach = 2.4
    _stiffness, _damping = 100.0, 20.0

    @property
    def name(self) -> str:
        """Environment name."""
        return "PushT"

    @property
    def default_params(self) -> PushTParams:
        """300 steps, the model as written, the goal in the middle at 45 degrees."""
        return PushTParams(goal=jnp.array([0.0, 0.0, jnp.pi / 4]))

    def start(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """T and disc at rest, at random and apart."""
        block_key, turn_key, agent_key, goal_key = jax.random.split(key, 4)
        block = jax.random.uniform(block_key, (2,), minval=-1.5, maxval=1.5)
        turn = jax.random.uniform(turn_key, minval=-jnp.pi, maxval=jnp.pi)
        agent = free_position(agent_key, 2.0, block, 1.2)
        bound = jnp.array([1.5, 1.5, jnp.pi])
        drawn = jax.random.uniform(goal_key, (3,), minval=-bound, maxval=bound)
        x, y, angle = jnp.where(params.random_goal, drawn, jnp.asarray(params.goal))
        qpos = jnp.concatenate([agent, block, turn[None]])
        return qpos, jnp.zeros(5), jnp.stack([x, y, jnp.cos(angle), jnp.sin(angle)])

    def control(self, state: MjxState, action: jax.Array) -> jax.Array:
        """Force per kg that draws the disc to the commanded position."""
        target = self._reach * action
        return self._stiffness * (target - state.qpos[:2]) - self._damping * state.qvel[:2]

    def pose(self, state: MjxState) -> jax.Array:
        """Pose of the T: x, y, cosine and sine of its angle, float32 (4,)."""
        x, y, angle = state.qpos[2:]
        return jnp.stack([x, y, jnp.cos(angle), jnp.sin(angle)])

    def observe(self, key: Any, state: MjxState, action: Any, params: Any) -> jax.Array:
        """Disc, its velocity, T, goal."""
        del key, action, params
        return jnp.concatenate([state.qpos[:2], state.qvel[:2], self.pose(state), state.goal])

    def goal_reward(self, achieved: jax.Array, desired: jax.Array, params: Any) -> jax.Array:
        """Covered share of the goal relative to `success_coverage`; poses (..., 4)."""
        share = coverage(achieved, desired) / params.success_coverage
        return jnp.clip(share, 0.0, 1.0).astype(jnp.float32)

    def outcome(
        self, old: MjxState, action: jax.Array, new: MjxState, params: Any
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """`goal_reward` of the T."""
        del old, action
        pose = self.pose(new)
        covered = coverage(pose, new.goal)
        success = covered >= params.success_coverage
        info = {
            "success": success,
            "coverage": covered,
            "distance": jnp.linalg.norm(pose[:2] - new.goal[:2]),
        }
        reward = self.goal_reward(pose, new.goal, params)
        return reward, success & jnp.bool_(params.terminate_on_success), info

    def marks(self, state: MjxState) -> list[Shape]:
        """The outline of the goal."""
        x, y, cos, sin = state.goal
        turn = jnp.array([[cos, -sin], [sin, cos]])
        shapes = []
        for cx, cy, a, b in RECTANGLES:
            corners = np.array([[-a, -b], [a, -b], [a, b], [-a, b]]) + [cx, cy]
            points = corners @ turn.T + jnp.array([x, y])
            shapes += [Shape(points[jnp.array([i - 1, i])], TARGET, 0.02) for i in range(4)]
        return shapes
