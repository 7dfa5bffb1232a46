"""Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438)."""

import jax
import jax.numpy as jnp


def gae(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    truncated: jax.Array,
    gamma: float | jax.Array,
    gae_lambda: float | jax.Array,
) -> jax.Array:
    """Advantages of T consecutive steps of N environments, eq. (16) of the paper.

    delta_t = r_t + gamma * (1 - terminated_t) * V(s'_t) - V(s_t)
    A_t = delta_t + gamma * lambda * (1 - terminated_t) * (1 - truncated_t) * A_{t+1}

    A termination has no future, so its value is zero. A truncation only stops the sum: the
    episode would have gone on, and its future is worth V of the observation before the reset
    (Pardo et al. 2018, arXiv 1712.00378).

    Args:
        reward: float32 (T, N).
        value: float32 (T, N), V(s_t).
        next_value: float32 (T, N), V(s'_t) with s'_t the state after step t *before* any reset.
            Ignored where ``terminated``.
        terminated: bool (T, N).
        truncated: bool (T, N).
        gamma: discount, in [0, 1].
        gae_lambda: trace decay, in [0, 1].

    Returns:
        advantage: float32 (T, N). Value targets are ``advantage + value``.
    """
    delta = reward + gamma * jnp.where(terminated, 0.0, next_value) - value
    decay = jnp.where(terminated | truncated, 0.0, gamma * gae_lambda)

    def step(following, inputs):
        delta, decay = inputs
        advantage = delta + decay * following
        return advantage, advantage

    _, advantage = jax.lax.scan(step, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)
    return advantage
