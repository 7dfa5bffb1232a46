"""Gymnasium bridges: one environment (`KageGymEnv`) and a batch of them (`KageVectorEnv`).

Both hand out NumPy arrays and Python numbers, and both are reproducible from one seed: every later
unseeded reset, and every automatic one, continues the random stream of the last seeded reset.
Each call crosses from the device to the host; code that is itself written in JAX should use
`kagebench.make` instead.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

try:
    import gymnasium
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError as error:
    raise ImportError(
        "kagebench.gym needs Gymnasium 1.1 or newer: pip install 'kagebench[gymnasium]'"
    ) from error

from kagebench import make
from kagebench.config import SHIPPED
from kagebench.env import NUM_ACTIONS

RENDER_MODES = ("rgb_array",)

Source = str | Path | Mapping[str, Any]
Info = dict[str, Any]


def register() -> list[str]:
    """Register every shipped config with Gymnasium as `Kage/NAME-v0` and return the ids.

    Afterwards `gymnasium.make("Kage/simplest-v0")` gives a `KageGymEnv` and
    `gymnasium.make_vec("Kage/simplest-v0", num_envs=8)` a `KageVectorEnv`. The time limit belongs
    to the config, so Gymnasium adds none. Calling it again changes nothing.
    """
    ids = [f"Kage/{name}-v0" for name in SHIPPED]
    for name, env_id in zip(SHIPPED, ids, strict=True):
        if env_id in gymnasium.registry:
            continue
        gymnasium.register(
            id=env_id,
            entry_point="kagebench.gym:KageGymEnv",
            vector_entry_point="kagebench.gym:KageVectorEnv",
            kwargs={"config": name},
        )
    return ids


class KageGymEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One KAGE environment with pixels as observation.

    Args:
        config: name of a shipped config, path of a YAML file, or a nested mapping.
        obs_size: None for the frame of the config (H, W), or 64 or 32 for the low-resolution track.
        assets: folder of an external art pack; None for the active pack.
        render_mode: "rgb_array" or None.

    The action is an integer in 0..7, a bit mask (1 left, 2 right, 4 jump). The observation is a
    uint8 array (H, W, 3). `terminated` is always False; `truncated` is the time limit. `info` of a
    step holds Python numbers: return, timestep, x, y, vx, vy, jump_count, passed_distance,
    progress, success, success_once, vx_mean, vy_mean. Steps past the time limit are allowed.

    Raises:
        ValueError: for an unknown render mode, an action outside 0..7, or reset options.
        gymnasium.error.ResetNeeded: for a step or a render before the first reset.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 60}  # noqa: RUF012

    def __init__(
        self,
        config: Source = "simplest",
        *,
        obs_size: int | None = None,
        assets: str | Path | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = _checked_render_mode(render_mode)
        self._env, self._params = _make(config, obs_size, assets)
        self.observation_space = _observation_space(self._env, self._params)
        self.action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)
        self._key = self._state = self._frame = None

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[np.ndarray, Info]:
        """Start an episode; the level depends on the seeds and the number of resets alone."""
        _reject_options(options)
        super().reset(seed=seed)
        key = jax.random.key(_draw(self.np_random))
        self._key, self._frame, self._state = _reset(self._env, key, self._params)
        return np.array(self._frame), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Info]:
        """Advance by one tick of 1/60 s."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("step() was called before reset()")
        action = _checked_actions(action, shape=())
        self._key, self._frame, self._state, *outcome = _step(
            self._env, self._key, self._state, action, self._params
        )
        reward, terminated, truncated, info = jax.device_get(outcome)
        numbers = {name: value.item() for name, value in info.items()}
        frame = np.array(self._frame)
        return frame, float(reward), bool(terminated), bool(truncated), numbers

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the last observation, uint8 (H, W, 3); None without a render mode."""
        if self.render_mode is None:
            return None
        if self._frame is None:
            raise gymnasium.error.ResetNeeded("render() was called before reset()")
        return np.array(self._frame)


class KageVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A batch of KAGE environments, stepped by one compiled program.

    Args:
        config, obs_size, assets, render_mode: as for `KageGymEnv`.
        num_envs: number of environments, at least 1.
        copy: whether observations are writable copies. Without it they are read-only views of
            the device's buffers where the device is the CPU.

    Autoreset is `AutoresetMode.SAME_STEP`: a finished environment returns the first frame of its
    next episode; its last frame stands in `info["final_obs"]` (an object array with None for the
    others) and its last scalars in `info["final_info"]`. Every key of `info` has a mask `_key`.
    Environment i of `reset(seed=s)` plays the first episode of `KageGymEnv.reset(seed=s + i)`.

    Raises:
        ValueError: for num_envs below 1, actions of another shape or outside 0..7, a list of seeds
            of another length, or reset options.
        gymnasium.error.ResetNeeded: for a step or a render before the first reset.
    """

    metadata = {  # noqa: RUF012
        "render_modes": list(RENDER_MODES),
        "render_fps": 60,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        config: Source = "simplest",
        num_envs: int = 1,
        *,
        obs_size: int | None = None,
        assets: str | Path | None = None,
        render_mode: str | None = None,
        copy: bool = True,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.num_envs = num_envs
        self.copy = copy
        self.render_mode = _checked_render_mode(render_mode)
        self._env, self._params = _make(config, obs_size, assets)
        self.single_observation_space = _observation_space(self._env, self._params)
        self.single_action_space = gymnasium.spaces.Discrete(NUM_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._keys = self._states = self._frames = None

    def reset(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *, seed: int | Sequence[int] | None = None, options: Info | None = None
    ) -> tuple[np.ndarray, Info]:
        """Start an episode in every environment; an int seeds them with seed, seed + 1, ..."""
        _reject_options(options)
        keys = jax.vmap(jax.random.key)(self._draw_seeds(seed))
        self._keys, self._frames, self._states = _reset_batch(self._env, keys, self._params)
        return self._to_host(self._frames), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Advance every environment by one tick; rewards are float64 (num_envs,)."""
        if self._states is None:
            raise gymnasium.error.ResetNeeded("step() was called before reset()")
        actions = _checked_actions(actions, shape=(self.num_envs,))
        self._keys, self._frames, self._states, final_scene, *outcome = _step_batch(
            self._env, self._keys, self._states, actions, self._params
        )
        reward, terminated, truncated, scalars = jax.device_get(outcome)
        done = terminated | truncated
        info = _masked(scalars, ~done)
        if done.any():
            # Drawn only in the few steps that end an episode: every step would pay for it.
            final_frames = _render_batch(self._env, final_scene, self._params)
            info |= _final_info(final_frames, scalars, done)
        frames = self._to_host(self._frames)
        return frames, reward.astype(np.float64), terminated.copy(), truncated.copy(), info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return the last observation of every environment; None without a render mode."""
        if self.render_mode is None:
            return None
        if self._frames is None:
            raise gymnasium.error.ResetNeeded("render() was called before reset()")
        return tuple(np.array(self._frames))

    def _to_host(self, frames: jax.Array) -> np.ndarray:
        return np.array(frames) if self.copy else np.asarray(frames)

    def _draw_seeds(self, seed: int | Sequence[int] | None) -> np.ndarray:
        """One uint32 per environment, and the generator that later unseeded resets draw from."""
        if seed is None:
            return _draw(self.np_random, self.num_envs)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seeds = [int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = [int(value) for value in seed]
            if len(seeds) != self.num_envs:
                raise ValueError(f"expected {self.num_envs} seeds, got {len(seeds)}")
            self.np_random = np.random.default_rng(seeds)
        generators = (seeding.np_random(value)[0] for value in seeds)
        return np.stack([_draw(generator) for generator in generators])


@partial(jax.jit, static_argnums=0)
def _reset(env: Any, key: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, Any]:
    """First frame and state, and the key from which the steps draw theirs."""
    key, reset_key = jax.random.split(key)
    frame, state = env.reset(reset_key, params)
    return key, frame, state


@partial(jax.jit, static_argnums=0)
def _step(env: Any, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple:
    """One step without autoreset: key, frame, state, reward, terminated, truncated, scalars."""
    key, step_key = jax.random.split(key)
    frame, state, reward, terminated, info = env.step_env(step_key, state, action, params)
    truncated = env.is_truncated(state, params)
    return key, frame, state, reward, terminated, truncated, _scalars(info)


@partial(jax.jit, static_argnums=0)
def _reset_batch(env: Any, keys: jax.Array, params: Any) -> tuple[jax.Array, jax.Array, Any]:
    return jax.vmap(partial(_reset, env), in_axes=(0, None))(keys, params)


@partial(jax.jit, static_argnums=0)
def _step_batch(env: Any, keys: jax.Array, states: Any, actions: jax.Array, params: Any) -> tuple:
    """One step with autoreset for a batch; as `_step`, with the final scenes after the states."""
    keys, step_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    frames, states, *outcome, info = step(step_keys, states, actions, params)
    return keys, frames, states, info["final_scene"], *outcome, _scalars(info, batch_axes=1)


@partial(jax.jit, static_argnums=0)
def _render_batch(env: Any, scenes: Any, params: Any) -> jax.Array:
    return jax.vmap(env.render, in_axes=(0, None))(scenes, params)


def _scalars(info: Mapping[str, Any], batch_axes: int = 0) -> Info:
    """The entries of `info` with one number per environment."""
    arrays = {name: value for name, value in info.items() if isinstance(value, jax.Array)}
    return {name: value for name, value in arrays.items() if value.ndim == batch_axes}


def _masked(scalars: Mapping[str, np.ndarray], mask: np.ndarray) -> Info:
    """Gymnasium's batched info: value and mask per key, zero where the mask is False."""
    if not mask.any():
        return {}
    values = {name: np.where(mask, value, value.dtype.type(0)) for name, value in scalars.items()}
    return values | {f"_{name}": mask.copy() for name in scalars}


def _final_info(frames: jax.Array, scalars: Mapping[str, np.ndarray], done: np.ndarray) -> Info:
    final_obs = np.full(done.shape, None, dtype=object)
    for i in np.flatnonzero(done):
        final_obs[i] = np.array(frames[i])
    return {
        "final_obs": final_obs,
        "_final_obs": done.copy(),
        "final_info": _masked(scalars, done),
        "_final_info": done.copy(),
    }


def _make(config: Source, obs_size: int | None, assets: str | Path | None) -> tuple[Any, Any]:
    if not isinstance(config, str | Path | Mapping):
        raise ValueError(f"config must be a name, a path or a mapping, got {type(config).__name__}")
    return make(config, obs="pixels", obs_size=obs_size, assets=assets)


def _observation_space(env: Any, params: Any) -> gymnasium.spaces.Box:
    shape = tuple(env.observation_space(params).shape)
    return gymnasium.spaces.Box(0, 255, shape, np.uint8)


def _checked_render_mode(render_mode: str | None) -> str | None:
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
    return render_mode


def _reject_options(options: Info | None) -> None:
    if options:
        raise ValueError(f"reset takes no options, got {sorted(options)}")


def _checked_actions(actions: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(actions)
    if values.shape != shape:
        raise ValueError(f"actions must have shape {shape}, got {values.shape}")
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"actions must be integers in 0..{NUM_ACTIONS - 1}, got {actions!r}")
    wrong = values[(values < 0) | (values >= NUM_ACTIONS)]
    if wrong.size:
        raise ValueError(f"action {wrong.flat[0]} is not in 0..{NUM_ACTIONS - 1}")
    return values.astype(np.int32)


def _draw(generator: np.random.Generator, size: int | None = None) -> Any:
    """Seeds for typed keys, uint32."""
    return generator.integers(2**32, size=size, dtype=np.uint32)
