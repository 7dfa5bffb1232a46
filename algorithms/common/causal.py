"""Which components of the action the reward depends on, and the weights of their entropies.

Ji et al. 2024, "ACE: off-policy actor-critic with causality-aware entropy regularization", arXiv
2402.14528. The paper runs DirectLiNGAM (Shimizu et al. 2011) on recent (s, a, r): it orders the
variables by independence of residuals, then regresses each on those before it. Only the row of the
reward is used. In a decision process the reward comes after state and action, so that its place in
the order is known and its row, the direct effects of all others on it, is one least-squares
regression on all of them, whatever the order among them is. That is what is done here. It differs
from the released code in three ways: the order is not estimated, small effects are not pruned, and
the magnitude of an effect counts instead of its sign, in units of the deviation of the reward.
"""

import jax
import jax.numpy as jnp

from envs.exact.linear import solve

# Added to variances of 1, so that constant or collinear components do no harm.
RIDGE = 1e-3


def effects(cause: jax.Array, effect: jax.Array, valid: jax.Array) -> jax.Array:
    """Direct linear effects of all components on a number that they precede.

    Args:
        cause: float32 (B, p).
        effect: float32 (B,).
        valid: bool (B,), rows that count.

    Returns:
        float32 (p,), change of ``effect``, in deviations, per unit of a component with all others
        held; near 0 for one that does not vary.
    """
    weight = valid / jnp.maximum(jnp.sum(valid), 1)
    centred = cause - weight @ cause
    deviation = jnp.sqrt(weight @ jnp.square(centred))
    x = centred / jnp.maximum(deviation, 1e-3)
    y = effect - weight @ effect
    y = y / jnp.maximum(jnp.sqrt(weight @ jnp.square(y)), 1e-6)
    gram = (x * weight[:, None]).T @ x + RIDGE * jnp.eye(x.shape[1])
    return solve(gram, x.T @ (weight * y)) / jnp.maximum(deviation, 1e-3)


def weights(effect: jax.Array, sharpness: float | jax.Array) -> jax.Array:
    """Weights (d,) of the components' entropies, with mean 1, from their effects (d,)."""
    return effect.shape[0] * jax.nn.softmax(sharpness * jnp.abs(effect))
