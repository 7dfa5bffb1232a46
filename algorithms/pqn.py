"""Parallelised Q-network: Q-learning without replay and without a target network.

Paper: Gallici et al. 2024, "Simplifying deep temporal difference learning", arXiv 2407.04811.
Claim: with layer normalisation, temporal differences of a network are stable enough to learn from
what many parallel environments have just seen, faster in wall time than methods with replay.

    G_t = r_t + gamma ((1 - lambda) max_a Q(s_t+1, a) + lambda G_t+1)      L = E[ (Q(s, a) - G)^2 ]
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import episodes, networks
from algorithms.common.bootstrap import flatten, replace_values
from algorithms.common.conv import Method
from algorithms.common.exploration import epsilon, explore
from algorithms.common.shuffle import permutation
from algorithms.common.task import Task
from algorithms.common.traces import lambda_returns

PyTree = Any
Metrics = dict[str, jax.Array]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: step size of rectified Adam (Liu et al. 2020, arXiv 1908.03265).
        anneal_lr: share of the learning rate that is taken away linearly over the run, in [0, 1].
        gamma: discount.
        trace: lambda of the returns, in [0, 1]; 0 is one-step Q-learning.
        epsilon_start, epsilon_end: shares of random actions, at the start and after the decay.
        epsilon_fraction: share of the run over which epsilon decays linearly, in (0, 1].
        max_grad_norm: global norm to which gradients are clipped.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        network: trunk, see :mod:`algorithms.common.networks`.
        layer_norm: normalise features in the trunk.
        conv: formulation of the convolutions, see :mod:`algorithms.common.conv`.
        num_envs: parallel environments N.
        num_steps: steps per environment and rollout T.
        num_minibatches: gradient steps per epoch; must divide N * T.
        update_epochs: passes over a rollout.
        total_timesteps: environment steps of the run, rounded down to whole rollouts.
        stagger_episodes: start environments at evenly spread times of their first episode.
        store: what a rollout keeps: scenes, rendered again in each epoch, or rendered frames.
    """

    learning_rate: float = 1e-3
    anneal_lr: float = 1.0
    gamma: float = 0.99
    trace: float = 0.65
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_fraction: float = 0.2
    max_grad_norm: float = 10.0
    reward_scale: float = 1.0
    network: networks.Name = struct.field(pytree_node=False, default="mlp-128")
    layer_norm: bool = struct.field(pytree_node=False, default=True)
    conv: Method = struct.field(pytree_node=False, default="patches")
    num_envs: int = struct.field(pytree_node=False, default=16)
    num_steps: int = struct.field(pytree_node=False, default=64)
    num_minibatches: int = struct.field(pytree_node=False, default=8)
    update_epochs: int = struct.field(pytree_node=False, default=4)
    total_timesteps: int = struct.field(pytree_node=False, default=500_000)
    stagger_episodes: bool = struct.field(pytree_node=False, default=False)
    store: Literal["scenes", "frames"] = struct.field(pytree_node=False, default="scenes")

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one call of ``update``."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        """Calls of ``update`` in a whole run."""
        return self.total_timesteps // self.steps_per_update


_QUICK = Config(
    gamma=0.995,
    reward_scale=0.02,
    epsilon_fraction=0.4,
    network="small",
    num_envs=128,
    num_steps=32,
    num_minibatches=16,
    update_epochs=2,
    total_timesteps=1_800_000,
    stagger_episodes=True,
    store="frames",
)

PRESETS = {
    "default": Config(),
    "minatar": Config(
        learning_rate=5e-4,
        epsilon_end=0.02,
        epsilon_fraction=0.1,
        network="minatar",
        num_envs=128,
        num_steps=32,
        num_minibatches=32,
        update_epochs=2,
        total_timesteps=5_000_000,
    ),
    "quick": _QUICK,
    "state": replace(_QUICK, network="mlp-128", total_timesteps=5_000_000, store="scenes"),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {"quick": {"obs_size": 32}, "state": {"obs": "state"}}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class State:
    """Everything that must be saved to go on; N is the number of environments.

    params: network parameters.
    optimiser: optax state.
    env_state: environment states, leading axis N.
    scene: what the next observations are rendered from, leading axis N.
    tracker: running statistics of the current episodes.
    key: PRNG key.
    iteration: int32, number of updates done.
    """

    params: networks.Params
    optimiser: PyTree
    env_state: PyTree
    scene: PyTree
    tracker: episodes.Tracker
    key: jax.Array
    iteration: jax.Array


@struct.dataclass
class Rollout:
    """T steps of N environments: leaves (T, N, ...).

    seen: scenes or observations, as ``Config.store`` says.
    action: int32. reward: float32, scaled.
    value: float32, max_a Q(s, a) of the network that acted.
    terminated, truncated: bool.
    final_scene: scenes before resets.
    """

    seen: PyTree
    action: jax.Array
    reward: jax.Array
    value: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_scene: PyTree


@struct.dataclass
class Batch:
    """Samples of a rollout for learning, leaves (B, ...)."""

    seen: PyTree
    action: jax.Array
    target: jax.Array


# --- Init -----------------------------------------------------------------------------------------


def init(key: jax.Array, config: Config, task: Task) -> State:
    """State before the first update.

    Raises:
        ValueError: sizes do not fit each other, or the network does not fit the observation.
    """
    check(config)
    params_key, reset_key, state_key = jax.random.split(key, 3)
    params = init_network(params_key, config, task)
    scene, env_state = task.reset(reset_key, config.num_envs, config.stagger_episodes)
    return State(
        params=params,
        optimiser=optimiser(config, config.learning_rate).init(params),
        env_state=env_state,
        scene=scene,
        tracker=episodes.init(config.num_envs, whole=not config.stagger_episodes),
        key=state_key,
        iteration=jnp.int32(0),
    )


def check(config: Config) -> None:
    """Raise a ValueError unless the sizes in the config fit each other."""
    if config.steps_per_update % config.num_minibatches:
        raise ValueError(
            f"num_minibatches: {config.num_minibatches} does not divide "
            f"num_envs * num_steps = {config.steps_per_update}"
        )
    if config.num_updates < 1:
        raise ValueError(
            f"total_timesteps: {config.total_timesteps} is less than one rollout, "
            f"num_envs * num_steps = {config.steps_per_update}"
        )


def init_network(key: jax.Array, config: Config, task: Task) -> networks.Params:
    """A trunk and a head of A values."""
    trunk_key, head_key = jax.random.split(key)
    shape = task.observation_shape
    params = networks.init_trunk(trunk_key, config.network, shape, config.layer_norm)
    width = networks.width(config.network)
    return params | {"head": networks.init_dense(head_key, width, task.num_actions)}


def optimiser(config: Config, learning_rate: float | jax.Array) -> optax.GradientTransformation:
    """Rectified Adam after clipping by global norm; rebuilt in each update."""
    return optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.radam(learning_rate))


# --- Values ---------------------------------------------------------------------------------------


def values(params: networks.Params, observation: jax.Array, config: Config) -> jax.Array:
    """Q(s, a), float32 (B, A)."""
    features = networks.trunk(params, observation, config.network, config.conv)
    return networks.dense(params["head"], features)


# --- Update ---------------------------------------------------------------------------------------


def update(state: State, config: Config, task: Task) -> tuple[State, Metrics]:
    """One iteration: a rollout, then ``update_epochs`` epochs of minibatch gradient steps.

    Returns:
        the next state, and float32 scalars: losses and diagnostics (means over all minibatches),
        and statistics of the episodes that ended in this rollout (NaN if none did).
    """
    key, rollout_key, learn_key = jax.random.split(state.key, 3)
    state, rollout, episode_metrics = collect(state, rollout_key, config, task)
    batch = estimate(state, rollout, config, task)
    state, loss_metrics = learn(state, batch, learn_key, config, task)
    state = replace(state, key=key, iteration=state.iteration + 1)
    return state, episode_metrics | loss_metrics | {"epsilon": share_of_random(state, config)}


def collect(
    state: State, key: jax.Array, config: Config, task: Task
) -> tuple[State, Rollout, Metrics]:
    """Act epsilon-greedily for T steps in N environments."""
    share = share_of_random(state, config)

    def step(carry, step_key):
        scene, env_state, tracker = carry
        action_key, env_key = jax.random.split(step_key)
        observation = task.render(scene)
        value = values(state.params, observation, config)
        action = explore(action_key, value, share)
        transition = task.step(env_key, env_state, action)
        tracker, ended = episodes.track(tracker, transition)
        stored = Rollout(
            seen=observation if config.store == "frames" else scene,
            action=action,
            reward=transition.reward * config.reward_scale,
            value=jnp.max(value, axis=-1),
            terminated=transition.terminated,
            truncated=transition.truncated,
            final_scene=transition.final_scene,
        )
        return (transition.scene, transition.env_state, tracker), (stored, ended)

    keys = jax.random.split(key, config.num_steps)
    carry = (state.scene, state.env_state, state.tracker)
    (scene, env_state, tracker), (rollout, ended) = jax.lax.scan(step, carry, keys)
    state = replace(state, scene=scene, env_state=env_state, tracker=tracker)
    return state, rollout, episodes.means(jax.tree.map(jnp.sum, ended))


def share_of_random(state: State, config: Config) -> jax.Array:
    """Epsilon of the next rollout."""
    step = state.iteration * config.steps_per_update
    decay_steps = config.epsilon_fraction * config.total_timesteps
    return epsilon(step, config.epsilon_start, config.epsilon_end, decay_steps, 0)


def estimate(state: State, rollout: Rollout, config: Config, task: Task) -> Batch:
    """Lambda returns of a rollout, flattened to B = T * N samples."""
    last_value = best_values(state.params, state.scene, config, task)
    next_value = jnp.concatenate([rollout.value[1:], last_value[None]])
    cut = rollout.truncated & ~rollout.terminated
    next_value = replace_values(
        lambda scene: best_values(state.params, scene, config, task),
        next_value,
        cut,
        rollout.final_scene,
    )
    target = lambda_returns(
        rollout.reward,
        next_value,
        rollout.terminated,
        rollout.truncated,
        config.gamma,
        config.trace,
    )
    return jax.tree.map(flatten, Batch(rollout.seen, rollout.action, target))


def best_values(params: networks.Params, scene: PyTree, config: Config, task: Task) -> jax.Array:
    """max_a Q(s, a), float32 (B,), of B scenes."""
    return jnp.max(values(params, task.render(scene), config), axis=-1)


def learn(
    state: State, batch: Batch, key: jax.Array, config: Config, task: Task
) -> tuple[State, Metrics]:
    """Minibatch gradient steps; each epoch cuts one fresh permutation of the samples."""
    progress = state.iteration / config.num_updates
    optimise = optimiser(config, config.learning_rate * (1.0 - config.anneal_lr * progress))

    def step(carry, rows):
        params, optimiser_state = carry
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        gradient, metrics = jax.grad(loss, has_aux=True)(params, minibatch, config, task)
        change, optimiser_state = optimise.update(gradient, optimiser_state, params)
        return (optax.apply_updates(params, change), optimiser_state), metrics

    epoch_keys = jax.random.split(key, config.update_epochs)
    rows = jax.vmap(permutation, (0, None))(epoch_keys, config.steps_per_update)
    rows = rows.reshape(config.update_epochs * config.num_minibatches, -1)
    (params, optimiser_state), metrics = jax.lax.scan(step, (state.params, state.optimiser), rows)
    return replace(state, params=params, optimiser=optimiser_state), jax.tree.map(jnp.mean, metrics)


def loss(
    params: networks.Params, batch: Batch, config: Config, task: Task
) -> tuple[jax.Array, Metrics]:
    """Half the squared error of a minibatch, and diagnostics."""
    observation = batch.seen if config.store == "frames" else task.render(batch.seen)
    value = values(params, observation, config)
    chosen = jnp.take_along_axis(value, batch.action[:, None], axis=-1)[:, 0]
    error = chosen - batch.target
    result = 0.5 * jnp.mean(jnp.square(error))
    return result, {
        "loss": result,
        "value": jnp.mean(chosen),
        "td_error": jnp.mean(jnp.abs(error)),
    }


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: take the best action, instead of a random one with probability ``epsilon_end``.

    Returns:
        act(key, observation) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), int32 (B,).
    """
    del task

    def act(key, observation):
        value = values(state.params, observation, config)
        return explore(key, value, 0.0 if greedy else config.epsilon_end)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.pqn", PRESETS, PRESET_TASKS)
