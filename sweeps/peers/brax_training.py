"""PPO and SAC of brax.training, on its own copy of an environment of Brax."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from envs.mjx.backend import quiet_import
from sweeps.peers.sizes import Sizes

EPOCHS = 5  # between its log entries


def replicated(tree: Any, devices: list[Any]) -> Any:
    """A copy per device, as `jax.device_put_replicated` made them before JAX removed it."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * len(devices)), tree)


def steps_per_second(name: str, sizes: Sizes) -> float:
    """Environment steps per second of its fastest epoch, by its own clock.

    The first epochs compile; evaluations are not part of an epoch. Brax 0.14.2 calls a function
    that JAX 0.10 no longer has, which is put back for the call.

    Args:
        name: ppo or sac.
        sizes: of the run, with an environment of the family brax.
    """
    found: list[float] = []

    def log(_: int, metrics: dict[str, Any]) -> None:
        if "training/sps" in metrics:
            found.append(float(metrics["training/sps"]))

    env_name = sizes.env.removeprefix("brax/").replace("-", "_")
    common = {
        "environment": quiet_import("brax.envs").get_environment(env_name),
        "num_timesteps": sizes.total_timesteps,
        "episode_length": 1000,
        "num_envs": sizes.num_envs,
        "discounting": 0.99,
        "num_evals": EPOCHS + 1,
        "num_eval_envs": 1,
        "max_devices_per_host": 1,
        "progress_fn": log,
    }
    missing = not hasattr(jax, "device_put_replicated")
    if missing:
        jax.device_put_replicated = replicated  # pyright: ignore
    try:
        {"ppo": train_ppo, "sac": train_sac}[name](sizes, common)
    finally:
        if missing:
            del jax.device_put_replicated  # pyright: ignore
    return max(found)


def train_ppo(sizes: Sizes, common: dict[str, Any]) -> None:
    """Minibatches of whole pieces of `num_steps` steps, as many samples as in the other ones."""
    networks = quiet_import("brax.training.agents.ppo.networks")
    layers = (sizes.width, sizes.width)
    quiet_import("brax.training.agents.ppo.train").train(
        **common,
        learning_rate=2.5e-4,
        unroll_length=sizes.num_steps,
        batch_size=sizes.num_envs // sizes.num_minibatches,
        num_minibatches=sizes.num_minibatches,
        num_updates_per_batch=sizes.update_epochs,
        clipping_epsilon=0.2,
        max_grad_norm=0.5,
        run_evals=False,
        network_factory=functools.partial(
            networks.make_ppo_networks,
            policy_hidden_layer_sizes=layers,
            value_hidden_layer_sizes=layers,
            activation=nn.relu,
        ),
    )


def train_sac(sizes: Sizes, common: dict[str, Any]) -> None:
    """A gradient step per step of all environments."""
    networks = quiet_import("brax.training.agents.sac.networks")
    layers = (sizes.width, sizes.width)
    quiet_import("brax.training.agents.sac.train").train(
        **common,
        learning_rate=1e-3,
        batch_size=sizes.batch_size,
        min_replay_size=1000,
        max_replay_size=sizes.buffer_size,
        grad_updates_per_step=1,
        network_factory=functools.partial(networks.make_sac_networks, hidden_layer_sizes=layers),
    )
