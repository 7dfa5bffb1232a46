"""Replayed transitions with the K actions that follow and where these lead, inside one episode."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from algorithms.common import replay

PyTree = Any


@struct.dataclass
class Window:
    """K steps from where B transitions start.

    action: float32 (B, K, d).
    reward: float32 (B,), their discounted sum.
    next_seen: what is seen after K steps, before any reset.
    valid: bool (B,), no episode ended before the last of the K steps; the rest is meaningless
        where one did.
    """

    action: jax.Array
    reward: jax.Array
    next_seen: PyTree
    valid: jax.Array


def sample(
    key: jax.Array,
    ring: replay.Ring,
    batch_size: int,
    window: int,
    n_step: int,
    gamma: float | jax.Array,
) -> tuple[replay.Sample, Window]:
    """Draw transitions uniformly, with replacement, with the K steps that begin there.

    With K at most n, the transitions are those of :func:`algorithms.common.replay.sample`.

    Args:
        key: PRNG key.
        ring: holds at least max(K, n) steps; what is drawn from a shorter one is meaningless.
        batch_size: B.
        window: K.
        n_step: n, steps of the transition.
        gamma: discount per step.
    """
    rows, column = replay.places(key, ring, batch_size, max(window, n_step))
    transition = replay.take(ring, rows[:, :n_step], column, gamma)
    return transition, take(ring, rows[:, :window], column, gamma)


def take(ring: replay.Ring, rows: jax.Array, column: jax.Array, gamma: float | jax.Array) -> Window:
    """Windows in given places.

    Args:
        ring: the ring.
        rows: int32 (B, K), places of consecutive steps.
        column: int32 (B,), environments.
        gamma: discount per step.
    """
    places = (rows, column[:, None])
    done = ring.steps.terminated[places] | ring.steps.truncated[places]
    whole = replay.take(ring, rows, column, gamma)
    return Window(
        action=ring.steps.action[places],
        reward=whole.reward,
        next_seen=whole.next_seen,
        valid=~jnp.any(done[:, :-1], axis=1),
    )
