"""KAGE-Env: a 2-D platformer as a gymnax 1.0 environment of pure functions.

The dynamics (`step_env`) and the observation (`observe`, or `render` of a stored `Scene`) are
separate, so that a step whose observation nobody reads draws nothing.

Source: Cherepanov et al., "KAGE-Bench", 2026 (arXiv 2601.14232).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

from kagebench import camera, layout, physics, rewards, visuals
from kagebench.atlas import Atlas
from kagebench.batching import batch_native
from kagebench.observation import STATE_SIZE, state_vector
from kagebench.params import EnvParams, EnvSpec
from kagebench.render.frame import render
from kagebench.scene import Scene, scene_of
from kagebench.visuals import Visuals

# Environments of a batch that are reset together, as a share of the batch.
_RESET_SHARE = 256
NUM_ACTIONS = 8


class KageState(struct.PyTreeNode):
    """State of one environment.

    body: position and velocity. tops: int16 [segments], the level. camera_x, x_max, initial_x:
    float32, px. time: int32, steps in the episode. episode_return, vx_mean, vy_mean: float32.
    jump_count: int32, steps with the jump bit set. success_once: bool.
    """

    body: physics.Body
    camera_x: jax.Array
    time: jax.Array
    x_max: jax.Array
    initial_x: jax.Array
    episode_return: jax.Array
    vx_mean: jax.Array
    vy_mean: jax.Array
    jump_count: jax.Array
    success_once: jax.Array
    tops: jax.Array
    visuals: Visuals


def initial_state(
    key: jax.Array, params: EnvParams, spec: EnvSpec, tops: jax.Array | None = None
) -> KageState:
    """A new episode, on a random level or on the given one (int16 [segments])."""
    layout_key, visuals_key = jax.random.split(key)
    if tops is None:
        tops = layout.generate(layout_key, params.layout, spec.num_segments)
    x, y = physics.spawn(tops, params, spec)
    zero = jnp.float32(0.0)
    body = physics.Body(
        x=x, y=y, vx=zero, vy=zero, grounded=jnp.bool_(False), coyote_timer=jnp.int32(0)
    )
    return KageState(
        body=body,
        camera_x=camera.start(x, params, spec.width),
        time=jnp.int32(0),
        x_max=x,
        initial_x=x,
        episode_return=zero,
        vx_mean=zero,
        vy_mean=zero,
        jump_count=jnp.int32(0),
        success_once=jnp.bool_(False),
        tops=tops,
        visuals=visuals.spawn(visuals_key, tops, params, spec),
    )


def advance(
    key: jax.Array, state: KageState, action: jax.Array, params: EnvParams, spec: EnvSpec
) -> tuple[KageState, jax.Array]:
    """One step without auto-reset: the new state and the reward (float32)."""
    action = jnp.asarray(action, jnp.int32)
    body = physics.move(state.body, action, state.tops, params, spec)
    time = state.time + 1
    jumped = (action & physics.JUMP) != 0
    reward = rewards.reward(state.body.x, body.x, state.x_max, jumped, params)
    success = body.x - state.initial_x >= params.dist_to_success
    new = state.replace(
        body=body,
        camera_x=camera.follow(state.camera_x, body.x, params, spec.width),
        time=time,
        x_max=jnp.maximum(state.x_max, body.x),
        episode_return=state.episode_return + reward,
        vx_mean=rewards.running_mean(state.vx_mean, body.vx, time),
        vy_mean=rewards.running_mean(state.vy_mean, body.vy, time),
        jump_count=state.jump_count + jumped,
        success_once=state.success_once | success,
        visuals=visuals.update(key, state.visuals, body.vx, params, spec),
    )
    return new, reward


def step_info(state: KageState, params: EnvParams) -> dict[str, jax.Array]:
    """Scalars that describe the state after a step."""
    distance = state.body.x - state.initial_x
    return {
        "return": state.episode_return,
        "timestep": state.time,
        "x": state.body.x,
        "y": state.body.y,
        "vx": state.body.vx,
        "vy": state.body.vy,
        "jump_count": state.jump_count,
        "passed_distance": distance,
        "progress": rewards.progress(distance, params),
        "success": distance >= params.dist_to_success,
        "success_once": state.success_once,
        "vx_mean": state.vx_mean,
        "vy_mean": state.vy_mean,
    }


def step_key(key: jax.Array) -> jax.Array:
    """The part of a step's key that moves what is random within an episode."""
    return jax.random.split(key)[0]


def reset_key(keys: jax.Array) -> jax.Array:
    """The parts of the steps' keys [B] that start new episodes.

    Split here and not beside `step_key`, because few environments need it: hashing a key for every
    environment would cost as much as the dynamics.
    """
    return jax.vmap(lambda key: jax.random.split(key)[1])(keys)


def reset_finished(
    spec: EnvSpec, keys: jax.Array, states: KageState, done: jax.Array, params: EnvParams
) -> KageState:
    """Replace the states of finished environments by new episodes; all arguments have axis B.

    keys: those of the step, see `reset_key`.

    Work is proportional to the number of finished environments, not to the batch.
    """
    batch = done.shape[0]
    together = max(1, batch // _RESET_SHARE)
    rank = jnp.cumsum(done) - 1
    order = jnp.zeros(batch, jnp.int32)
    order = order.at[jnp.where(done, rank, batch)].set(jnp.arange(batch), mode="drop")
    total = done.sum()

    def body(carry: tuple[jax.Array, KageState]) -> tuple[jax.Array, KageState]:
        start, states = carry
        slot = start + jnp.arange(together)
        rows = order[jnp.minimum(slot, batch - 1)]
        chosen = jax.tree.map(lambda leaf: leaf[rows], params)
        fresh = jax.vmap(initial_state, (0, 0, None))(reset_key(keys[rows]), chosen, spec)
        target = jnp.where(slot < total, rows, batch)
        states = jax.tree.map(lambda s, f: s.at[target].set(f, mode="drop"), states, fresh)
        return start + together, states

    return jax.lax.while_loop(lambda carry: carry[0] < total, body, (jnp.int32(0), states))[1]


class KageEnv(Environment):
    """The platformer, for one `EnvSpec`. Build it with `kagebench.make`.

    All methods are pure and work under jit, vmap (also over `params`) and scan. Two environments
    are equal, and share compiled programs, if their specs and images are equal.
    """

    def __init__(self, spec: EnvSpec, atlas: Atlas, default_params: EnvParams):
        self.spec = spec
        self.atlas = atlas
        self._default_params = default_params
        self._identity = (spec, atlas.fingerprint())
        self._render = batch_native(partial(render, spec, atlas))
        self._reset_finished = batch_native(partial(reset_finished, spec))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KageEnv) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def name(self) -> str:
        """Environment name."""
        return "KageEnv"

    @property
    def num_actions(self) -> int:
        """Actions are the 8 combinations of left (1), right (2) and jump (4)."""
        return NUM_ACTIONS

    @property
    def default_params(self) -> EnvParams:
        """Parameters of the configuration that the environment was made from."""
        return self._default_params

    @partial(jax.jit, static_argnames=("self",))
    def reset(self, key: jax.Array, params: EnvParams | None = None) -> tuple[jax.Array, KageState]:
        """Start an episode: (observation, state)."""
        return self.reset_env(key, self._default_params if params is None else params)

    @partial(jax.jit, static_argnames=("self",))
    def step(
        self,
        key: jax.Array,
        state: KageState,
        action: int | float | jax.Array,
        params: EnvParams | None = None,
    ) -> tuple[jax.Array, KageState, jax.Array, jax.Array, jax.Array, dict[Any, Any]]:
        """Advance one step; a finished episode is replaced by a new one.

        Args:
            key: typed PRNG key.
            state: current state.
            action: integer 0..7, a bit mask of left (1), right (2) and jump (4).
            params: defaults to those of the configuration.

        Returns:
            observation (of the new episode if one ended), state, reward (float32), terminated
            (always False), truncated (the time limit was reached) and info, which describes the
            transition before the reset and holds `final_observation` and `final_scene`. What is
            not used of info is not computed.
        """
        params = self._default_params if params is None else params
        last, reward = advance(step_key(key), state, jnp.asarray(action), params, self.spec)
        truncated = self.is_truncated(last, params)
        state = self._reset_finished(key, last, truncated, params)
        info: dict[Any, Any] = step_info(last, params)
        info["final_scene"] = self.scene(last, params)
        info["final_observation"] = self.observe(None, last, None, params)
        obs = self.observe(None, state, None, params)
        return obs, state, reward, jnp.zeros_like(truncated), truncated, info

    def reset_env(self, key: jax.Array, params: EnvParams) -> tuple[jax.Array, KageState]:
        """Start an episode, not jitted by itself."""
        state = initial_state(key, params, self.spec)
        return self.observe(None, state, None, params), state

    def step_env(
        self,
        key: jax.Array,
        state: KageState,
        action: int | float | jax.Array,
        params: EnvParams,
    ) -> tuple[jax.Array, KageState, jax.Array, jax.Array, dict[Any, Any]]:
        """Advance one step without auto-reset; steps past the time limit are allowed."""
        state, reward = advance(key, state, jnp.asarray(action), params, self.spec)
        obs = self.observe(None, state, None, params)
        return obs, state, reward, jnp.bool_(False), step_info(state, params)

    def scene(self, state: KageState, params: EnvParams | None = None) -> Scene | jax.Array:
        """The part of the state that the observation depends on (a few hundred bytes)."""
        params = self._default_params if params is None else params
        if self.spec.obs == "state":
            return state_vector(state.body, state.tops, state.time, params)
        return scene_of(
            state.body.x,
            state.body.y,
            state.camera_x,
            state.tops,
            state.visuals,
            params,
            self.spec,
        )

    def render(self, scene: Any, params: EnvParams | None = None) -> jax.Array:
        """The observation of a stored scene, bit-identical to that of its state."""
        params = self._default_params if params is None else params
        return scene if self.spec.obs == "state" else self._render(scene, params)

    def observe(
        self,
        key: jax.Array | None,
        state: KageState,
        action: int | float | jax.Array | None,
        params: EnvParams,
    ) -> jax.Array:
        """Observation of a state; key and action do not matter (noise is part of the state)."""
        del key, action
        return self.render(self.scene(state, params), params)

    def is_truncated(self, state: KageState, params: EnvParams) -> jax.Array:
        """Whether the time limit is reached."""
        return state.time >= params.episode_length

    def is_terminated(self, state: KageState, params: EnvParams) -> jax.Array:
        """Episodes only ever end by the time limit."""
        del params
        return jnp.zeros_like(state.time, bool)

    def action_space(self, params: EnvParams | None = None) -> spaces.Discrete:
        """Discrete(8)."""
        del params
        return spaces.Discrete(NUM_ACTIONS)

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:
        """uint8 [H, W, 3] in 0..255, or float32 [STATE_SIZE] for obs="state"."""
        del params
        if self.spec.obs == "state":
            return spaces.Box(-jnp.inf, jnp.inf, (STATE_SIZE,), jnp.float32)
        size = self.spec.obs_size
        shape = (size, size, 3) if size else (self.spec.height, self.spec.width, 3)
        return spaces.Box(0, 255, shape, jnp.uint8)
