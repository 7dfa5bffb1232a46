"""Proximal policy optimisation.

Paper: Schulman, Wolski, Dhariwal, Radford and Klimov 2017, arXiv 1707.06347.
Claim: several epochs of minibatch gradient steps on the same rollout are safe if the objective
gains nothing from moving a probability ratio out of [1 - eps, 1 + eps].

    rho = pi(a|s) / pi_old(a|s)
    L = E[ -min(rho A, clip(rho, 1 - eps, 1 + eps) A) + c_v 1/2 (V(s) - R)^2 - c_e H(pi(.|s)) ]

The preset ``paper`` is the PPO-CNN baseline of KAGE-Bench (arXiv 2601.14232), which follows the
implementation choices studied by Engstrom et al. 2020 (arXiv 2005.12729) and Huang et al. 2022
("The 37 implementation details of PPO"). The preset ``default`` corrects three of them: values are
bootstrapped through the time limit (Pardo et al. 2018, arXiv 1712.00378), episodes are out of
phase, and rewards are scaled so that values are of order one, without value clipping.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import distributions, episodes, networks
from algorithms.common.conv import Method
from algorithms.common.gae import gae
from algorithms.common.shuffle import permutation
from algorithms.common.task import Task

PyTree = Any
Metrics = dict[str, jax.Array]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: Adam's step size.
        anneal_lr: share of the learning rate that is taken away linearly over the run, in [0, 1].
        gamma: discount.
        gae_lambda: trace decay of the advantage estimate.
        clip_coef: eps of the ratio clip and, if on, of the value clip.
        ent_coef: weight of the entropy bonus.
        anneal_ent: share of ``ent_coef`` that is taken away linearly over the run, in [0, 1].
        vf_coef: weight of the value loss, which has a factor 1/2 of its own.
        max_grad_norm: global norm to which gradients are clipped.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        network: trunk, see :mod:`algorithms.common.networks`.
        conv: formulation of the convolutions, see :mod:`algorithms.common.conv`.
        num_envs: parallel environments N.
        num_steps: steps per environment and rollout T.
        num_minibatches: gradient steps per epoch; must divide N * T.
        update_epochs: passes over a rollout.
        total_timesteps: environment steps of the run, rounded down to whole rollouts.
        norm_adv: standardise advantages in each minibatch (population standard deviation).
        clip_vloss: the larger of the value losses with and without clipped change of the value.
        bootstrap_truncation: values go on through the time limit; off, truncation is termination.
        stagger_episodes: start environments at evenly spread times of their first episode.
        store: what a rollout keeps: scenes, rendered again in each epoch, or rendered frames.
    """

    learning_rate: float = 5e-4
    anneal_lr: float = 0.0
    gamma: float = 0.999
    gae_lambda: float = 0.95
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    anneal_ent: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    reward_scale: float = 0.02
    network: networks.Name = struct.field(pytree_node=False, default="nature")
    conv: Method = struct.field(pytree_node=False, default="patches")
    num_envs: int = struct.field(pytree_node=False, default=128)
    num_steps: int = struct.field(pytree_node=False, default=128)
    num_minibatches: int = struct.field(pytree_node=False, default=8)
    update_epochs: int = struct.field(pytree_node=False, default=3)
    total_timesteps: int = struct.field(pytree_node=False, default=25_000_000)
    norm_adv: bool = struct.field(pytree_node=False, default=True)
    clip_vloss: bool = struct.field(pytree_node=False, default=False)
    bootstrap_truncation: bool = struct.field(pytree_node=False, default=True)
    stagger_episodes: bool = struct.field(pytree_node=False, default=True)
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
    learning_rate=1e-3,
    anneal_lr=1.0,
    gamma=0.995,
    ent_coef=0.02,
    anneal_ent=0.85,
    network="small",
    num_steps=64,
    num_minibatches=16,
    update_epochs=2,
    total_timesteps=1_800_000,
    # Frames of 32 x 32 fit into memory: rendering them again in every epoch would gain nothing.
    store="frames",
)

# The last four are what `kagebench reproduce` trains.
PRESETS = {
    "default": Config(),
    "quick": _QUICK,
    "state": Config(
        learning_rate=7e-4,
        anneal_lr=1.0,
        gamma=0.995,
        ent_coef=0.02,
        anneal_ent=0.85,
        network="mlp",
        num_steps=64,
        total_timesteps=5_000_000,
    ),
    "smoke": replace(_QUICK, total_timesteps=16_384),
    "cpu": replace(_QUICK, total_timesteps=2_500_000),
    "gpu": Config(total_timesteps=10_000_000),
    "paper": Config(
        reward_scale=1.0, clip_vloss=True, bootstrap_truncation=False, stagger_episodes=False
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {
    **{name: {"obs_size": 32} for name in ("quick", "smoke", "cpu")},
    "state": {"obs": "state"},
}

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
    """T steps of N environments: leaves (T, N, ...), or (B, ...) once flattened.

    seen: scenes or observations, as ``Config.store`` says.
    action: int32. log_prob, value, reward: float32, of the policy that acted; reward is scaled.
    terminated, truncated: bool.
    final_scene: scenes before resets, None if truncation is termination.
    """

    seen: PyTree
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_scene: PyTree


@struct.dataclass
class Batch:
    """Samples of a rollout for learning, leaves (B, ...)."""

    seen: PyTree
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array


# --- Init -----------------------------------------------------------------------------------------


def init(key: jax.Array, config: Config, task: Task) -> State:
    """State before the first update.

    Raises:
        ValueError: sizes do not fit each other, or the network does not fit the observation.
    """
    check(config)
    params_key, reset_key, state_key = jax.random.split(key, 3)
    params = networks.init(params_key, config.network, task.observation_shape, task.num_actions)
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


def optimiser(config: Config, learning_rate: float | jax.Array) -> optax.GradientTransformation:
    """Adam after clipping by global norm; rebuilt in each update, so all numbers may be traced."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(learning_rate, eps=1e-5)
    )


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
    variance = jnp.var(batch.advantage) / (jnp.var(batch.target) + 1e-8)
    return state, episode_metrics | loss_metrics | {"explained_variance": 1.0 - variance}


def collect(
    state: State, key: jax.Array, config: Config, task: Task
) -> tuple[State, Rollout, Metrics]:
    """Act for T steps in N environments with the policy as it is."""

    def step(carry, step_key):
        scene, env_state, tracker = carry
        action_key, env_key = jax.random.split(step_key)
        observation = task.render(scene)
        logits, value = networks.apply(state.params, observation, config.network, config.conv)
        action = distributions.sample(action_key, logits)
        transition = task.step(env_key, env_state, action)
        tracker, ended = episodes.track(tracker, transition)
        stored = Rollout(
            seen=observation if config.store == "frames" else scene,
            action=action,
            log_prob=distributions.log_prob(logits, action),
            value=value,
            reward=transition.reward * config.reward_scale,
            terminated=transition.terminated,
            truncated=transition.truncated,
            final_scene=transition.final_scene if config.bootstrap_truncation else None,
        )
        return (transition.scene, transition.env_state, tracker), (stored, ended)

    keys = jax.random.split(key, config.num_steps)
    carry = (state.scene, state.env_state, state.tracker)
    (scene, env_state, tracker), (rollout, ended) = jax.lax.scan(step, carry, keys)
    state = replace(state, scene=scene, env_state=env_state, tracker=tracker)
    return state, rollout, episodes.means(jax.tree.map(jnp.sum, ended))


def estimate(state: State, rollout: Rollout, config: Config, task: Task) -> Batch:
    """Advantages and value targets of a rollout, flattened to B = T * N samples."""
    last_value = values(state.params, state.scene, config, task)
    next_value = jnp.concatenate([rollout.value[1:], last_value[None]])
    terminated, truncated = rollout.terminated, rollout.truncated
    if config.bootstrap_truncation:
        cut = truncated & ~terminated
        next_value = replace_values(
            state.params, next_value, cut, rollout.final_scene, config, task
        )
    else:
        terminated = terminated | truncated
    advantage = gae(
        rollout.reward,
        rollout.value,
        next_value,
        terminated,
        truncated,
        config.gamma,
        config.gae_lambda,
    )
    target = advantage + rollout.value
    batch = Batch(rollout.seen, rollout.action, rollout.log_prob, rollout.value, advantage, target)
    return jax.tree.map(_flatten, batch)


def values(params: networks.Params, scene: PyTree, config: Config, task: Task) -> jax.Array:
    """State values float32 (B,) of B scenes."""
    return networks.apply(params, task.render(scene), config.network, config.conv)[1]


def replace_values(
    params: networks.Params,
    value: jax.Array,
    where: jax.Array,
    scene: PyTree,
    config: Config,
    task: Task,
) -> jax.Array:
    """Values (T, N), replaced by those of ``scene`` (T, N, ...) where ``where`` (T, N) is set.

    Few steps of a rollout are truncations, so only these are rendered and evaluated: N at a time,
    for as many rounds as it takes, usually none or one.
    """
    shape = value.shape
    value, where, scene = jax.tree.map(_flatten, (value, where, scene))
    total, size = where.size, shape[1]
    count = jnp.sum(where)
    # Positions of the truncations; the padding lies outside of the array and is dropped below.
    (rows,) = jnp.nonzero(where, size=total, fill_value=total)

    def evaluate(carry):
        start, value = carry
        chosen = jax.lax.dynamic_slice(rows, (start,), (size,))
        seen = jax.tree.map(lambda x: jnp.take(x, chosen, axis=0, mode="clip"), scene)
        found = values(params, seen, config, task)
        return start + size, value.at[chosen].set(found, mode="drop")

    _, value = jax.lax.while_loop(lambda carry: carry[0] < count, evaluate, (0, value))
    return value.reshape(shape)


def learn(
    state: State, batch: Batch, key: jax.Array, config: Config, task: Task
) -> tuple[State, Metrics]:
    """Minibatch gradient steps; each epoch cuts one fresh permutation of the samples."""
    progress = state.iteration / config.num_updates
    optimise = optimiser(config, config.learning_rate * (1.0 - config.anneal_lr * progress))
    ent_coef = config.ent_coef * (1.0 - config.anneal_ent * progress)

    def step(carry, rows):
        params, optimiser_state = carry
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        gradient, metrics = jax.grad(loss, has_aux=True)(params, minibatch, ent_coef, config, task)
        change, optimiser_state = optimise.update(gradient, optimiser_state, params)
        return (optax.apply_updates(params, change), optimiser_state), metrics

    epoch_keys = jax.random.split(key, config.update_epochs)
    rows = jax.vmap(permutation, (0, None))(epoch_keys, config.steps_per_update)
    rows = rows.reshape(config.update_epochs * config.num_minibatches, -1)
    (params, optimiser_state), metrics = jax.lax.scan(step, (state.params, state.optimiser), rows)
    return replace(state, params=params, optimiser=optimiser_state), jax.tree.map(jnp.mean, metrics)


def loss(
    params: networks.Params, batch: Batch, ent_coef: float | jax.Array, config: Config, task: Task
) -> tuple[jax.Array, Metrics]:
    """The loss of a minibatch, eq. (9) of the paper with the sign of a minimisation."""
    observation = batch.seen if config.store == "frames" else task.render(batch.seen)
    logits, value = networks.apply(params, observation, config.network, config.conv)
    log_ratio = distributions.log_prob(logits, batch.action) - batch.log_prob
    ratio = jnp.exp(log_ratio)

    advantage = batch.advantage
    if config.norm_adv:
        advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - config.clip_coef, 1.0 + config.clip_coef)
    policy_loss = jnp.mean(jnp.maximum(-advantage * ratio, -advantage * clipped))

    error = jnp.square(value - batch.target)
    if config.clip_vloss:
        change = jnp.clip(value - batch.value, -config.clip_coef, config.clip_coef)
        error = jnp.maximum(error, jnp.square(batch.value + change - batch.target))
    value_loss = 0.5 * jnp.mean(error)

    entropy = jnp.mean(distributions.entropy(logits))
    total = policy_loss - ent_coef * entropy + config.vf_coef * value_loss
    metrics = {
        "loss": total,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": jnp.mean((ratio - 1.0) - log_ratio),
        "clip_frac": jnp.mean(jnp.abs(ratio - 1.0) > config.clip_coef),
    }
    return total, metrics


def _flatten(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: take the most likely action instead of sampling.

    Returns:
        act(key, observation) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), int32 (B,).
    """
    del task

    def act(key, observation):
        logits, _ = networks.apply(state.params, observation, config.network, config.conv)
        return jnp.argmax(logits, axis=-1) if greedy else distributions.sample(key, logits)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.ppo", PRESETS, PRESET_TASKS)
