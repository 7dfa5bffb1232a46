"""Replay: the last steps of N environments in a ring, sampled uniformly as n-step transitions."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

PyTree = Any


@struct.dataclass
class Step:
    """One step of N environments; leaves (N, ...), in a ring (capacity, N, ...).

    seen: scenes or observations before the step.
    action: int32 (N,) or float32 (N, d).
    reward: float32 (N,) or, of several channels, (N, K).
    terminated, truncated: bool (N,).
    next_seen: scenes or observations after the step, before any reset.
    next_mask: bool (N, A), actions that are valid after the step, all of them where an episode
        ended; None if the algorithm uses no masks.
    """

    seen: PyTree
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    next_seen: PyTree
    next_mask: Any = None


@struct.dataclass
class Ring:
    """Steps of N environments, the oldest overwritten first.

    steps: :class:`Step` with leaves (capacity, N, ...).
    count: int32, steps written so far, also those overwritten.
    """

    steps: Step
    count: jax.Array


@struct.dataclass
class Sample:
    """B transitions of up to n steps.

    seen, action: where they start.
    reward: float32 (B,) or (B, K), discounted sum of the rewards of the transition.
    discount: float32 (B,), factor on the value of ``next_seen``: gamma to the power of the number
        of steps, 0 after a termination.
    next_seen: where they end, before any reset.
    terminated: bool (B,), they end in an absorbing state.
    next_mask: bool (B, A), actions that are valid where they end, or None.
    """

    seen: PyTree
    action: jax.Array
    reward: jax.Array
    discount: jax.Array
    next_seen: PyTree
    terminated: jax.Array
    next_mask: Any = None


def init(example: Step, capacity: int) -> Ring:
    """An empty ring for ``capacity`` steps that look like ``example``, whose leaves are (N, ...).

    Only shapes and dtypes of the example matter: :func:`jax.eval_shape` can make it.
    """
    steps = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), example)
    return Ring(steps, jnp.int32(0))


def add(ring: Ring, step: Step) -> Ring:
    """Write one step of N environments over the oldest one."""
    capacity = ring.steps.terminated.shape[0]
    row = ring.count % capacity
    steps = jax.tree.map(lambda old, new: old.at[row].set(new), ring.steps, step)
    return Ring(steps, ring.count + 1)


def size(ring: Ring) -> jax.Array:
    """Steps of every environment that the ring holds, int32."""
    return jnp.minimum(ring.count, ring.steps.terminated.shape[0])


def sample(
    key: jax.Array, ring: Ring, batch_size: int, n_step: int, gamma: float | jax.Array
) -> Sample:
    """Draw transitions uniformly, with replacement, from all that have n steps in the ring.

    A transition ends after n steps or with its episode. A truncated one still counts the value of
    where it was cut (Pardo et al. 2018, arXiv 1712.00378).

    Args:
        key: PRNG key.
        ring: holds at least ``n_step`` steps; what is drawn from a shorter one is meaningless.
        batch_size: B.
        n_step: n.
        gamma: discount per step.
    """
    return take(ring, *places(key, ring, batch_size, n_step), gamma)


def places(key: jax.Array, ring: Ring, batch_size: int, length: int) -> tuple[jax.Array, jax.Array]:
    """Where B runs of consecutive steps lie, uniformly drawn, with replacement.

    Args:
        key: PRNG key.
        ring: holds at least ``length`` steps; places in a shorter one are meaningless.
        batch_size: B.
        length: L, steps of a run.

    Returns:
        rows int32 (B, L) and columns int32 (B,) of the ring.
    """
    capacity, num_envs = ring.steps.terminated.shape
    starts = jnp.maximum(size(ring) - length + 1, 1)
    # Remainders of 32 bits, uneven by one part in 2^32 / starts: `randint` would hash seven times.
    words = jax.random.bits(key, (2, batch_size), jnp.uint32)
    start = (words[0] % starts.astype(jnp.uint32)).astype(jnp.int32)
    column = (words[1] % num_envs).astype(jnp.int32)
    oldest = jnp.maximum(ring.count - capacity, 0)
    return (oldest + start[:, None] + jnp.arange(length)) % capacity, column


def take(ring: Ring, rows: jax.Array, column: jax.Array, gamma: float | jax.Array) -> Sample:
    """Transitions in given places.

    Args:
        ring: the ring.
        rows: int32 (B, n), places of consecutive steps.
        column: int32 (B,), environments.
        gamma: discount per step.
    """
    steps, n_step = ring.steps, rows.shape[1]
    places = (rows, column[:, None])
    terminated, truncated = steps.terminated[places], steps.truncated[places]
    done = terminated | truncated
    # A step belongs to the transition if no episode ended before it.
    before = jnp.cumsum(done, axis=1) - done
    alive = before == 0
    last = jnp.sum(alive, axis=1) - 1
    powers = jnp.asarray(gamma, jnp.float32) ** jnp.arange(n_step)
    weight = jnp.where(alive, powers, 0.0)
    reward = jnp.einsum("bn,bn...->b...", weight, steps.reward[places])
    end = jnp.take_along_axis(rows, last[:, None], axis=1)[:, 0]
    absorbed = jnp.any(terminated & alive, axis=1)
    discount = jnp.asarray(gamma, jnp.float32) ** (last + 1)
    return Sample(
        seen=jax.tree.map(lambda x: x[rows[:, 0], column], steps.seen),
        action=steps.action[rows[:, 0], column],
        reward=reward,
        discount=jnp.where(absorbed, 0.0, discount),
        next_seen=jax.tree.map(lambda x: x[end, column], steps.next_seen),
        terminated=absorbed,
        next_mask=jax.tree.map(lambda x: x[end, column], steps.next_mask),
    )
