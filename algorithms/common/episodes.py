"""Statistics of finished episodes, kept while acting and reduced to scalars."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from algorithms.common.task import Transition

# Scalars that KAGE-Bench reports at the end of an episode; used where ``info`` has them.
INFO_KEYS = ("passed_distance", "progress", "success", "success_once", "jump_count")


@struct.dataclass
class Tracker:
    """Running totals of the current episodes of N environments.

    episode_return: float32 (N,), undiscounted and unscaled.
    episode_length: int32 (N,).
    whole: bool (N,), False during a first episode that did not start at time 0.
    """

    episode_return: jax.Array
    episode_length: jax.Array
    whole: jax.Array


def init(num_envs: int, whole: bool) -> Tracker:
    """Tracker of N episodes that start now; ``whole=False`` leaves these first ones out."""
    return Tracker(
        jnp.zeros(num_envs), jnp.zeros(num_envs, jnp.int32), jnp.full(num_envs, whole, bool)
    )


def track(tracker: Tracker, transition: Transition) -> tuple[Tracker, dict[str, jax.Array]]:
    """Follow one step of N environments.

    Returns:
        the tracker, and sums over the whole episodes that ended in this step: float32 scalars
        ``return``, ``length``, the keys of ``INFO_KEYS`` that the environment reports, and
        ``episodes``, their number. Sums of several steps may be added up.
    """
    done = transition.terminated | transition.truncated
    episode_return = tracker.episode_return + transition.reward
    episode_length = tracker.episode_length + 1
    values: dict[str, Any] = {"return": episode_return, "length": episode_length}
    values |= {name: transition.info[name] for name in INFO_KEYS if name in transition.info}
    counted = done & tracker.whole
    sums = {
        name: jnp.sum(jnp.where(counted, value.astype(jnp.float32), 0.0))
        for name, value in values.items()
    }
    sums["episodes"] = jnp.sum(counted, dtype=jnp.float32)
    tracker = Tracker(
        jnp.where(done, 0.0, episode_return),
        jnp.where(done, 0, episode_length),
        tracker.whole | done,
    )
    return tracker, sums


def means(sums: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Averages per episode, NaN where no episode ended; ``episodes`` stays their number."""
    count = sums["episodes"]
    averages = {name: value / count for name, value in sums.items() if name != "episodes"}
    return averages | {"episodes": count}
