"""Evaluation: a policy over many configurations, agents and levels in one program.

All configurations and all agents play the same episodes: episode i has a key of its own, which
fixes its level and the noise of its actions (common random numbers). Differences between two
configurations, or between two agents, are therefore paired.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kagebench import rewards
from kagebench.env import KageEnv, KageState
from kagebench.params import EnvParams

PyTree = Any
# Acts in one environment: (agent, key, observation, state, params) -> int32 action. The observation
# is rendered only if it is used.
Act = Callable[[PyTree, jax.Array, jax.Array, KageState, EnvParams], jax.Array]
Scripted = Callable[[jax.Array, KageState, EnvParams], jax.Array]

METRICS = (
    "distance",
    "progress",
    "success",
    "success_strict",
    "success_once",
    "return",
    "jump_count",
)


class Chunk(NamedTuple):
    """Agents, configurations and episodes (slices of their axes) that run at the same time."""

    agents: slice
    configs: slice
    episodes: slice


def scripted(
    policy: Scripted,
    agent: PyTree,
    key: jax.Array,
    observation: jax.Array,
    state: KageState,
    params: EnvParams,
) -> jax.Array:
    """An `Act` that reads the state: ``functools.partial(scripted, policy)``."""
    del agent, observation
    return policy(key, state, params)


def evaluate(
    env: KageEnv,
    params: EnvParams,
    act: Act,
    agents: PyTree,
    keys: jax.Array,
    *,
    together: int = 1024,
    progress: Callable[[float], None] | None = None,
) -> dict[str, np.ndarray]:
    """Play whole episodes, without auto-reset, and reduce them to one value per metric.

    The result of an episode depends on its agent, configuration and key alone, not on what else is
    evaluated with it.

    Args:
        env: the environment of all configurations, as `kagebench.make` builds it from a list.
        params: its parameters, leaves with a leading axis of C configurations.
        act: the policy; hashable, and the same object in repeated calls if they are to share a
            compiled program.
        agents: first argument of `act`, leaves with a leading axis of A agents.
        keys: typed PRNG keys [E], one per episode.
        together: about the most environments that run at the same time; bounds memory.
        progress: called with the finished share, in (0, 1].

    Returns:
        float32 [A, C, E] for each of `METRICS`, at the end of the episode: distance (px to the
        right of the start), progress (distance as a share of that to success), success (1 if
        the agent stands at or behind that distance), success_strict (1 if it stands behind it,
        the reference trainer's "success"), success_once (1 if it ever stood at or behind it),
        return, jump_count (steps with the jump action).

    Raises:
        ValueError: a size is not positive.
    """
    sizes = (axis_size(agents), axis_size(params), len(keys))
    if min(*sizes, together) < 1:
        raise ValueError(
            f"agents, configurations, episodes, together: got {(*sizes, together)}, "
            "each must be at least 1"
        )
    num_steps = int(np.max(jax.device_get(params.episode_length)))
    results = {name: np.zeros(sizes, np.float32) for name in METRICS}
    work = list(chunks(sizes, together))
    for done, chunk in enumerate(work, start=1):
        part = play(env, act, num_steps, *_select(chunk, agents, params, keys))
        for name, values in jax.device_get(part).items():
            results[name][chunk] = values
        if progress:
            progress(done / len(work))
    return results


def chunks(sizes: tuple[int, int, int], together: int) -> Iterator[Chunk]:
    """Cut (A, C, E) into equal blocks of at most `together` environments; the last may overlap.

    Equal blocks share one compiled program. On CPU agents go one after the other: a product with
    each agent's own weights is slower in a batch than alone.
    """
    num_agents, num_configs, num_episodes = sizes
    episodes = _share(num_episodes, together)
    configs = _share(num_configs, together // episodes)
    agents = _share(num_agents, together // (episodes * configs))
    agents = 1 if jax.default_backend() == "cpu" else agents
    for i in _starts(num_agents, agents):
        for j in _starts(num_configs, configs):
            for k in _starts(num_episodes, episodes):
                yield Chunk(slice(i, i + agents), slice(j, j + configs), slice(k, k + episodes))


@partial(jax.jit, static_argnames=("env", "act", "num_steps"))
def play(
    env: KageEnv,
    act: Act,
    num_steps: int,
    agents: PyTree,
    params: EnvParams,
    keys: jax.Array,
) -> dict[str, jax.Array]:
    """Metrics float32 [A, C, E] of all agents, configurations and episodes; see `evaluate`."""
    episode = partial(_episode, env, act, num_steps)
    episodes = jax.vmap(episode, (None, None, 0))
    configs = jax.vmap(episodes, (None, 0, None))
    return jax.vmap(configs, (0, None, None))(agents, params, keys)


@partial(jax.jit, static_argnames=("env", "act", "num_steps"))
def record(
    env: KageEnv, act: Act, num_steps: int, agent: PyTree, params: EnvParams, key: jax.Array
) -> KageState:
    """All states of one episode per configuration, leaves [C, num_steps + 1, ...].

    The episode is the one that `evaluate` plays with the same agent and key.
    """

    def config(params: EnvParams) -> KageState:
        reset_key, play_key = jax.random.split(key)
        start = env.reset(reset_key, params)[1]

        def step(state: KageState, time: jax.Array) -> tuple[KageState, KageState]:
            state = _advance(env, act, agent, params, play_key, state, time)
            return state, state

        states = jax.lax.scan(step, start, jnp.arange(num_steps))[1]
        return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, states)

    return jax.vmap(config)(params)


def axis_size(tree: PyTree) -> int:
    """Length of the leading axis of a pytree's leaves."""
    return jax.tree.leaves(tree)[0].shape[0]


def _episode(
    env: KageEnv, act: Act, num_steps: int, agent: PyTree, params: EnvParams, key: jax.Array
) -> dict[str, jax.Array]:
    reset_key, play_key = jax.random.split(key)
    state = env.reset(reset_key, params)[1]

    def step(state: KageState, time: jax.Array) -> tuple[KageState, None]:
        return _advance(env, act, agent, params, play_key, state, time), None

    state = jax.lax.scan(step, state, jnp.arange(num_steps))[0]
    distance = state.body.x - state.initial_x
    metrics = {
        "distance": distance,
        "progress": rewards.progress(distance, params),
        "success": distance >= params.dist_to_success,
        "success_strict": distance > params.dist_to_success,
        "success_once": state.success_once,
        "return": state.episode_return,
        "jump_count": state.jump_count,
    }
    return {name: value.astype(jnp.float32) for name, value in metrics.items()}


def _advance(
    env: KageEnv,
    act: Act,
    agent: PyTree,
    params: EnvParams,
    key: jax.Array,
    state: KageState,
    time: jax.Array,
) -> KageState:
    """One step; a state at its time limit stays as it is."""
    act_key, step_key = jax.random.split(jax.random.fold_in(key, time))
    observation = env.observe(None, state, None, params)
    action = act(agent, act_key, observation, state, params)
    new = env.step_env(step_key, state, action, params)[1]
    over = env.is_truncated(state, params)
    return jax.tree.map(lambda old, new: jnp.where(over, old, new), state, new)


def _select(chunk: Chunk, agents: PyTree, params: EnvParams, keys: jax.Array) -> tuple:
    return (
        jax.tree.map(lambda leaf: leaf[chunk.agents], agents),
        jax.tree.map(lambda leaf: leaf[chunk.configs], params),
        keys[chunk.episodes],
    )


def _share(size: int, limit: int) -> int:
    """The largest block of at most `limit` that needs no more blocks than necessary."""
    blocks = -(-size // max(limit, 1))
    return -(-size // blocks)


def _starts(size: int, block: int) -> list[int]:
    """Where the blocks start; the last one is moved back to end at `size`."""
    return [min(start, size - block) for start in range(0, size, block)]
