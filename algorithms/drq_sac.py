"""Data-regularised Q (DrQ) for continuous actions: soft actor-critic from pixels.

Paper: Kostrikov, Yarats, Fergus 2021, "Image Augmentation Is All You Need: Regularizing Deep
Reinforcement Learning from Pixels", arXiv 2004.13649.
Claim: shifting replayed images by a few pixels, and averaging targets and losses over several such
views, is enough to learn from pixels about as data-efficiently as from states.

    y = r + gamma / K sum_k (min_i Q_i_target(f(s', nu'_k), a'_k) - alpha log pi(a'_k|f(s', nu'_k)))
    L_Q = 1 / M sum_m E[ (Q_i(f(s, nu_m), a) - y)^2 ],                 a'_k ~ pi(.|f(s', nu'_k))
    L_pi = E[ alpha log pi(a|f(s, nu)) - min_i Q_i(f(s, nu), a) ],     a ~ pi(.|f(s, nu))

f(s, nu) is the image s shifted by a random offset nu (equations 1 to 3). The convolutions are
shared by actor and critics and learn from L_Q alone.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import episodes, networks, replay, tanh_gaussian, visual
from algorithms.common.task import Task

PyTree = Any
Metrics = dict[str, jax.Array]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: Adam's step size, of the actor, the critics and alpha.
        gamma: discount.
        tau: share of the online critics in every update of the target critics.
        alpha: weight of the entropy at the start.
        target_entropy: wanted entropy per dimension of the action, in nats.
        learning_starts: environment steps before the first gradient step; actions are random.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        pad: largest shift of an image along each side, in pixels; 0 leaves images as they are.
        network: trunk whose convolutions are shared, see :mod:`algorithms.common.visual`.
        head: dense layers of actor and critics, one of the trunks for vectors.
        feature_size: outputs of the projections between them.
        num_critics: critics, of which the smallest counts.
        target_views: K, views of the next image over which a target is averaged.
        loss_views: M, views of an image over which the loss is averaged.
        n_step: steps of a transition.
        buffer_size: transitions that are kept.
        batch_size: transitions per gradient step.
        num_envs: parallel environments N.
        num_steps: steps per environment and round.
        gradient_steps: gradient steps per round.
        rounds: rounds of acting and learning in one call of ``update``.
        total_timesteps: environment steps of the run, rounded down to whole updates.
        store: what is replayed: scenes, rendered again when they are drawn, or rendered frames.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    tau: float = 0.01
    alpha: float = 0.1
    target_entropy: float = -1.0
    learning_starts: float = 1000
    reward_scale: float = 1.0
    pad: int = 2
    network: networks.Name = struct.field(pytree_node=False, default="small")
    head: networks.Name = struct.field(pytree_node=False, default="mlp-256")
    feature_size: int = struct.field(pytree_node=False, default=50)
    num_critics: int = struct.field(pytree_node=False, default=2)
    target_views: int = struct.field(pytree_node=False, default=2)
    loss_views: int = struct.field(pytree_node=False, default=2)
    n_step: int = struct.field(pytree_node=False, default=1)
    buffer_size: int = struct.field(pytree_node=False, default=100_000)
    batch_size: int = struct.field(pytree_node=False, default=128)
    num_envs: int = struct.field(pytree_node=False, default=4)
    num_steps: int = struct.field(pytree_node=False, default=1)
    gradient_steps: int = struct.field(pytree_node=False, default=2)
    rounds: int = struct.field(pytree_node=False, default=128)
    total_timesteps: int = struct.field(pytree_node=False, default=100_000)
    store: Literal["scenes", "frames"] = struct.field(pytree_node=False, default="scenes")

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one call of ``update``."""
        return self.num_envs * self.num_steps * self.rounds

    @property
    def num_updates(self) -> int:
        """Calls of ``update`` in a whole run."""
        return self.total_timesteps // self.steps_per_update


PRESETS = {
    "default": Config(),
    "quick": Config(pad=1, head="mlp-128", batch_size=64, total_timesteps=30_000),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {
    "default": {"obs_size": 48},
    "quick": {"obs_size": 24},
}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class Learner:
    """What gradient steps change.

    actor: parameters of the policy, behind the convolutions.
    critic, target: {"encoder": the convolutions, "project": projection, "layers": those of the
        critics, leading axis num_critics}, online and target.
    log_alpha: float32 (), logarithm of the weight of the entropy.
    actor_optimiser, critic_optimiser, alpha_optimiser: optax states.
    gradients: int32, gradient steps done.
    """

    actor: Any
    critic: Any
    target: Any
    log_alpha: Any
    actor_optimiser: PyTree
    critic_optimiser: PyTree
    alpha_optimiser: PyTree
    gradients: jax.Array


@struct.dataclass
class State:
    """Everything that must be saved to go on; N is the number of environments.

    learner: networks and optimisers.
    ring: the last transitions; actions are in [-1, 1].
    env_state: environment states, leading axis N.
    scene: what the next observations are rendered from, leading axis N.
    tracker: running statistics of the current episodes.
    key: PRNG key.
    step: int32, environment steps done.
    """

    learner: Learner
    ring: replay.Ring
    env_state: PyTree
    scene: PyTree
    tracker: episodes.Tracker
    key: jax.Array
    step: jax.Array


# --- Init -----------------------------------------------------------------------------------------


def init(key: jax.Array, config: Config, task: Task) -> State:
    """State before the first update.

    Raises:
        ValueError: options or sizes do not fit each other or the task.
    """
    check(config, task)
    learner_key, reset_key, state_key = jax.random.split(key, 3)
    learner = init_learner(learner_key, config, task)
    scene, env_state = task.reset(reset_key, config.num_envs)
    step = jnp.int32(0)
    example = jax.eval_shape(
        lambda: act(learner, scene, env_state, state_key, step, config, task)[1]
    )
    return State(
        learner=learner,
        ring=replay.init(example, config.buffer_size // config.num_envs),
        env_state=env_state,
        scene=scene,
        tracker=episodes.init(config.num_envs, whole=True),
        key=state_key,
        step=step,
    )


def check(config: Config, task: Task) -> None:
    """Raise a ValueError unless options, sizes and the task fit each other."""
    if config.num_updates < 1:
        raise ValueError(
            f"total_timesteps: {config.total_timesteps} is less than one update, "
            f"num_envs * num_steps * rounds = {config.steps_per_update}"
        )
    rows = config.buffer_size // config.num_envs
    if not 1 <= config.n_step <= rows:
        raise ValueError(
            f"n_step: got {config.n_step}, allowed: 1 to buffer_size / num_envs = {rows}"
        )
    for name in ("target_views", "loss_views", "num_critics", "feature_size"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: got {getattr(config, name)}, allowed: at least 1")
    visual.check(task.observation_shape)


def init_learner(key: jax.Array, config: Config, task: Task) -> Learner:
    """Networks and optimisers before the first gradient step."""
    actor_key, critic_key, encoder_key = jax.random.split(key, 3)
    actor = visual.init_actor(actor_key, config, task.observation_shape, 2 * task.action_size)
    critic = visual.init_critic(critic_key, config, task.observation_shape, task.action_size)
    critic["encoder"] = visual.init_encoder(encoder_key, config.network, task.observation_shape)
    log_alpha = jnp.log(jnp.asarray(config.alpha, jnp.float32))
    adam = optimiser(config)
    return Learner(
        actor=actor,
        critic=critic,
        target=critic,
        log_alpha=log_alpha,
        actor_optimiser=adam.init(actor),
        critic_optimiser=adam.init(critic),
        alpha_optimiser=adam.init(log_alpha),
        gradients=jnp.int32(0),
    )


def optimiser(config: Config) -> optax.GradientTransformation:
    """Adam; rebuilt in each update, so all numbers may be traced."""
    return optax.adam(config.learning_rate)


# --- Networks -------------------------------------------------------------------------------------


def policy_parameters(
    actor: PyTree, features: jax.Array, config: Config
) -> tuple[jax.Array, jax.Array]:
    """Mean and log standard deviation before tanh, float32 (B, d) each, from features (B, F)."""
    mean, raw = jnp.split(visual.outputs(actor, features, config), 2, axis=-1)
    return mean, tanh_gaussian.bounded(raw)


# --- Update ---------------------------------------------------------------------------------------


def update(state: State, config: Config, task: Task) -> tuple[State, Metrics]:
    """One iteration: ``rounds`` times some steps of every environment and some gradient steps.

    Returns:
        the next state, and float32 scalars: losses and diagnostics (means over all gradient steps,
        0 before there are any), and statistics of the episodes that ended (NaN if none did).
    """

    def run(state, key):
        act_key, learn_key = jax.random.split(key)
        state, ended = collect(state, act_key, config, task)
        state, metrics = learn(state, learn_key, config, task)
        return state, (ended, metrics)

    key, rounds_key = jax.random.split(state.key)
    state, (ended, metrics) = jax.lax.scan(run, state, jax.random.split(rounds_key, config.rounds))
    episode_metrics = episodes.means(jax.tree.map(jnp.sum, ended))
    return replace(state, key=key), episode_metrics | jax.tree.map(jnp.mean, metrics)


def collect(state: State, key: jax.Array, config: Config, task: Task) -> tuple[State, Metrics]:
    """Act for some steps in N environments and store them; sums over the episodes that ended."""

    def step(state, key):
        transition, stored = act(
            state.learner, state.scene, state.env_state, key, state.step, config, task
        )
        tracker, ended = episodes.track(state.tracker, transition)
        state = replace(
            state,
            ring=replay.add(state.ring, stored),
            env_state=transition.env_state,
            scene=transition.scene,
            tracker=tracker,
            step=state.step + config.num_envs,
        )
        return state, ended

    state, ended = jax.lax.scan(step, state, jax.random.split(key, config.num_steps))
    return state, jax.tree.map(jnp.sum, ended)


def act(
    learner: Learner,
    scene: PyTree,
    env_state: PyTree,
    key: jax.Array,
    step: jax.Array,
    config: Config,
    task: Task,
) -> tuple[Any, replay.Step]:
    """One step of N environments, at random at first: the transition, and what is stored of it."""
    action_key, random_key, env_key = jax.random.split(key, 3)
    observation = task.render(scene)
    features = visual.encode(learner.critic["encoder"], observation, config.network)
    mean, log_std = policy_parameters(learner.actor, features, config)
    action, _ = tanh_gaussian.sample(action_key, mean, log_std)
    uniform = jax.random.uniform(random_key, action.shape, minval=-1.0)
    action = jnp.where(step < config.learning_starts, uniform, action)
    transition = task.step(env_key, env_state, task.to_box(action))
    frames = config.store == "frames"
    stored = replay.Step(
        seen=observation if frames else scene,
        action=action,
        reward=transition.reward * config.reward_scale,
        terminated=transition.terminated,
        truncated=transition.truncated,
        next_seen=task.render(transition.final_scene) if frames else transition.final_scene,
    )
    return transition, stored


def learn(state: State, key: jax.Array, config: Config, task: Task) -> tuple[State, Metrics]:
    """Gradient steps on replayed transitions, once there are enough of them."""

    def step(learner, key):
        return gradient_step(learner, state.ring, key, config, task)

    def steps(learner):
        keys = jax.random.split(key, config.gradient_steps)
        learner, metrics = jax.lax.scan(step, learner, keys)
        return learner, jax.tree.map(jnp.mean, metrics)

    def wait(learner):
        return learner, {name: jnp.float32(0.0) for name in METRICS}

    ready = (state.step >= config.learning_starts) & (replay.size(state.ring) >= config.n_step)
    learner, metrics = jax.lax.cond(ready, steps, wait, state.learner)
    return replace(state, learner=learner), metrics


# Reported by every gradient step.
METRICS = ("critic_loss", "actor_loss", "value", "td_error", "view_std", "entropy", "alpha")


def gradient_step(
    learner: Learner, ring: replay.Ring, key: jax.Array, config: Config, task: Task
) -> tuple[Learner, Metrics]:
    """One step of critics and convolutions, then one of the actor and of alpha, on one batch.

    The actor sees the first view, through the convolutions of before the step.
    """
    batch_key, view_key, next_key, target_key, actor_key = jax.random.split(key, 5)
    batch = replay.sample(batch_key, ring, config.batch_size, config.n_step, config.gamma)
    seen = visual.views(view_key, see(batch.seen, config, task), config.loss_views, config.pad)
    next_seen = see(batch.next_seen, config, task)
    next_seen = visual.views(next_key, next_seen, config.target_views, config.pad)
    goal = targets(learner, batch, next_seen, target_key, config)

    adam = optimiser(config)
    gradient, (features, critic_metrics) = jax.grad(critic_loss, has_aux=True)(
        learner.critic, seen, batch.action, goal, config
    )
    change, critic_optimiser = adam.update(gradient, learner.critic_optimiser, learner.critic)
    critic = optax.apply_updates(learner.critic, change)

    gradient, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        learner.actor, critic, learner.log_alpha, features[: config.batch_size], actor_key, config
    )
    change, actor_optimiser = adam.update(gradient, learner.actor_optimiser, learner.actor)
    actor = optax.apply_updates(learner.actor, change)

    excess = actor_metrics["entropy"] - config.target_entropy * task.action_size
    gradient = jnp.exp(learner.log_alpha) * excess
    change, alpha_optimiser = adam.update(gradient, learner.alpha_optimiser, learner.log_alpha)
    log_alpha = learner.log_alpha + change

    learner = Learner(
        actor=actor,
        critic=critic,
        target=optax.incremental_update(critic, learner.target, config.tau),
        log_alpha=log_alpha,
        actor_optimiser=actor_optimiser,
        critic_optimiser=critic_optimiser,
        alpha_optimiser=alpha_optimiser,
        gradients=learner.gradients + 1,
    )
    return learner, critic_metrics | actor_metrics | {"alpha": jnp.exp(log_alpha)}


def see(seen: PyTree, config: Config, task: Task) -> jax.Array:
    """Observations of what was stored."""
    return seen if config.store == "frames" else task.render(seen)


def targets(
    learner: Learner, batch: replay.Sample, next_seen: jax.Array, key: jax.Array, config: Config
) -> jax.Array:
    """Soft targets of the critics, the mean over K views (K * B, H, W, C), float32 (B,)."""
    features = visual.encode(learner.critic["encoder"], next_seen, config.network)
    mean, log_std = policy_parameters(learner.actor, features, config)
    action, log_prob = tanh_gaussian.sample(key, mean, log_std)
    features = visual.encode(learner.target["encoder"], next_seen, config.network)
    value = visual.values(learner.target, features, action, config)
    soft = jnp.min(value, axis=0) - jnp.exp(learner.log_alpha) * log_prob
    soft = jnp.mean(soft.reshape(config.target_views, -1), axis=0)
    return batch.reward + batch.discount * soft


def critic_loss(
    critic: PyTree, seen: jax.Array, action: jax.Array, goal: jax.Array, config: Config
) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
    """Sum over the critics of their mean losses over M views (M * B, H, W, C).

    Returns:
        loss; features (M * B, F), and diagnostics; view_std: how much Q differs between views.
    """
    features = visual.encode(critic["encoder"], seen, config.network)
    value = visual.values(critic, features, jnp.tile(action, (config.loss_views, 1)), config)
    value = value.reshape(config.num_critics, config.loss_views, -1)
    error = value - goal
    result = 0.5 * jnp.sum(jnp.mean(jnp.square(error), axis=(1, 2)))
    metrics = {
        "critic_loss": result,
        "value": jnp.mean(value),
        "td_error": jnp.mean(jnp.abs(error)),
        "view_std": jnp.mean(jnp.std(value, axis=1)),
    }
    return result, (features, metrics)


def actor_loss(
    actor: PyTree,
    critic: PyTree,
    log_alpha: jax.Array,
    features: jax.Array,
    key: jax.Array,
    config: Config,
) -> tuple[jax.Array, Metrics]:
    """Divergence of the policy from exp(Q / alpha), up to a constant, and diagnostics."""
    action, log_prob = tanh_gaussian.sample(key, *policy_parameters(actor, features, config))
    value = jnp.min(visual.values(critic, features, action, config), axis=0)
    result = jnp.mean(jnp.exp(log_alpha) * log_prob - value)
    return result, {"actor_loss": result, "entropy": -jnp.mean(log_prob)}


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: take tanh of the mean instead of sampling.

    Returns:
        act(key, observation) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), float32 (B, d) within the bounds of the environment.
    """

    def act(key, observation):
        features = visual.encode(state.learner.critic["encoder"], observation, config.network)
        mean, log_std = policy_parameters(state.learner.actor, features, config)
        sampled, _ = tanh_gaussian.sample(key, mean, log_std)
        return task.to_box(jnp.tanh(mean) if greedy else sampled)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.drq_sac", PRESETS, PRESET_TASKS)
