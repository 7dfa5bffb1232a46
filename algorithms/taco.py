"""Temporal latent action-driven contrastive loss (TACO) on DrQ-v2: control from pixels.

Papers: Zheng et al. 2023, "TACO: Temporal Latent Action-Driven Contrastive Loss for Visual
Reinforcement Learning", arXiv 2306.13229; Yarats, Fergus, Lazaric, Pinto 2021, "Mastering Visual
Continuous Control: Improved Data-Augmented Reinforcement Learning" (DrQ-v2), arXiv 2107.09645.
Claim: representations of states and actions that together tell the state K steps later need fewer
steps: 40 % higher returns after a million steps than DrQ-v2.

    y = R_n + gamma^n min_i Q_i_target(s', a'),     a' = pi(s') + clip(e, -c, c), e ~ N(0, sigma^2)
    L_Q = E[ (Q_i(z, psi(a)) - y)^2 ],              z the features of the shifted image s
    L_pi = E[ -min_i Q_i(z, psi(pi(s) + clip(e, -c, c))) ]
    L_TACO = InfoNCE( g(z_t, psi(a_t), ..., psi(a_t+K-1))^T W h(z_t+K) )
    L = L_Q + c1 L_TACO + c2 InfoNCE( h(z_t)^T W h(z'_t) ) + c3 (R(z_t, psi(a_t), ...) - R_K)^2

sigma falls linearly over the run. z' is another view of the same image (CURL, Laskin et al. 2020,
arXiv 2004.04136), R_K the discounted reward of K steps. ``taco=False`` is DrQ-v2: psi(a) = a and
L = L_Q.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import (
    clipped_noise,
    contrastive,
    episodes,
    latent_actions,
    networks,
    replay,
    visual,
    windows,
)
from algorithms.common.task import Task

PyTree = Any
Metrics = dict[str, jax.Array]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: Adam's step size, of all networks.
        gamma: discount.
        tau: share of the online critics in every update of the target critics.
        noise_start, noise_end: sigma at the start and after its decay.
        noise_fraction: share of the run over which sigma falls linearly, in (0, 1].
        noise_clip: c, bound of the noise on actions whose values are learned or climbed.
        contrast_coef, curl_coef, reward_coef: c1, c2 and c3.
        learning_starts: environment steps before the first gradient step; actions are random.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        pad: largest shift of an image along each side, in pixels; 0 leaves images as they are.
        network: trunk whose convolutions are shared, see :mod:`algorithms.common.visual`.
        head: dense layers of actor and critics, one of the trunks for vectors.
        feature_size: outputs of the projections between them.
        num_critics: critics, of which the smallest counts.
        taco: learn latent actions and the losses beside L_Q; otherwise this is DrQ-v2.
        window: K, actions between the two states of the contrastive loss.
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
    noise_start: float = 1.0
    noise_end: float = 0.1
    noise_fraction: float = 0.5
    noise_clip: float = 0.3
    contrast_coef: float = 1.0
    curl_coef: float = 1.0
    reward_coef: float = 1.0
    learning_starts: float = 1000
    reward_scale: float = 1.0
    pad: int = 2
    network: networks.Name = struct.field(pytree_node=False, default="small")
    head: networks.Name = struct.field(pytree_node=False, default="mlp-256")
    feature_size: int = struct.field(pytree_node=False, default=50)
    num_critics: int = struct.field(pytree_node=False, default=2)
    taco: bool = struct.field(pytree_node=False, default=True)
    window: int = struct.field(pytree_node=False, default=3)
    n_step: int = struct.field(pytree_node=False, default=3)
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
    critic: {"project": projection, "layers": those of the critics, leading axis num_critics}.
    target: the same of the target critics.
    shared: {"encoder": the convolutions}, with TACO also {"latent": psi and the networks of the
        losses beside L_Q}; they have no target.
    actor_optimiser, critic_optimiser: optax states, the latter of critic and shared.
    gradients: int32, gradient steps done.
    """

    actor: Any
    critic: Any
    target: Any
    shared: Any
    actor_optimiser: PyTree
    critic_optimiser: PyTree
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
    for name, steps in (("n_step", config.n_step), ("window", config.window)):
        if not 1 <= steps <= rows:
            raise ValueError(f"{name}: got {steps}, allowed: 1 to buffer_size / num_envs = {rows}")
    for name in ("num_critics", "feature_size"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: got {getattr(config, name)}, allowed: at least 1")
    visual.check(task.observation_shape)


def init_learner(key: jax.Array, config: Config, task: Task) -> Learner:
    """Networks and optimisers before the first gradient step."""
    actor_key, critic_key, shared_key = jax.random.split(key, 3)
    shape, size = task.observation_shape, task.action_size
    actor = visual.init_actor(actor_key, config, shape, size)
    inputs = latent_actions.size(size) if config.taco else size
    critic = visual.init_critic(critic_key, config, shape, inputs)
    shared = init_shared(shared_key, config, task)
    adam = optimiser(config)
    return Learner(
        actor=actor,
        critic=critic,
        target=critic,
        shared=shared,
        actor_optimiser=adam.init(actor),
        critic_optimiser=adam.init((critic, shared)),
        gradients=jnp.int32(0),
    )


def init_shared(key: jax.Array, config: Config, task: Task) -> PyTree:
    """Convolutions, and with TACO the representations of actions and of the future."""
    encoder_key, latent_key = jax.random.split(key)
    shape = task.observation_shape
    params: PyTree = {"encoder": visual.init_encoder(encoder_key, config.network, shape)}
    if config.taco:
        features = visual.encoded_size(config.network, shape)
        sizes = (task.action_size, config.window, features, config.feature_size)
        params["latent"] = latent_actions.init(latent_key, *sizes, config.head)
    return params


def optimiser(config: Config) -> optax.GradientTransformation:
    """Adam; rebuilt in each update, so all numbers may be traced."""
    return optax.adam(config.learning_rate)


# --- Networks -------------------------------------------------------------------------------------


def actions(actor: PyTree, features: jax.Array, config: Config) -> jax.Array:
    """pi(s), float32 (B, d) in [-1, 1], from features (B, F)."""
    return jnp.tanh(visual.outputs(actor, features, config))


def noise_std(step: jax.Array, config: Config) -> jax.Array:
    """sigma after so many environment steps."""
    decay_steps = config.noise_fraction * config.total_timesteps
    return clipped_noise.deviation(step, config.noise_start, config.noise_end, decay_steps)


def values(
    critic: PyTree, shared: PyTree, features: jax.Array, action: jax.Array, config: Config
) -> jax.Array:
    """Q_i(s, a) of all critics, float32 (num_critics, B)."""
    inputs = latent_actions.encode(shared["latent"], action) if config.taco else action
    return visual.values(critic, features, inputs, config)


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
    metrics = jax.tree.map(jnp.mean, metrics) | {"noise": noise_std(state.step, config)}
    return replace(state, key=key), episode_metrics | metrics


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
    features = visual.encode(learner.shared["encoder"], observation, config.network)
    action = actions(learner.actor, features, config)
    action = clipped_noise.add(action_key, action, noise_std(step, config))
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
        return gradient_step(learner, state.ring, std, key, config, task)

    def steps(learner):
        keys = jax.random.split(key, config.gradient_steps)
        learner, metrics = jax.lax.scan(step, learner, keys)
        return learner, jax.tree.map(jnp.mean, metrics)

    def wait(learner):
        return learner, {name: jnp.float32(0.0) for name in METRICS}

    std = noise_std(state.step, config)
    held = replay.size(state.ring) >= max(config.n_step, config.window)
    ready = (state.step >= config.learning_starts) & held
    learner, metrics = jax.lax.cond(ready, steps, wait, state.learner)
    return replace(state, learner=learner), metrics


# Reported by every gradient step; the last three are 0 without TACO.
METRICS = ("critic_loss", "actor_loss", "value", "td_error", "contrast", "curl", "reward_loss")


def gradient_step(
    learner: Learner,
    ring: replay.Ring,
    std: jax.Array,
    key: jax.Array,
    config: Config,
    task: Task,
) -> tuple[Learner, Metrics]:
    """One step of critics and what they share, then one of the actor, on one batch.

    The actor sees the images through the convolutions of before the step.
    """
    batch_key, view_key, next_key, target_key, loss_key, actor_key = jax.random.split(key, 6)
    sizes = (config.batch_size, config.window, config.n_step)
    batch, window = windows.sample(batch_key, ring, *sizes, config.gamma)
    images = see(batch.seen, config, task)
    seen = visual.views(view_key, images, 1, config.pad)
    next_seen = visual.views(next_key, see(batch.next_seen, config, task), 1, config.pad)
    goal = targets(learner, batch, next_seen, std, target_key, config)
    window = replace(window, next_seen=see(window.next_seen, config, task))

    def loss(params):
        critic, shared = params
        result, (features, metrics) = critic_loss(critic, shared, seen, batch.action, goal, config)
        extra, more = auxiliary_loss(shared, images, window, loss_key, config)
        return result + extra, (features, metrics | more)

    adam, online = optimiser(config), (learner.critic, learner.shared)
    gradient, (features, metrics) = jax.grad(loss, has_aux=True)(online)
    change, critic_optimiser = adam.update(gradient, learner.critic_optimiser, online)
    online: Any = optax.apply_updates(online, change)
    critic, shared = online

    gradient, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        learner.actor, critic, shared, features, std, actor_key, config
    )
    change, actor_optimiser = adam.update(gradient, learner.actor_optimiser, learner.actor)
    learner = Learner(
        actor=optax.apply_updates(learner.actor, change),
        critic=critic,
        target=optax.incremental_update(critic, learner.target, config.tau),
        shared=shared,
        actor_optimiser=actor_optimiser,
        critic_optimiser=critic_optimiser,
        gradients=learner.gradients + 1,
    )
    return learner, metrics | actor_metrics


def see(seen: PyTree, config: Config, task: Task) -> jax.Array:
    """Observations of what was stored."""
    return seen if config.store == "frames" else task.render(seen)


def targets(
    learner: Learner,
    batch: replay.Sample,
    next_seen: jax.Array,
    std: jax.Array,
    key: jax.Array,
    config: Config,
) -> jax.Array:
    """Targets of the critics, float32 (B,)."""
    features = visual.encode(learner.shared["encoder"], next_seen, config.network)
    action = clipped_noise.add(
        key, actions(learner.actor, features, config), std, config.noise_clip
    )
    value = values(learner.target, learner.shared, features, action, config)
    return batch.reward + batch.discount * jnp.min(value, axis=0)


def critic_loss(
    critic: PyTree,
    shared: PyTree,
    seen: jax.Array,
    action: jax.Array,
    goal: jax.Array,
    config: Config,
) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
    """Sum over the critics of their mean losses; features (B, F), and diagnostics."""
    features = visual.encode(shared["encoder"], seen, config.network)
    value = values(critic, shared, features, action, config)
    error = value - goal
    result = 0.5 * jnp.sum(jnp.mean(jnp.square(error), axis=1))
    metrics = {
        "critic_loss": result,
        "value": jnp.mean(value),
        "td_error": jnp.mean(jnp.abs(error)),
    }
    return result, (features, metrics)


def auxiliary_loss(
    shared: PyTree, images: jax.Array, window: windows.Window, key: jax.Array, config: Config
) -> tuple[jax.Array, Metrics]:
    """The weighted losses beside L_Q, and each of them; windows that are not valid do not count.

    Args:
        shared: convolutions, psi and the networks of these losses.
        images: (B, H, W, C), of the first step of the windows.
        window: windows, ``next_seen`` images.
        key, config: as everywhere.
    """
    if not config.taco:
        return jnp.float32(0.0), dict.fromkeys(METRICS[-3:], jnp.float32(0.0))
    latent = shared["latent"]

    def represent(key, images):
        shifted = visual.views(key, images, 1, config.pad)
        features = visual.encode(shared["encoder"], shifted, config.network)
        return latent_actions.represent(latent, features)

    keys = jax.random.split(key, 3)
    now = represent(keys[0], images)
    same = jax.lax.stop_gradient(represent(keys[1], images))
    later = jax.lax.stop_gradient(represent(keys[2], window.next_seen))
    future, reward = latent_actions.predict(latent, now, window.action, config.head)
    scores = contrastive.bilinear(future, latent["weight"], later)
    contrast = contrastive.info_nce(scores, window.valid)
    curl = contrastive.info_nce(contrastive.bilinear(now, latent["weight"], same))
    error = jnp.where(window.valid, jnp.square(reward - window.reward), 0.0)
    reward_loss = jnp.sum(error) / jnp.maximum(jnp.sum(window.valid), 1)
    result = config.contrast_coef * contrast + config.curl_coef * curl
    metrics = {"contrast": contrast, "curl": curl, "reward_loss": reward_loss}
    return result + config.reward_coef * reward_loss, metrics


def actor_loss(
    actor: PyTree,
    critic: PyTree,
    shared: PyTree,
    features: jax.Array,
    std: jax.Array,
    key: jax.Array,
    config: Config,
) -> tuple[jax.Array, Metrics]:
    """Minus the value of the policy with noise, and diagnostics."""
    action = clipped_noise.add(key, actions(actor, features, config), std, config.noise_clip)
    result = -jnp.mean(jnp.min(values(critic, shared, features, action, config), axis=0))
    return result, {"actor_loss": result}


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: leave the exploration noise out.

    Returns:
        act(key, observation) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), float32 (B, d) within the bounds of the environment.
    """

    std = noise_std(state.step, config)

    def act(key, observation):
        features = visual.encode(state.learner.shared["encoder"], observation, config.network)
        action = actions(state.learner.actor, features, config)
        return task.to_box(action if greedy else clipped_noise.add(key, action, std))

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.taco", PRESETS, PRESET_TASKS)
