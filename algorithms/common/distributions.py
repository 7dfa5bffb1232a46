"""The categorical distribution over discrete actions, given by unnormalised log-probabilities."""

import jax
import jax.numpy as jnp


def sample(key: jax.Array, logits: jax.Array) -> jax.Array:
    """Draw actions int32 (...) from logits (..., A) by the Gumbel-max rule."""
    return jax.random.categorical(key, logits)


def log_prob(logits: jax.Array, action: jax.Array) -> jax.Array:
    """Log-probability (...) of actions int (...) under logits (..., A)."""
    log_probs = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]


def entropy(logits: jax.Array) -> jax.Array:
    """Entropy (...) in nats of logits (..., A); between 0 and log A."""
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)
