"""Representations of actions, u = psi(a), and what K of them and a state say about the future.

Zheng et al. 2023 (TACO), arXiv 2306.13229. An action has int(1.25 d) + 1 latent numbers, from a
layer of 64 with tanh and a linear one. A sequence is the latents of its actions side by side,
through a dense layer, normalised and bounded; beside the representation of a state it predicts that
of the state after K steps, and the reward on the way.
"""

from typing import Any

import jax
import jax.numpy as jnp

from algorithms.common import networks, visual

PyTree = Any
WIDTH = 64


def size(actions: int) -> int:
    """L, numbers of the latent of an action with d components."""
    return int(1.25 * actions) + 1


def init(
    key: jax.Array, actions: int, window: int, features: int, states: int, name: networks.Name
) -> PyTree:
    """Parameters.

    Args:
        key: PRNG key.
        actions: d.
        window: K.
        features: numbers F that the convolutions make of an image.
        states: numbers E of the representation of a state.
        name: dense layers of the predictions.

    Returns:
        {"hidden", "latent": layers of psi; "sequence", "state": projections; "future", "reward":
        dense layers; "weight": float32 (E, E) of bilinear scores, at first the identity}.
    """
    keys = jax.random.split(key, 6)
    whole = window * size(actions)
    return {
        "hidden": networks.init_dense(keys[0], actions, WIDTH),
        "latent": networks.init_dense(keys[1], WIDTH, size(actions)),
        "sequence": visual.init_projection(keys[2], whole, whole),
        "state": visual.init_projection(keys[3], features, states),
        "future": visual.init_layers(keys[4], states + whole, states, 1.0, name),
        "reward": visual.init_layers(keys[5], states + whole, 1, 1.0, name),
        "weight": jnp.eye(states),
    }


def encode(params: PyTree, action: jax.Array) -> jax.Array:
    """psi(a), float32 (..., L), of actions (..., d)."""
    hidden = jnp.tanh(networks.dense(params["hidden"], action))
    return networks.dense(params["latent"], hidden)


def represent(params: PyTree, features: jax.Array) -> jax.Array:
    """Representations of states, float32 (B, E), from features of images (B, F)."""
    return visual.project(params["state"], features)


def predict(
    params: PyTree, state: jax.Array, action: jax.Array, name: networks.Name
) -> tuple[jax.Array, jax.Array]:
    """What follows a state (B, E) and K actions (B, K, d).

    Returns:
        its representation float32 (B, E), to be compared by bilinear scores, and the reward (B,).
    """
    latents = encode(params, action).reshape(len(action), -1)
    both = jnp.concatenate([state, visual.project(params["sequence"], latents)], axis=-1)
    reward = visual.apply_layers(params["reward"], both, name)[:, 0]
    return visual.apply_layers(params["future"], both, name), reward
