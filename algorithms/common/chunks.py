"""Sequences of K actions: replaying them, and acting with the plans of the last K steps."""

from dataclasses import replace
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from algorithms.common import replay

Execution = Literal["ensemble", "open-loop", "first"]

# --- Replay ---------------------------------------------------------------------------------------


def sample(
    key: jax.Array,
    ring: replay.Ring,
    batch_size: int,
    chunk: int,
    n_step: int,
    gamma: float | jax.Array,
) -> replay.Sample:
    """Draw transitions uniformly, with replacement, with the K actions that begin there.

    Args:
        key: PRNG key.
        ring: holds at least max(K, n) steps; what is drawn from a shorter one is meaningless.
        batch_size: B.
        chunk: K.
        n_step: n, steps of the transition.
        gamma: discount per step.

    Returns:
        as :func:`take`.
    """
    rows, column = replay.places(key, ring, batch_size, max(chunk, n_step))
    return take(ring, rows, column, chunk, n_step, gamma)


def take(
    ring: replay.Ring,
    rows: jax.Array,
    column: jax.Array,
    chunk: int,
    n_step: int,
    gamma: float | jax.Array,
) -> replay.Sample:
    """Transitions of up to n steps with K actions, in given places.

    Where the episode ends before K actions, its last one is repeated, as Seo and Abbeel (2024,
    arXiv 2411.12155) do.

    Args:
        ring: the ring.
        rows: int32 (B, max(K, n)), places of consecutive steps.
        column: int32 (B,), environments.
        chunk, n_step, gamma: as in :func:`sample`.

    Returns:
        transitions with actions float32 (B, K, d).
    """
    transition = replay.take(ring, rows[:, :n_step], column, gamma)
    rows = rows[:, :chunk]
    places = (rows, column[:, None])
    done = ring.steps.terminated[places] | ring.steps.truncated[places]
    ended = jnp.cumsum(done, axis=1) - done
    last = jnp.sum(ended == 0, axis=1) - 1
    index = jnp.minimum(jnp.arange(chunk), last[:, None])
    rows = jnp.take_along_axis(rows, index, axis=1)
    return replace(transition, action=ring.steps.action[rows, column[:, None]])


# --- Acting ---------------------------------------------------------------------------------------


@struct.dataclass
class Plans:
    """What was planned in the last K steps of N environments.

    actions: float32 (N, K, K, d): first the age of the plan, 0 for that of this step, then the
        steps that it is for, from the one in which it was made.
    age: int32 (N,), steps since the episode began.
    """

    actions: jax.Array
    age: jax.Array


def init(num_envs: int, chunk: int, size: int) -> Plans:
    """No plans, at the beginning of N episodes."""
    return Plans(jnp.zeros((num_envs, chunk, chunk, size)), jnp.zeros(num_envs, jnp.int32))


def add(plans: Plans, plan: jax.Array) -> Plans:
    """Plans with the one of this step, float32 (N, K, d), and without the oldest."""
    actions = jnp.concatenate([plan[:, None], plans.actions[:, :-1]], axis=1)
    return replace(plans, actions=actions)


def follow(plans: Plans, execution: Execution, gain: float | jax.Array) -> jax.Array:
    """The actions of this step, float32 (N, d).

    Args:
        plans: with the one of this step.
        execution: "ensemble" averages what all plans of the episode say about this step, with
            weights exp(-gain i), i = 0 for the oldest (Zhao et al. 2023, arXiv 2304.13705);
            "open-loop" keeps to a plan for K steps; "first" takes the first action of a new one.
        gain: of the ensemble.
    """
    chunk = plans.actions.shape[1]
    ages = jnp.arange(chunk)
    if execution == "ensemble":
        exists = ages <= plans.age[:, None]
        rank = jnp.minimum(plans.age[:, None], chunk - 1) - ages
        weight = jnp.where(exists, jnp.exp(-gain * rank), 0.0)
        weight = weight / jnp.sum(weight, axis=1, keepdims=True)
    elif execution == "open-loop":
        weight = jax.nn.one_hot(plans.age % chunk, chunk)
    else:
        weight = jax.nn.one_hot(jnp.zeros_like(plans.age), chunk)
    now = jnp.einsum("nkkd->nkd", plans.actions)
    return jnp.einsum("nk,nkd->nd", weight, now)


def advance(plans: Plans, done: jax.Array) -> Plans:
    """After a step; ``done`` bool (N,) says where episodes ended, whose plans are void."""
    return replace(plans, age=jnp.where(done, 0, plans.age + 1))
