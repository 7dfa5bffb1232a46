"""The task of an algorithm: an environment with its parameters, seen through *scenes*.

A scene is whatever an observation can be computed from. Environments that keep dynamics and
observation apart (``env.scene(state, params)`` and ``env.render(scene, params)``, as
:mod:`kagebench.env` does) have scenes of a few
hundred bytes, which are stored instead of frames and rendered again when needed. For every other
gymnax environment the scene is the observation itself and rendering is the identity, so that
algorithms need one code path.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments.spaces import Box

PyTree = Any


class Transition(NamedTuple):
    """Result of one step of N parallel environments with auto-reset; leaves have leading axis N.

    scene: scenes after the step (and after the reset where an episode ended).
    env_state: environment states after the step (and after the reset).
    reward: float32 (N,), unscaled.
    terminated: bool (N,), the episode ended in an absorbing state.
    truncated: bool (N,), the episode was cut, here by its time limit.
    final_scene: scenes after the step but before any reset.
    info: the environment's scalars about the finished transition, before any reset.
    """

    scene: PyTree
    env_state: PyTree
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_scene: PyTree
    info: dict[str, Any]


@struct.dataclass
class Task:
    """An environment (static) and its parameters (a pytree of traced leaves).

    The environment follows gymnax 1.0 (Lange 2022): ``reset(key, params)`` returns two values,
    ``step(key, state, action, params)`` six, with auto-reset. Its step must report the outcome of
    the step before the reset: ``info["final_scene"]`` if it has scenes, otherwise
    ``info["final_observation"]``.
    """

    env: Any = struct.field(pytree_node=False)
    params: PyTree

    @property
    def has_scenes(self) -> bool:
        """Whether observations are rendered from scenes that are smaller than they are."""
        return hasattr(self.env, "scene") and hasattr(self.env, "render")

    @property
    def num_actions(self) -> int:
        """Number of discrete actions."""
        return int(self.env.num_actions)

    @property
    def continuous(self) -> bool:
        """Whether actions are vectors of real numbers."""
        return isinstance(self.env.action_space(self.params), Box)

    @property
    def action_size(self) -> int:
        """Number of components d of a continuous action.

        Raises:
            ValueError: actions are not vectors of real numbers.
        """
        space = self.env.action_space(self.params)
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise ValueError(
                f"env: {self.env.name} has {type(space).__name__} actions, "
                "allowed: vectors of real numbers, Box(d,)"
            )
        return space.shape[0]

    def to_box(self, action: jax.Array) -> jax.Array:
        """Actions for the environment, float32 (..., d), of ones in [-1, 1].

        The bounds of the environment must be finite; they may depend on its parameters.
        """
        space = self.env.action_space(self.params)
        low, high = jnp.asarray(space.low), jnp.asarray(space.high)
        return low + 0.5 * (action + 1.0) * (high - low)

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation, without batch axis."""
        return jax.eval_shape(self.env.reset, jax.random.key(0), self.params)[0].shape

    def reset(
        self, key: jax.Array, num_envs: int, staggered: bool = False
    ) -> tuple[PyTree, PyTree]:
        """Start N episodes.

        Args:
            key: one PRNG key.
            num_envs: N.
            staggered: spread the phases of the episodes evenly, see :func:`stagger`.

        Returns:
            scenes and environment states, leaves with leading axis N.
        """
        keys = jax.random.split(key, num_envs)
        observation, env_state = jax.vmap(self.env.reset, (0, None))(keys, self.params)
        if staggered:
            env_state = stagger(env_state, self.params.max_steps_in_episode)
        return self._scene(env_state, observation), env_state

    def step(self, key: jax.Array, env_state: PyTree, action: jax.Array) -> Transition:
        """Advance N environments by one step, starting new episodes where one ended.

        Args:
            key: one PRNG key.
            env_state: environment states, leading axis N.
            action: int32 (N,), or float32 (N, d) as the environment takes them.

        Returns:
            the transition; observations are not rendered unless the environment has no scenes.
        """
        keys = jax.random.split(key, action.shape[0])
        observation, env_state, reward, terminated, truncated, info = jax.vmap(
            self.env.step, (0, 0, 0, None)
        )(keys, env_state, action, self.params)
        info = dict(info)
        final_observation = info.pop("final_observation", None)
        final_scene = info.pop("final_scene") if self.has_scenes else final_observation
        reward = reward.astype(jnp.float32)
        scene = self._scene(env_state, observation)
        return Transition(scene, env_state, reward, terminated, truncated, final_scene, info)

    def render(self, scene: PyTree) -> jax.Array:
        """Observations (B, *observation_shape) of B scenes.

        The result is a barrier to the compiler: what follows is compiled alike whether an
        observation was rendered here or stored before.
        """
        if not self.has_scenes:
            return scene
        observation = jax.vmap(self.env.render, (0, None))(scene, self.params)
        return jax.lax.optimization_barrier(observation)

    @property
    def has_action_mask(self) -> bool:
        """Whether the environment says which actions are valid."""
        return hasattr(self.env, "action_mask")

    def action_mask(self, env_state: PyTree) -> jax.Array:
        """Actions that N environments allow, bool (N, A)."""
        return jax.vmap(self.env.action_mask, (0, None))(env_state, self.params)

    def _scene(self, env_state: PyTree, observation: jax.Array) -> PyTree:
        if not self.has_scenes:
            return observation
        return jax.vmap(self.env.scene, (0, None))(env_state, self.params)


def stagger(env_state: PyTree, max_steps: int | jax.Array) -> PyTree:
    """Spread the phases of N episodes evenly over the time limit.

    Environments that are reset together and whose episodes all last equally long end all of them
    on the same step for ever, so that whole rollouts hold no episode start and others hold all of
    them. Starting environment i at time i / N of the limit removes this; its first episode is
    shorter than the others.

    Args:
        env_state: states right after a reset, leading axis N, with gymnax's field ``time``.
        max_steps: time limit of an episode in steps.

    Returns:
        the states with ``time`` replaced.
    """
    num_envs = env_state.time.shape[0]
    time = jnp.arange(num_envs, dtype=jnp.float32) / num_envs * max_steps
    return env_state.replace(time=time.astype(env_state.time.dtype))
