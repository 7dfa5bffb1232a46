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

Other papers as options: what acts is ``head`` and ``mask_actions``, what keeps the policy near the
old one is ``surrogate``, and ``entropy_band`` steadies the entropy; see :class:`Config`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import actor_critic, episodes, networks, normalise, policies, surrogates
from algorithms.common.bootstrap import flatten, replace_values
from algorithms.common.conv import Method
from algorithms.common.gae import gae
from algorithms.common.keys import beside
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
        init_log_std: logarithm of the gaussian head's standard deviation at the start, in units of
            half the action range.
        penalty_coef: weight of the penalty in ``surrogate``; where it adapts, the first one.
        kl_target: KL divergence per update that ``kl`` aims at.
        ratio_variance: bound delta on E[(rho - 1)^2] of ``r2``.
        dual_rate: step size of the multiplier of ``r2``.
        cov_share: share of the samples that ``clip-cov`` and ``kl-cov`` pick, at least one.
        cov_low, cov_high: covariances between which ``clip-cov`` picks.
        band_coef: weight of the distance of the entropy to its band.
        band_low, band_high: ends of the band, relative to the mean entropy of the updates so far.
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
        head: distribution over actions: categorical, gaussian, or bang-bang ``bernoulli`` (Seyde et
            al. 2021, arXiv 2111.02552); auto is one of the first two.
        shared_trunk: actor and critic share the trunk.
        mask_actions: only actions of ``env.action_mask`` have a probability, in the rollout and in
            the loss (Huang and Ontanon 2022, arXiv 2006.14171).
        norm_obs: standardise observations by their running moments.
        norm_reward: divide rewards by the deviation of the running discounted return (Engstrom et
            al. 2020, arXiv 2005.12729).
        surrogate: the policy loss, clipped or of :mod:`algorithms.common.surrogates`.
        entropy_band: penalise an entropy outside of its band (Xu et al. 2025, arXiv 2509.22576).
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
    init_log_std: float = -0.5
    penalty_coef: float = 1.0
    kl_target: float = 0.01
    ratio_variance: float = 0.02
    dual_rate: float = 1.0
    cov_share: float = 2e-4
    cov_low: float = 1.0
    cov_high: float = 5.0
    band_coef: float = 0.1
    band_low: float = 0.8
    band_high: float = 1.2
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
    head: policies.Head = struct.field(pytree_node=False, default="auto")
    shared_trunk: bool = struct.field(pytree_node=False, default=True)
    mask_actions: bool = struct.field(pytree_node=False, default=False)
    norm_obs: bool = struct.field(pytree_node=False, default=False)
    norm_reward: bool = struct.field(pytree_node=False, default=False)
    surrogate: surrogates.Name = struct.field(pytree_node=False, default="clip")
    entropy_band: bool = struct.field(pytree_node=False, default=False)

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
_STATE = Config(
    learning_rate=7e-4,
    anneal_lr=1.0,
    gamma=0.995,
    ent_coef=0.02,
    anneal_ent=0.85,
    network="mlp",
    num_steps=64,
    total_timesteps=5_000_000,
)
_PAPER = Config(
    reward_scale=1.0, clip_vloss=True, bootstrap_truncation=False, stagger_episodes=False
)
# Continuous actions, after Engstrom et al. 2020 and Andrychowicz et al. 2021 (arXiv 2006.05990).
_CONTROL = Config(
    learning_rate=1e-3,
    anneal_lr=1.0,
    gamma=0.9,
    ent_coef=0.0,
    reward_scale=1.0,
    network="mlp",
    num_envs=16,
    num_steps=128,
    num_minibatches=16,
    update_epochs=8,
    total_timesteps=200_000,
    shared_trunk=False,
    norm_obs=True,
    norm_reward=True,
)

# "smoke", "cpu*", "gpu" and "paper" are what `kagebench reproduce` trains; "control" is for small
# continuous tasks such as Pendulum.
PRESETS = {
    "default": Config(),
    "quick": _QUICK,
    "state": _STATE,
    "control": _CONTROL,
    "brax": replace(
        _CONTROL,
        learning_rate=3e-4,
        gamma=0.99,
        network="mlp-256",
        num_envs=64,
        num_minibatches=32,
        update_epochs=4,
        total_timesteps=2_000_000,
    ),
    "smoke": replace(_QUICK, total_timesteps=16_384),
    "cpu": replace(_QUICK, total_timesteps=2_500_000),
    "cpu-paper": replace(_PAPER, network="small", total_timesteps=2_500_000, store="frames"),
    "cpu-state": replace(_STATE, total_timesteps=2_500_000),
    "gpu": Config(total_timesteps=10_000_000),
    "paper": _PAPER,
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {
    **{name: {"obs_size": 32} for name in ("quick", "smoke", "cpu", "cpu-paper")},
    **{name: {"obs": "state"} for name in ("state", "cpu-state")},
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
    The others are None unless an option needs them.
    obs_moments, return_moments: running moments of observations and of discounted returns.
    running_return: float32 (N,), discounted returns of the current episodes.
    multiplier: float32 (), weight of the penalty of ``kl`` or ``r2``.
    mean_entropy: float32 (), of the policies of all updates so far.
    """

    params: actor_critic.Params
    optimiser: PyTree
    env_state: PyTree
    scene: PyTree
    tracker: episodes.Tracker
    key: jax.Array
    iteration: jax.Array
    obs_moments: Any = None
    return_moments: Any = None
    running_return: Any = None
    multiplier: Any = None
    mean_entropy: Any = None


@struct.dataclass
class Rollout:
    """T steps of N environments: leaves (T, N, ...), or (B, ...) once flattened.

    seen: scenes or observations, as ``Config.store`` says.
    action: int32, or float32 (..., d) before it is clipped to [-1, 1].
    mask: bool (..., A), valid actions, or None.
    log_prob, value, reward: float32, of the policy that acted; reward is scaled.
    terminated, truncated: bool.
    final_scene: scenes before resets, None if truncation is termination.
    """

    seen: PyTree
    action: jax.Array
    mask: jax.Array | None
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
    mask: jax.Array | None
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array


@struct.dataclass
class Terms:
    """What the loss needs beside parameters and samples.

    ent_coef: weight of the entropy bonus. band_coef: of the entropy's distance to its band.
    obs_moments, multiplier, mean_entropy: see :class:`State`.
    key: PRNG key of the gradient step.
    """

    ent_coef: Any
    band_coef: Any = 0.0
    obs_moments: Any = None
    multiplier: Any = None
    mean_entropy: Any = None
    key: Any = None


# --- Init -----------------------------------------------------------------------------------------


def init(key: jax.Array, config: Config, task: Task) -> State:
    """State before the first update.

    Raises:
        ValueError: sizes do not fit each other, or the network does not fit the observation.
    """
    check(config, task)
    params_key, reset_key, state_key = jax.random.split(key, 3)
    params = init_network(params_key, config, task)
    scene, env_state = task.reset(reset_key, config.num_envs, config.stagger_episodes)
    adaptive = config.surrogate in surrogates.WITH_MULTIPLIER
    return State(
        params=params,
        optimiser=optimiser(config, config.learning_rate).init(params),
        env_state=env_state,
        scene=scene,
        tracker=episodes.init(config.num_envs, whole=not config.stagger_episodes),
        key=state_key,
        iteration=jnp.int32(0),
        obs_moments=normalise.init(task.observation_shape) if config.norm_obs else None,
        return_moments=normalise.init(()) if config.norm_reward else None,
        running_return=jnp.zeros(config.num_envs) if config.norm_reward else None,
        multiplier=jnp.float32(config.penalty_coef) if adaptive else None,
        mean_entropy=jnp.float32(0.0) if config.entropy_band else None,
    )


def init_network(key: jax.Array, config: Config, task: Task) -> actor_critic.Params:
    """Parameters of actor and critic, and of the gaussian head its ``log_std``."""
    outputs = policies.num_outputs(task)
    params = actor_critic.init(
        key, config.network, task.observation_shape, outputs, config.shared_trunk
    )
    if policies.resolve(config.head, task) == "gaussian":
        params["log_std"] = jnp.full(outputs, config.init_log_std, jnp.float32)
    return params


def check(config: Config, task: Task) -> None:
    """Raise a ValueError unless sizes and options fit each other and the task."""
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
    if config.surrogate not in get_args(surrogates.Name):
        allowed = ", ".join(get_args(surrogates.Name))
        raise ValueError(f"surrogate: got {config.surrogate!r}, allowed: {allowed}")
    head = policies.resolve(config.head, task)
    if config.mask_actions and (head != "categorical" or not task.has_action_mask):
        raise ValueError(
            f"mask_actions: got True, allowed: False, {task.env.name} has no action_mask"
        )
    if config.entropy_band and head == "gaussian":
        raise ValueError(
            "entropy_band: got True, allowed: False, the entropy of the gaussian head has no zero"
        )
    if config.norm_obs and len(task.observation_shape) != 1:
        raise ValueError(
            f"norm_obs: got True, allowed: False, observations are images {task.observation_shape}"
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
    if config.norm_reward:
        done = rollout.terminated | rollout.truncated
        moments, running_return, reward = normalise.rewards(
            state.return_moments, state.running_return, rollout.reward, done, config.gamma
        )
        state = replace(state, return_moments=moments, running_return=running_return)
        rollout = replace(rollout, reward=reward)
    batch = estimate(state, rollout, config, task)
    state, loss_metrics = learn(state, batch, learn_key, config, task)
    if config.norm_obs:  # only now, so that the policy that acted is the one that learned
        seen = rollout.seen if config.store == "frames" else task.render(batch.seen)
        state = replace(state, obs_moments=normalise.update(state.obs_moments, seen))
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
        mask = task.action_mask(env_state) if config.mask_actions else None
        pi, value = forward(state.params, observation, mask, state.obs_moments, config)
        action = pi.sample(action_key)
        transition = task.step(env_key, env_state, policies.to_env(action, task))
        tracker, ended = episodes.track(tracker, transition)
        stored = Rollout(
            seen=observation if config.store == "frames" else scene,
            action=action,
            mask=mask,
            log_prob=pi.log_prob(action),
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


def forward(
    params: actor_critic.Params,
    observation: jax.Array,
    mask: jax.Array | None,
    obs_moments: Any,
    config: Config,
) -> tuple[policies.Policy, jax.Array]:
    """Policy and state values float32 (B,) of observations (B, *observation_shape)."""
    if config.norm_obs:
        observation = normalise.observations(obs_moments, observation)
    outputs, value = actor_critic.apply(params, observation, config.network, config.conv)
    return policies.build(config.head, outputs, params.get("log_std"), mask), value


def estimate(state: State, rollout: Rollout, config: Config, task: Task) -> Batch:
    """Advantages and value targets of a rollout, flattened to B = T * N samples."""
    last_value = values(state, state.scene, config, task)
    next_value = jnp.concatenate([rollout.value[1:], last_value[None]])
    terminated, truncated = rollout.terminated, rollout.truncated
    if config.bootstrap_truncation:
        cut = truncated & ~terminated
        next_value = replace_values(
            lambda scene: values(state, scene, config, task), next_value, cut, rollout.final_scene
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
    of_policy = rollout.seen, rollout.action, rollout.mask, rollout.log_prob, rollout.value
    return jax.tree.map(flatten, Batch(*of_policy, advantage, target))


def values(state: State, scene: PyTree, config: Config, task: Task) -> jax.Array:
    """State values float32 (B,) of B scenes."""
    return forward(state.params, task.render(scene), None, state.obs_moments, config)[1]


def learn(
    state: State, batch: Batch, key: jax.Array, config: Config, task: Task
) -> tuple[State, Metrics]:
    """Minibatch gradient steps; each epoch cuts one fresh permutation of the samples."""
    progress = state.iteration / config.num_updates
    optimise = optimiser(config, config.learning_rate * (1.0 - config.anneal_lr * progress))
    fixed = Terms(
        ent_coef=config.ent_coef * (1.0 - config.anneal_ent * progress),
        band_coef=config.band_coef * (state.iteration > 0),
        obs_moments=state.obs_moments,
        mean_entropy=state.mean_entropy,
    )

    def step(carry, inputs):
        params, optimiser_state, multiplier = carry
        rows, step_key = inputs
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        terms = replace(fixed, multiplier=multiplier, key=step_key)
        gradient, metrics = jax.grad(loss, has_aux=True)(params, minibatch, terms, config, task)
        change, optimiser_state = optimise.update(gradient, optimiser_state, params)
        if config.surrogate == "r2":
            variance = metrics["ratio_variance"]
            multiplier = surrogates.dual_step(
                multiplier, variance, config.ratio_variance, config.dual_rate
            )
        return (optax.apply_updates(params, change), optimiser_state, multiplier), metrics

    epoch_keys = jax.random.split(key, config.update_epochs)
    rows = jax.vmap(permutation, (0, None))(epoch_keys, config.steps_per_update)
    rows = rows.reshape(config.update_epochs * config.num_minibatches, -1)
    step_keys = jax.random.split(beside(key), rows.shape[0])
    carry = (state.params, state.optimiser, state.multiplier)
    (params, optimiser_state, multiplier), metrics = jax.lax.scan(step, carry, (rows, step_keys))
    if config.surrogate == "kl":
        last_kl = jnp.mean(metrics["approx_kl"][-config.num_minibatches :])
        multiplier = surrogates.adapt(multiplier, last_kl, config.kl_target)
    metrics = jax.tree.map(jnp.mean, metrics)
    state = replace(state, params=params, optimiser=optimiser_state, multiplier=multiplier)
    if config.entropy_band:
        change = (metrics["entropy"] - state.mean_entropy) / (state.iteration + 1)
        state = replace(state, mean_entropy=state.mean_entropy + change)
    return state, metrics


def loss(
    params: actor_critic.Params, batch: Batch, terms: Terms, config: Config, task: Task
) -> tuple[jax.Array, Metrics]:
    """The loss of a minibatch, eq. (9) of the paper with the sign of a minimisation."""
    observation = batch.seen if config.store == "frames" else task.render(batch.seen)
    pi, value = forward(params, observation, batch.mask, terms.obs_moments, config)
    log_prob = pi.log_prob(batch.action)
    log_ratio = log_prob - batch.log_prob
    ratio = jnp.exp(log_ratio)

    advantage = batch.advantage
    if config.norm_adv:
        advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - config.clip_coef, 1.0 + config.clip_coef)
    policy_losses = jnp.maximum(-advantage * ratio, -advantage * clipped)
    if config.surrogate != "clip":
        multiplier, key = terms.multiplier, terms.key
        policy_losses = surrogates.losses(
            log_prob, batch.log_prob, advantage, policy_losses, multiplier, key, config
        )
    policy_loss = jnp.mean(policy_losses)

    error = jnp.square(value - batch.target)
    if config.clip_vloss:
        change = jnp.clip(value - batch.value, -config.clip_coef, config.clip_coef)
        error = jnp.maximum(error, jnp.square(batch.value + change - batch.target))
    value_loss = 0.5 * jnp.mean(error)

    entropy = jnp.mean(pi.entropy())
    total = policy_loss - terms.ent_coef * entropy + config.vf_coef * value_loss
    if config.entropy_band:
        low, high = config.band_low * terms.mean_entropy, config.band_high * terms.mean_entropy
        total += terms.band_coef * surrogates.outside_band(entropy, low, high)
    metrics = {
        "loss": total,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": jnp.mean((ratio - 1.0) - log_ratio),
        "clip_frac": jnp.mean(jnp.abs(ratio - 1.0) > config.clip_coef),
    }
    if config.surrogate in surrogates.WITH_MULTIPLIER:
        metrics["multiplier"] = terms.multiplier
        metrics["ratio_variance"] = jnp.mean(jnp.square(ratio - 1.0))
    return total, metrics


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: take the most likely action instead of sampling.

    Returns:
        act(key, observation, mask=None) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), int32 (B,) or float32 (B, d) as the environment takes them. Without
        the mask, bool (B, A), every action is allowed.
    """

    def act(key, observation, mask=None):
        pi, _ = forward(state.params, observation, mask, state.obs_moments, config)
        return policies.to_env(pi.mode() if greedy else pi.sample(key), task)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.ppo", PRESETS, PRESET_TASKS)
