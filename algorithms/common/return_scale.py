"""Scale of temporal-difference errors from a stream of rewards, without a learned value.

Schaul, Ostrovski, Kemaev and Borsa 2021, "Return-based scaling", arXiv 2105.05347:

    sigma^2 = Var[r_t] + Var[gamma_t] E[G^2]

gamma_t is 0 where an episode terminated; G is the undiscounted return of an episode.
"""

import jax
import jax.numpy as jnp
from flax import struct

from algorithms.common import normalise
from envs.wrappers.normalize import Moments, no_moments


@struct.dataclass
class Stream:
    """What N streams had so far.

    reward, discount: of every step.
    squared_return: of every episode that ended.
    so_far: float32 (N,), return of the current episodes.
    """

    reward: Moments
    discount: Moments
    squared_return: Moments
    so_far: jax.Array


def init(num_envs: int) -> Stream:
    """N streams that start now."""
    return Stream(no_moments(()), no_moments(()), no_moments(()), jnp.zeros(num_envs))


def update(
    stream: Stream,
    reward: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    gamma: float | jax.Array,
) -> Stream:
    """The streams with one more step: reward float32 (N,), ends of episodes bool (N,)."""
    done = terminated | truncated
    total = stream.so_far + reward
    return Stream(
        reward=normalise.update(stream.reward, reward),
        discount=normalise.update(stream.discount, jnp.where(terminated, 0.0, gamma)),
        squared_return=normalise.update(stream.squared_return, jnp.square(total), done),
        so_far=jnp.where(done, 0.0, total),
    )


def sigma(stream: Stream) -> jax.Array:
    """The scale, float32 (); at least 0.01, and 1 at first while rewards hardly differ."""
    variance = stream.reward.variance + stream.discount.variance * stream.squared_return.mean
    early = (stream.squared_return.count == 0) & (variance <= 0.01)
    return jnp.where(early, 1.0, jnp.sqrt(jnp.maximum(variance, 1e-4)))
