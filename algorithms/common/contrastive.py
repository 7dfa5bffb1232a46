"""InfoNCE: which of B candidates belongs to an anchor?

van den Oord, Li, Vinyals 2018, "Representation Learning with Contrastive Predictive Coding", arXiv
1807.03748:

    L = -1/B sum_i log( exp f(x_i, y_i) / sum_j exp f(x_i, y_j) )

log B - L is at most the mutual information of x and y, and at most log B. It is the largest for
f(x, y) = log p(y|x) / p(y) plus any function of x, and reaches the mutual information as B grows.
"""

import jax
import jax.numpy as jnp

# Of candidates that do not count: exp of it is 0 in float32.
NEVER = -1e9


def bilinear(anchors: jax.Array, weight: jax.Array, candidates: jax.Array) -> jax.Array:
    """Scores x_i^T W y_j, float32 (B, B), of anchors (B, E) and candidates (B, E).

    Laskin, Srinivas, Abbeel 2020 (CURL), arXiv 2004.04136.
    """
    return anchors @ weight @ candidates.T


def info_nce(scores: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """L, float32 ().

    Args:
        scores: f(x_i, y_j), float32 (B, B); pairs that belong together are on the diagonal.
        valid: bool (B,), pairs that count, as anchors and as candidates; None for all of them.
            Without any the loss is 0.
    """
    if valid is None:
        valid = jnp.ones(len(scores), bool)
    among = jnp.where(valid[None, :], scores, NEVER)
    each = jax.nn.logsumexp(among, axis=1) - jnp.diagonal(scores)
    return jnp.sum(jnp.where(valid, each, 0.0)) / jnp.maximum(jnp.sum(valid), 1)
