"""What the environments on MuJoCo MJX share: state, integration, resets without physics."""

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

from envs.mjx.backend import mujoco, quiet_import
from envs.mjx.dynamics import scaled_model
from envs.mjx.picture import Shape, View, draw, geom_shapes, model_shapes

mjx = quiet_import("mujoco.mjx")
_MODELS = Path(__file__).parent / "models"


class MjxState(struct.PyTreeNode):
    """State of one environment.

    qpos, qvel: float32 (nq,), (nv,), MuJoCo's joint positions and velocities (m, rad, s).
    warmstart: float32 (nv,), accelerations from which the constraint solver starts.
    goal: float32 (g,), the goal of the episode; (0,) where there is none.
    time: int32, control steps in the episode.
    """

    qpos: jax.Array
    qvel: jax.Array
    warmstart: jax.Array
    goal: jax.Array
    time: jax.Array


class MjxEnv(Environment, ABC):
    """An environment of one MJCF model (in models/).

    A control step is `frames` physics steps with the same action. The state holds positions and
    velocities alone, the rest of MJX's data is computed from them in every step; so a reset is a
    draw of positions and velocities and costs no physics.

    Subclasses give `model_file`, `frames`, `view`, `observation_size`, `default_params`, and the
    methods `start`, `observe` and `outcome`.
    """

    model_file: str
    frames: int
    view: View
    observation_size: int
    fixed: tuple[Shape, ...] = ()  # shapes of the picture that never move, below all others

    def __init__(self) -> None:
        self.mj_model = mujoco.MjModel.from_xml_path(str(_MODELS / self.model_file))
        with jax.ensure_compile_time_eval():
            self.mjx_model = mjx.put_model(self.mj_model)
            self._data = mjx.make_data(self.mj_model)

    @property
    def control_timestep(self) -> float:
        """Seconds of a control step."""
        return float(self.mj_model.opt.timestep * self.frames)

    # --- What an environment defines -------------------------------------------------------------

    @abstractmethod
    def start(self, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """First positions (nq,), velocities (nv,) and goal (g,) of an episode."""

    @abstractmethod
    def observe(self, key: Any, state: MjxState, action: Any, params: Any) -> jax.Array:
        """Observation of a state, float32 (observation_size,); nothing else matters."""

    @abstractmethod
    def outcome(
        self, old: MjxState, action: jax.Array, new: MjxState, params: Any
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Reward (float32), terminated (bool) and info of a transition."""

    def control(self, state: MjxState, action: jax.Array) -> jax.Array:
        """Control signals (nu,) of a physics step; the action itself unless overridden."""
        del state
        return action

    # --- The interface ---------------------------------------------------------------------------

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, MjxState]:
        """Start an episode."""
        qpos, qvel, goal = self.start(key, params)
        state = MjxState(
            qpos=jnp.asarray(qpos, jnp.float32),
            qvel=jnp.asarray(qvel, jnp.float32),
            warmstart=jnp.zeros(self.mj_model.nv),
            goal=jnp.asarray(goal, jnp.float32),
            time=jnp.int32(0),
        )
        return self.observe(None, state, None, params), state

    def step_env(
        self, key: jax.Array, state: MjxState, action: Any, params: Any
    ) -> tuple[jax.Array, MjxState, jax.Array, jax.Array, dict[str, jax.Array]]:
        """Advance one control step without auto-reset; the action is clipped to [-1, 1]."""
        del key
        action = jnp.clip(jnp.asarray(action, jnp.float32), -1, 1)
        new = self.advance(state, action, params)
        reward, terminated, info = self.outcome(state, action, new, params)
        return self.observe(None, new, action, params), new, reward, terminated, info

    def advance(self, state: MjxState, action: jax.Array, params: Any) -> MjxState:
        """The state after `frames` physics steps, with the dynamics of `params`."""
        model = scaled_model(self.mjx_model, params)

        def physics(state: MjxState, _: None) -> tuple[MjxState, None]:
            data = self._data.replace(
                qpos=state.qpos,
                qvel=state.qvel,
                qacc_warmstart=state.warmstart,
                ctrl=self.control(state, action),
            )
            data = mjx.step(model, data)
            new = state.replace(qpos=data.qpos, qvel=data.qvel, warmstart=data.qacc_warmstart)
            return new, None

        new, _ = jax.lax.scan(physics, state, None, length=self.frames)
        return new.replace(time=state.time + 1)

    def is_terminated(self, state: MjxState, params: Any) -> jax.Array:
        """False; environments whose goal ends the episode report that in the step alone."""
        del params
        return jnp.zeros_like(state.time, bool)

    def action_space(self, params: Any = None) -> spaces.Box:
        """Box [-1, 1]^nu, float32."""
        del params
        return spaces.Box(-1.0, 1.0, (self.mj_model.nu,), jnp.float32)

    def observation_space(self, params: Any = None) -> spaces.Box:
        """Unbounded, float32 (observation_size,)."""
        del params
        return spaces.Box(-jnp.inf, jnp.inf, (self.observation_size,), jnp.float32)

    def picture(self, state: MjxState, params: Any = None) -> np.ndarray:
        """A view of one state, uint8 (H, W, 3); on the host."""
        del params
        shapes = model_shapes(self.mj_model, np.asarray(state.qpos), self.view)
        return draw([*self.fixed, *shapes, *self.marks(state)], self.view)

    def shapes(self, state: MjxState, params: Any = None) -> list[Shape]:
        """The shapes of `picture`, computed on the device.

        Their order, which is that of their depth, is constant: motion is in the view's plane.
        """
        del params
        data = mjx.kinematics(self.mjx_model, self._data.replace(qpos=state.qpos))
        shapes = geom_shapes(self.mj_model, data.geom_xpos, data.geom_xmat, data.xpos, self.view)
        return [shapes[i] for i in self._order] + self.marks(state)

    @cached_property
    def _order(self) -> list[int]:
        """The geoms from far to near at the model's reference position."""
        data = mujoco.MjData(self.mj_model)
        mujoco.mj_kinematics(self.mj_model, data)
        rotations = data.geom_xmat.reshape(-1, 3, 3)
        shapes = geom_shapes(self.mj_model, data.geom_xpos, rotations, data.xpos, self.view)
        return sorted(range(len(shapes)), key=lambda i: round(float(shapes[i].depth), 6))

    def marks(self, state: MjxState) -> list[Shape]:
        """Further shapes of the picture, in its plane, above the geoms."""
        del state
        return []
