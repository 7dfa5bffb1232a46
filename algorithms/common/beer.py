"""Adaptive regularisation of the rank of features (BEER; He et al. 2024, arXiv 2404.12754)."""

import jax
import jax.numpy as jnp


def penalty(
    features: jax.Array,
    next_features: jax.Array,
    weight_square: jax.Array,
    reward: jax.Array,
    discount: jax.Array,
) -> jax.Array:
    """How far the similarity of consecutive features exceeds the bound of the Bellman equation.

    With Q = <phi, w> the equation r = <phi - gamma phi', w> and the inequality of Cauchy and
    Schwarz give

        cos(phi, phi') <= (|phi|^2 + gamma^2 |phi'|^2 - r^2 / |w|^2) / (2 gamma |phi| |phi'|).

    Gradients flow through phi of the cosine alone, so that they turn features without shrinking
    them; scaling phi and phi' up and w down changes nothing.

    Args:
        features, next_features: phi and phi', float32 (B, W), of consecutive pairs of state and
            action; a constant feature stands for a bias.
        weight_square: |w|^2, float32 ().
        reward: r, float32 (B,).
        discount: gamma, float32 (B,); pairs with 0 have no successor and count as zero.

    Returns:
        mean of max(0, excess), float32 ().
    """
    # Features of relu units may all be 0.
    squares = jnp.sum(jnp.square(features), axis=-1) + 1e-12
    next_squares = jnp.sum(jnp.square(next_features), axis=-1) + 1e-12
    norms = jnp.sqrt(squares * jax.lax.stop_gradient(next_squares))
    surplus = squares + discount**2 * next_squares - jnp.square(reward) / weight_square
    bound = jax.lax.stop_gradient(surplus / (2.0 * jnp.maximum(discount, 1e-3) * norms))
    cosine = jnp.sum(features * jax.lax.stop_gradient(next_features), axis=-1) / norms
    return jnp.mean(jnp.where(discount > 0.0, jax.nn.relu(cosine - bound), 0.0))
