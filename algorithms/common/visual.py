"""Actor and critics that see images through shared convolutions.

As in DrQ (Kostrikov et al. 2021, arXiv 2004.13649) and DrQ-v2 (Yarats et al. 2021, arXiv
2107.09645): behind the convolutions, actor and critics each have a projection, a dense layer whose
outputs are normalised and bounded, tanh(layer_norm(W x + b)), and dense layers on top of it. The
critics share their projection; they differ in the layers behind it.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from algorithms.common import augment, networks
from algorithms.common.conv import as_float, conv

PyTree = Any
Layer = dict[str, jax.Array]


class Config(Protocol):
    """What is read of an algorithm's hyper-parameters.

    network: trunk whose convolutions are shared.
    head: dense layers of actor and critics, one of the trunks for vectors.
    feature_size: outputs of a projection.
    num_critics: critics.
    """

    @property
    def network(self) -> networks.Name: ...
    @property
    def head(self) -> networks.Name: ...
    @property
    def feature_size(self) -> int: ...
    @property
    def num_critics(self) -> int: ...


# --- Convolutions and projections -----------------------------------------------------------------


def check(shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless observations of this shape are images (H, W, C)."""
    if len(shape) != 3:
        raise ValueError(f"env: images (H, W, C) are shifted, observations are {shape}")


def init_encoder(key: jax.Array, network: networks.Name, shape: tuple[int, ...]) -> networks.Params:
    """Convolutions of a trunk for images (H, W, C).

    Raises:
        ValueError: the trunk is unknown or does not fit such images.
    """
    layers = networks.init_trunk(key, network, shape)
    return {name: layer for name, layer in layers.items() if name.startswith("conv")}


def encode(params: networks.Params, images: jax.Array, network: networks.Name) -> jax.Array:
    """Flat features float32 (B, F) of images (B, H, W, C); bytes are divided by 255."""
    x = images
    for i, (_, _, stride) in enumerate(networks.CONVOLUTIONS[network]):
        layer = params[f"conv_{i}"]
        x = jax.nn.relu(conv(x, layer["kernel"], stride) + layer["bias"])
    return as_float(x.reshape(x.shape[0], -1))


def encoded_size(network: networks.Name, shape: tuple[int, ...]) -> int:
    """F, the number of features of an image (H, W, C)."""
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)

    def features(image):
        return encode(init_encoder(jax.random.key(0), network, shape), image, network)

    return jax.eval_shape(features, image).shape[1]


def init_projection(key: jax.Array, inputs: int, outputs: int) -> Layer:
    """A dense layer, with scale and offset of its normalised outputs."""
    layer = networks.init_dense(key, inputs, outputs)
    return layer | {"scale": jnp.ones(outputs), "offset": jnp.zeros(outputs)}


def project(layer: Layer, features: jax.Array) -> jax.Array:
    """Features (B, F) through a projection, float32 (B, outputs) in [-1, 1]."""
    x = networks.dense(layer, features)
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-5)
    return jnp.tanh(x * layer["scale"] + layer["offset"])


def views(key: jax.Array, images: jax.Array, count: int, pad: int) -> jax.Array:
    """Shifted copies of images (B, H, W, C), (count * B, H, W, C): all of view 0 first."""
    return augment.random_shift(key, jnp.tile(images, (count, 1, 1, 1)), pad)


# --- Actor and critics ----------------------------------------------------------------------------


def init_layers(
    key: jax.Array, inputs: int, outputs: int, gain: float, name: networks.Name
) -> networks.Params:
    """Dense layers on vectors, and a head with such a gain."""
    trunk_key, head_key = jax.random.split(key)
    params = networks.init_trunk(trunk_key, name, (inputs,))
    return params | {"head": networks.init_dense(head_key, networks.width(name), outputs, gain)}


def init_actor(key: jax.Array, config: Config, shape: tuple[int, ...], outputs: int) -> PyTree:
    """{"project": projection, "layers": dense layers with so many outputs}."""
    project_key, key = jax.random.split(key)
    inputs, size = encoded_size(config.network, shape), config.feature_size
    return {
        "project": init_projection(project_key, inputs, size),
        "layers": init_layers(key, size, outputs, 0.01, config.head),
    }


def init_critic(key: jax.Array, config: Config, shape: tuple[int, ...], actions: int) -> PyTree:
    """{"project": projection, "layers": those of the critics, leading axis num_critics}.

    ``actions`` is the number of inputs that describe an action.
    """
    project_key, key = jax.random.split(key)
    inputs, size = encoded_size(config.network, shape), config.feature_size
    make = jax.vmap(init_layers, (0, None, None, None, None))
    keys = jax.random.split(key, config.num_critics)
    return {
        "project": init_projection(project_key, inputs, size),
        "layers": make(keys, size + actions, 1, 1.0, config.head),
    }


def apply_layers(layers: networks.Params, inputs: jax.Array, name: networks.Name) -> jax.Array:
    """Dense layers and their head, float32 (B, outputs), of inputs (B, D)."""
    return networks.dense(layers["head"], networks.trunk(layers, inputs, name))


def outputs(actor: PyTree, features: jax.Array, config: Config) -> jax.Array:
    """Outputs of the actor, float32 (B, outputs), from features (B, F)."""
    return apply_layers(actor["layers"], project(actor["project"], features), config.head)


def values(critic: PyTree, features: jax.Array, action: jax.Array, config: Config) -> jax.Array:
    """Values of all critics, float32 (num_critics, B), from features (B, F) and inputs (B, A)."""
    inputs = jnp.concatenate([project(critic["project"], features), action], axis=-1)
    return jax.vmap(apply_layers, (0, None, None))(critic["layers"], inputs, config.head)[..., 0]
