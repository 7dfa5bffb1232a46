"""PROPS: on-policy learning from data that is kept on-policy by what is collected next.

Paper: Corrado and Hanna 2023, "On-policy policy gradient reinforcement learning without on-policy
sampling", arXiv 2311.08290.
Claim: a behaviour policy that prefers the actions of which the data have too few makes them closer
to the target policy's distribution than sampling from the target policy does. Data of old policies
can then be learned from as if they were on-policy, which takes fewer environment steps.

    before each part of a rollout, from phi = theta, on the data in memory, r = pi_phi / pi_theta:
    L(phi) = E[ max(r, clip(r, 1 - eps, 1 + eps)) + lambda KL(pi_theta(.|s), pi_phi(.|s)) ]

That is the loss of PPO (Schulman et al. 2017, arXiv 1707.06347) with all advantages -1. After the
rollout the target policy theta learns by PPO from all batches in memory, with values, advantages
and old probabilities of its own. ``adapt=False`` is PPO with a memory of old batches, with
``batches=1`` PPO itself.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import actor_critic, episodes, networks, normalise, policies
from algorithms.common.bootstrap import flatten, replace_values
from algorithms.common.conv import Method
from algorithms.common.divergence import kl
from algorithms.common.gae import gae
from algorithms.common.keys import beside
from algorithms.common.parts import in_parts
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
        clip_coef: eps of the ratio clip.
        ent_coef: weight of the entropy bonus.
        anneal_ent: share of ``ent_coef`` that is taken away linearly over the run, in [0, 1].
        vf_coef: weight of the value loss, which has a factor 1/2 of its own.
        max_grad_norm: global norm to which gradients are clipped.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        init_log_std: logarithm of the gaussian head's standard deviation at the start, in units of
            half the action range.
        behaviour_learning_rate: Adam's step size of the behaviour policy, which starts anew each
            time.
        behaviour_clip: eps of the behaviour policy's loss.
        behaviour_kl_coef: lambda.
        behaviour_kl: the behaviour policy stops where its mean KL on a minibatch is above this.
        network: trunk, see :mod:`algorithms.common.networks`.
        conv: formulation of the convolutions, see :mod:`algorithms.common.conv`.
        num_envs: parallel environments N.
        num_steps: steps per environment and rollout T.
        num_minibatches: gradient steps per epoch; must divide N * T * ``batches``.
        update_epochs: passes over the memory.
        total_timesteps: environment steps of the run, rounded down to whole rollouts.
        norm_adv: standardise advantages in each minibatch (population standard deviation).
        stagger_episodes: start environments at evenly spread times of their first episode.
        store: what the memory keeps: scenes, rendered again in each epoch, or rendered frames.
        shared_trunk: actor and critic share the trunk.
        norm_obs: standardise observations by their running moments.
        norm_reward: divide rewards by the deviation of the running discounted return (Engstrom et
            al. 2020, arXiv 2005.12729).
        batches: rollouts b in memory, the newest included.
        adapt: act with the behaviour policy; otherwise with the target policy.
        adapt_steps: steps per environment between adaptations; divides T.
        behaviour_minibatches: gradient steps per epoch of the behaviour policy; must divide the
            samples that it learns from, N * (T * ``batches`` - ``adapt_steps``).
        behaviour_epochs: passes of the behaviour policy over these.
    """

    learning_rate: float = 2.5e-3
    anneal_lr: float = 1.0
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_coef: float = 0.2
    ent_coef: float = 0.01
    anneal_ent: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    reward_scale: float = 0.1
    init_log_std: float = -0.5
    behaviour_learning_rate: float = 1e-3
    behaviour_clip: float = 0.3
    behaviour_kl_coef: float = 0.1
    behaviour_kl: float = 0.03
    network: networks.Name = struct.field(pytree_node=False, default="mlp")
    conv: Method = struct.field(pytree_node=False, default="patches")
    num_envs: int = struct.field(pytree_node=False, default=8)
    num_steps: int = struct.field(pytree_node=False, default=128)
    num_minibatches: int = struct.field(pytree_node=False, default=4)
    update_epochs: int = struct.field(pytree_node=False, default=4)
    total_timesteps: int = struct.field(pytree_node=False, default=204_800)
    norm_adv: bool = struct.field(pytree_node=False, default=True)
    stagger_episodes: bool = struct.field(pytree_node=False, default=True)
    store: Literal["scenes", "frames"] = struct.field(pytree_node=False, default="scenes")
    shared_trunk: bool = struct.field(pytree_node=False, default=True)
    norm_obs: bool = struct.field(pytree_node=False, default=False)
    norm_reward: bool = struct.field(pytree_node=False, default=False)
    batches: int = struct.field(pytree_node=False, default=2)
    adapt: bool = struct.field(pytree_node=False, default=True)
    adapt_steps: int = struct.field(pytree_node=False, default=32)
    behaviour_minibatches: int = struct.field(pytree_node=False, default=4)
    behaviour_epochs: int = struct.field(pytree_node=False, default=4)

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one call of ``update``."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        """Calls of ``update`` in a whole run."""
        return self.total_timesteps // self.steps_per_update

    @property
    def memory_steps(self) -> int:
        """Steps per environment in memory."""
        return self.num_steps * self.batches


_QUICK = Config(
    learning_rate=1e-3,
    gamma=0.995,
    ent_coef=0.02,
    anneal_ent=0.85,
    reward_scale=0.02,
    network="small",
    num_envs=128,
    num_steps=64,
    num_minibatches=16,
    update_epochs=2,
    total_timesteps=1_800_000,
    # Frames of 32 x 32 fit into memory: rendering them again in every epoch would gain nothing.
    store="frames",
    behaviour_minibatches=12,
    behaviour_epochs=1,
)
_CONTROL = Config(
    learning_rate=1e-3,
    gamma=0.9,
    ent_coef=0.0,
    reward_scale=1.0,
    num_envs=16,
    num_minibatches=16,
    update_epochs=8,
    total_timesteps=200_000,
    shared_trunk=False,
    norm_obs=True,
    norm_reward=True,
    behaviour_learning_rate=3e-4,
)

# "default" is for CartPole, "control" for small continuous tasks such as Pendulum, "brax" for
# larger ones; "quick" and "state" are for KAGE-Bench.
PRESETS = {
    "default": Config(),
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
        behaviour_learning_rate=1e-4,
    ),
    "quick": _QUICK,
    "state": replace(
        _QUICK,
        learning_rate=7e-4,
        network="mlp",
        num_minibatches=8,
        update_epochs=3,
        total_timesteps=5_000_000,
        store="scenes",
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {"quick": {"obs_size": 32}, "state": {"obs": "state"}}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class State:
    """Everything that must be saved to go on; N is the number of environments.

    params: network parameters of the target policy.
    optimiser: optax state.
    env_state: environment states, leading axis N.
    scene: what the next observations are rendered from, leading axis N.
    tracker: running statistics of the current episodes.
    key: PRNG key.
    iteration: int32, number of updates done.
    memory: the last ``memory_steps`` steps, oldest first, leaves (steps, N, ...).
    filled: int32, steps in memory that were made; the others come first and are zero.
    The others are None unless an option needs them.
    obs_moments, return_moments: running moments of observations and of discounted returns.
    running_return: float32 (N,), discounted returns of the current episodes.
    """

    params: actor_critic.Params
    optimiser: PyTree
    env_state: PyTree
    scene: PyTree
    tracker: episodes.Tracker
    key: jax.Array
    iteration: jax.Array
    memory: Any = None
    filled: Any = None
    obs_moments: Any = None
    return_moments: Any = None
    running_return: Any = None


@struct.dataclass
class Rollout:
    """Steps of N environments: leaves (steps, N, ...), or (B, ...) once flattened.

    seen: scenes or observations, as ``Config.store`` says.
    action: int32, or float32 (..., d) before it is clipped to [-1, 1].
    reward: float32, scaled.
    terminated, truncated: bool.
    final_scene: scenes before resets.
    """

    seen: PyTree
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_scene: PyTree


@struct.dataclass
class Batch:
    """Samples of the memory for learning, leaves (B, ...)."""

    seen: PyTree
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


@struct.dataclass
class Terms:
    """What the loss needs beside parameters and samples.

    ent_coef: weight of the entropy bonus. obs_moments: see :class:`State`.
    """

    ent_coef: Any
    obs_moments: Any = None


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
    state = State(
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
    )
    keys = jax.random.split(key, config.memory_steps)
    _, steps, _ = jax.eval_shape(lambda: interact(state, params, keys, config, task))
    memory = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), steps)
    return replace(state, memory=memory, filled=jnp.int32(0))


def init_network(key: jax.Array, config: Config, task: Task) -> actor_critic.Params:
    """Parameters of actor and critic, and of the gaussian head its ``log_std``."""
    outputs = policies.num_outputs(task)
    params = actor_critic.init(
        key, config.network, task.observation_shape, outputs, config.shared_trunk
    )
    if task.continuous:
        params["log_std"] = jnp.full(outputs, config.init_log_std, jnp.float32)
    return params


def check(config: Config, task: Task) -> None:
    """Raise a ValueError unless sizes and options fit each other and the task."""
    samples = config.num_envs * config.memory_steps
    if samples % config.num_minibatches:
        raise ValueError(
            f"num_minibatches: {config.num_minibatches} does not divide "
            f"num_envs * num_steps * batches = {samples}"
        )
    if config.num_updates < 1:
        raise ValueError(
            f"total_timesteps: {config.total_timesteps} is less than one rollout, "
            f"num_envs * num_steps = {config.steps_per_update}"
        )
    if config.norm_obs and len(task.observation_shape) != 1:
        raise ValueError(
            f"norm_obs: got True, allowed: False, observations are images {task.observation_shape}"
        )
    if config.num_steps % config.adapt_steps:
        raise ValueError(
            f"adapt_steps: {config.adapt_steps} does not divide num_steps = {config.num_steps}"
        )
    kept = samples - config.num_envs * config.adapt_steps
    if config.adapt and (kept == 0 or kept % config.behaviour_minibatches):
        raise ValueError(
            f"behaviour_minibatches: {config.behaviour_minibatches} does not divide "
            f"num_envs * (num_steps * batches - adapt_steps) = {kept}, or that is 0"
        )


def optimiser(config: Config, learning_rate: float | jax.Array) -> optax.GradientTransformation:
    """Adam after clipping by global norm; rebuilt in each update, so all numbers may be traced."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(learning_rate, eps=1e-5)
    )


# --- Update ---------------------------------------------------------------------------------------


def update(state: State, config: Config, task: Task) -> tuple[State, Metrics]:
    """One iteration: a rollout, then ``update_epochs`` epochs of gradient steps on the memory.

    Returns:
        the next state, and float32 scalars: losses and diagnostics (means over all minibatches),
        statistics of the episodes that ended in this rollout (NaN if none did), and
        ``behaviour_kl``, how far the policies that acted were from the target policy.
    """
    key, rollout_key, learn_key = jax.random.split(state.key, 3)
    state, episode_metrics = collect(state, rollout_key, config, task)
    if config.norm_reward:
        state = scale_newest(state, config)
    batch = estimate(state, config, task)
    state, loss_metrics = learn(state, batch, learn_key, config, task)
    if config.norm_obs:  # only now, so that the policy that acted is the one that learned
        newest = jax.tree.map(lambda x: flatten(x[-config.num_steps :]), state.memory.seen)
        seen = newest if config.store == "frames" else task.render(newest)
        state = replace(state, obs_moments=normalise.update(state.obs_moments, seen))
    state = replace(state, key=key, iteration=state.iteration + 1)
    made = newest_rows(jnp.arange(batch.target.size), state.filled, config)
    variance = jnp.var(batch.advantage[made]) / (jnp.var(batch.target[made]) + 1e-8)
    return state, episode_metrics | loss_metrics | {"explained_variance": 1.0 - variance}


def collect(state: State, key: jax.Array, config: Config, task: Task) -> tuple[State, Metrics]:
    """Act for T steps in N environments, with a new behaviour policy every ``adapt_steps``.

    The steps take the place of the oldest in memory.
    """

    def part(state, keys):
        adapt_key, step_keys = keys
        params, divergence = state.params, jnp.float32(0.0)
        if config.adapt:
            params, divergence = adapt(state, adapt_key, config, task)
        state, steps, ended = interact(state, params, step_keys, config, task)
        memory = jax.tree.map(
            lambda old, new: jnp.concatenate([old[len(new) :], new]), state.memory, steps
        )
        filled = jnp.minimum(state.filled + config.adapt_steps, config.memory_steps)
        return replace(state, memory=memory, filled=filled), (ended, divergence)

    parts = config.num_steps // config.adapt_steps
    step_keys = jax.random.split(key, config.num_steps).reshape(parts, config.adapt_steps)
    adapt_keys = jax.random.split(beside(key), parts)
    state, (ended, divergence) = jax.lax.scan(part, state, (adapt_keys, step_keys))
    metrics = episodes.means(jax.tree.map(jnp.sum, ended))
    return state, metrics | {"behaviour_kl": jnp.mean(divergence)}


def interact(
    state: State, params: actor_critic.Params, keys: jax.Array, config: Config, task: Task
) -> tuple[State, Rollout, Metrics]:
    """Act with a policy for one step per key; the steps, and sums over episodes of each step."""

    def step(carry, step_key):
        scene, env_state, tracker = carry
        action_key, env_key = jax.random.split(step_key)
        observation = task.render(scene)
        pi, _ = forward(params, observation, state.obs_moments, config)
        action = pi.sample(action_key)
        transition = task.step(env_key, env_state, policies.to_env(action, task))
        tracker, ended = episodes.track(tracker, transition)
        stored = Rollout(
            seen=observation if config.store == "frames" else scene,
            action=action,
            reward=transition.reward * config.reward_scale,
            terminated=transition.terminated,
            truncated=transition.truncated,
            final_scene=transition.final_scene,
        )
        return (transition.scene, transition.env_state, tracker), (stored, ended)

    carry = (state.scene, state.env_state, state.tracker)
    (scene, env_state, tracker), (steps, ended) = jax.lax.scan(step, carry, keys)
    return replace(state, scene=scene, env_state=env_state, tracker=tracker), steps, ended


def adapt(
    state: State, key: jax.Array, config: Config, task: Task
) -> tuple[actor_critic.Params, jax.Array]:
    """Parameters of a behaviour policy, and its KL from the target policy when it stopped.

    It learns from what will still be in memory after the steps that it is for.
    """
    optimise = optimiser(config, config.behaviour_learning_rate)
    stays = config.memory_steps - config.adapt_steps
    memory = jax.tree.map(flatten, (state.memory.seen, state.memory.action))

    def step(carry, rows):
        params, optimiser_state, stopped, _ = carry
        seen, action = jax.tree.map(lambda x: x[rows], memory)
        observation = seen if config.store == "frames" else task.render(seen)
        target, _ = forward(state.params, observation, state.obs_moments, config)
        gradient, divergence = jax.grad(behaviour_loss, has_aux=True)(
            params, observation, action, target, state.obs_moments, config
        )
        stopped |= divergence > config.behaviour_kl
        change, changed_state = optimise.update(gradient, optimiser_state, params)
        changed = optax.apply_updates(params, change), changed_state
        params, optimiser_state = jax.tree.map(
            lambda new, old: jnp.where(stopped, old, new), changed, (params, optimiser_state)
        )
        return (params, optimiser_state, stopped, divergence), None

    epoch_keys = jax.random.split(key, config.behaviour_epochs)
    rows = jax.vmap(permutation, (0, None))(epoch_keys, stays * config.num_envs)
    rows = newest_rows(rows, jnp.minimum(state.filled, stays), config)
    rows = rows.reshape(config.behaviour_epochs * config.behaviour_minibatches, -1)
    empty = state.filled == 0  # no data yet: the target policy acts
    carry = (state.params, optimise.init(state.params), empty, jnp.float32(0.0))
    (params, _, _, divergence), _ = jax.lax.scan(step, carry, rows)
    return params, jnp.where(empty, 0.0, divergence)


def behaviour_loss(
    params: actor_critic.Params,
    observation: jax.Array,
    action: jax.Array,
    target: policies.Policy,
    obs_moments: Any,
    config: Config,
) -> tuple[jax.Array, jax.Array]:
    """PPO's loss with advantages of -1 and a penalty; and the mean KL from the target policy."""
    pi, _ = forward(params, observation, obs_moments, config)
    ratio = jnp.exp(pi.log_prob(action) - target.log_prob(action))
    divergence = jnp.mean(kl(target, pi))
    # The upper clip never binds: the maximum takes the ratio itself there.
    losses = jnp.maximum(ratio, 1.0 - config.behaviour_clip)
    return jnp.mean(losses) + config.behaviour_kl_coef * divergence, divergence


def newest_rows(rows: jax.Array, steps: jax.Array, config: Config) -> jax.Array:
    """Any integers as rows of the flattened memory, among its newest steps, evenly."""
    size, made = config.num_envs * config.memory_steps, config.num_envs * steps
    return size - made + rows % jnp.maximum(made, 1)


def scale_newest(state: State, config: Config) -> State:
    """Normalise the rewards of the newest T steps in memory; older ones stay as they were."""
    newest = jax.tree.map(lambda x: x[-config.num_steps :], state.memory)
    done = newest.terminated | newest.truncated
    moments, running_return, reward = normalise.rewards(
        state.return_moments, state.running_return, newest.reward, done, config.gamma
    )
    reward = state.memory.reward.at[-config.num_steps :].set(reward)
    memory = replace(state.memory, reward=reward)
    return replace(state, memory=memory, return_moments=moments, running_return=running_return)


def forward(
    params: actor_critic.Params, observation: jax.Array, obs_moments: Any, config: Config
) -> tuple[policies.Policy, jax.Array]:
    """Policy and state values float32 (B,) of observations (B, *observation_shape)."""
    if config.norm_obs:
        observation = normalise.observations(obs_moments, observation)
    outputs, value = actor_critic.apply(params, observation, config.network, config.conv)
    return policies.build("auto", outputs, params.get("log_std")), value


def estimate(state: State, config: Config, task: Task) -> Batch:
    """Probabilities, advantages and value targets of the memory, under the target policy.

    Steps of an environment in memory follow each other without a gap, whichever policy made them.
    The B samples include those that were not made, see :func:`newest_rows`.
    """
    memory = state.memory

    def evaluate(part):
        seen, action = part
        observation = seen if config.store == "frames" else task.render(seen)
        pi, value = forward(state.params, observation, state.obs_moments, config)
        return pi.log_prob(action), value

    seen, action = jax.tree.map(flatten, (memory.seen, memory.action))
    log_prob, value = in_parts(evaluate, (seen, action), config.num_minibatches)
    value = value.reshape(memory.reward.shape)
    last_value = values(state, state.scene, config, task)
    next_value = jnp.concatenate([value[1:], last_value[None]])
    cut = memory.truncated & ~memory.terminated
    next_value = replace_values(
        lambda scene: values(state, scene, config, task), next_value, cut, memory.final_scene
    )
    advantage = gae(
        memory.reward,
        value,
        next_value,
        memory.terminated,
        memory.truncated,
        config.gamma,
        config.gae_lambda,
    )
    return Batch(seen, action, log_prob, flatten(advantage), flatten(advantage + value))


def values(state: State, scene: PyTree, config: Config, task: Task) -> jax.Array:
    """State values float32 (B,) of B scenes."""
    return forward(state.params, task.render(scene), state.obs_moments, config)[1]


def learn(
    state: State, batch: Batch, key: jax.Array, config: Config, task: Task
) -> tuple[State, Metrics]:
    """Minibatch gradient steps; each epoch cuts one fresh permutation of the samples."""
    progress = state.iteration / config.num_updates
    optimise = optimiser(config, config.learning_rate * (1.0 - config.anneal_lr * progress))
    terms = Terms(
        ent_coef=config.ent_coef * (1.0 - config.anneal_ent * progress),
        obs_moments=state.obs_moments,
    )

    def step(carry, rows):
        params, optimiser_state = carry
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        gradient, metrics = jax.grad(loss, has_aux=True)(params, minibatch, terms, config, task)
        change, optimiser_state = optimise.update(gradient, optimiser_state, params)
        return (optax.apply_updates(params, change), optimiser_state), metrics

    epoch_keys = jax.random.split(key, config.update_epochs)
    rows = jax.vmap(permutation, (0, None))(epoch_keys, batch.target.size)
    rows = newest_rows(rows, state.filled, config)
    rows = rows.reshape(config.update_epochs * config.num_minibatches, -1)
    (params, optimiser_state), metrics = jax.lax.scan(step, (state.params, state.optimiser), rows)
    state = replace(state, params=params, optimiser=optimiser_state)
    return state, jax.tree.map(jnp.mean, metrics)


def loss(
    params: actor_critic.Params, batch: Batch, terms: Terms, config: Config, task: Task
) -> tuple[jax.Array, Metrics]:
    """The loss of a minibatch, which is that of PPO."""
    observation = batch.seen if config.store == "frames" else task.render(batch.seen)
    pi, value = forward(params, observation, terms.obs_moments, config)
    log_ratio = pi.log_prob(batch.action) - batch.log_prob
    ratio = jnp.exp(log_ratio)

    advantage = batch.advantage
    if config.norm_adv:
        advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - config.clip_coef, 1.0 + config.clip_coef)
    policy_loss = jnp.mean(jnp.maximum(-advantage * ratio, -advantage * clipped))

    value_loss = 0.5 * jnp.mean(jnp.square(value - batch.target))

    entropy = jnp.mean(pi.entropy())
    total = policy_loss - terms.ent_coef * entropy + config.vf_coef * value_loss
    metrics = {
        "loss": total,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": jnp.mean((ratio - 1.0) - log_ratio),
        "clip_frac": jnp.mean(jnp.abs(ratio - 1.0) > config.clip_coef),
    }
    return total, metrics


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The target policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: take the most likely action instead of sampling.

    Returns:
        act(key, observation) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), int32 (B,) or float32 (B, d) as the environment takes them.
    """

    def act(key, observation):
        pi, _ = forward(state.params, observation, state.obs_moments, config)
        return policies.to_env(pi.mode() if greedy else pi.sample(key), task)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.props", PRESETS, PRESET_TASKS)
