"""Data-regularised Q (DrQ) for discrete actions.

Paper: Kostrikov, Yarats, Fergus 2021, "Image Augmentation Is All You Need: Regularizing Deep
Reinforcement Learning from Pixels", arXiv 2004.13649.
Claim: shifting replayed images by a few pixels, and averaging targets and losses over several such
views, is enough to learn from pixels about as data-efficiently as from states.

    y_i = r_i + gamma / K sum_k Q_target(f(s'_i, nu'_ik), argmax_a Q(f(s'_i, nu'_ik), a))
    L = 1 / (N M) sum_i,m huber(Q(f(s_i, nu_im), a_i) - y_i)

f(s, nu) is the image s shifted by a random offset nu (equations 1 to 3 with the target of double
Q-learning, as in the paper's experiments on Atari).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import augment, episodes, networks, replay
from algorithms.common.conv import Method
from algorithms.common.exploration import epsilon, explore
from algorithms.common.task import Task

PyTree = Any
Metrics = dict[str, jax.Array]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: Adam's step size.
        gamma: discount.
        epsilon_start, epsilon_end: shares of random actions, at the start and after the decay.
        epsilon_fraction: share of the run over which epsilon decays linearly, in (0, 1].
        learning_starts: environment steps before the first gradient step; actions are random.
        target_interval: gradient steps between updates of the target network.
        target_tau: share of the online network in such an update; 1 is a copy.
        max_grad_norm: global norm to which gradients are clipped.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        pad: largest shift of an image along each side, in pixels; 0 leaves images as they are.
        network: trunk, see :mod:`algorithms.common.networks`.
        layer_norm: normalise features in the trunk.
        conv: formulation of the convolutions, see :mod:`algorithms.common.conv`.
        target_views: K, views of the next image over which a target is averaged.
        loss_views: M, views of an image over which the loss is averaged.
        double: the online network chooses the action whose target value counts.
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

    learning_rate: float = 2.5e-4
    gamma: float = 0.995
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_fraction: float = 0.25
    learning_starts: float = 1000
    target_interval: int = 250
    target_tau: float = 1.0
    max_grad_norm: float = 10.0
    reward_scale: float = 0.02
    pad: int = 4
    network: networks.Name = struct.field(pytree_node=False, default="nature")
    layer_norm: bool = struct.field(pytree_node=False, default=False)
    conv: Method = struct.field(pytree_node=False, default="patches")
    target_views: int = struct.field(pytree_node=False, default=2)
    loss_views: int = struct.field(pytree_node=False, default=2)
    double: bool = struct.field(pytree_node=False, default=True)
    n_step: int = struct.field(pytree_node=False, default=5)
    buffer_size: int = struct.field(pytree_node=False, default=50_000)
    batch_size: int = struct.field(pytree_node=False, default=128)
    num_envs: int = struct.field(pytree_node=False, default=16)
    num_steps: int = struct.field(pytree_node=False, default=1)
    gradient_steps: int = struct.field(pytree_node=False, default=1)
    rounds: int = struct.field(pytree_node=False, default=128)
    total_timesteps: int = struct.field(pytree_node=False, default=1_000_000)
    store: Literal["scenes", "frames"] = struct.field(pytree_node=False, default="scenes")

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one call of ``update``."""
        return self.num_envs * self.num_steps * self.rounds

    @property
    def num_updates(self) -> int:
        """Calls of ``update`` in a whole run."""
        return self.total_timesteps // self.steps_per_update


# Frames of 32 x 32 fit into memory: drawing them again would cost as much as learning from them.
# With uniform first actions, or one gradient step per round, agents on base F (forest, sprite)
# settle for walking to and fro before the first stairs, which costs less than jumping.
_QUICK = Config(
    learning_rate=5e-4,
    epsilon_start=0.5,
    epsilon_fraction=0.5,
    target_interval=50,
    pad=1,
    network="small",
    n_step=10,
    gradient_steps=2,
    total_timesteps=500_000,
    store="frames",
)

PRESETS = {
    "default": Config(),
    "quick": _QUICK,
    "smoke": replace(_QUICK, learning_starts=500, rounds=16, total_timesteps=2_048),
    "cpu": replace(_QUICK, buffer_size=200_000, total_timesteps=1_000_000),
    "minatar": Config(
        learning_rate=2.5e-4,
        gamma=0.99,
        epsilon_fraction=0.1,
        epsilon_end=0.02,
        learning_starts=5000,
        target_interval=1000,
        reward_scale=1.0,
        pad=1,
        network="minatar",
        n_step=3,
        buffer_size=100_000,
        batch_size=64,
        num_envs=8,
        total_timesteps=2_000_000,
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {
    name: {"obs_size": 32} for name in ("quick", "smoke", "cpu")
}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class Learner:
    """What gradient steps change.

    params, target: parameters of the online and of the target network.
    optimiser: optax state.
    gradients: int32, gradient steps done.
    """

    params: Any
    target: Any
    optimiser: PyTree
    gradients: jax.Array


@struct.dataclass
class State:
    """Everything that must be saved to go on; N is the number of environments.

    learner: networks and optimiser.
    ring: the last transitions.
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
    check(config)
    params_key, reset_key, state_key = jax.random.split(key, 3)
    params = init_network(params_key, config, task)
    scene, env_state = task.reset(reset_key, config.num_envs)
    example = jax.eval_shape(lambda: act(params, scene, env_state, state_key, 0.0, config, task)[1])
    return State(
        learner=Learner(params, params, optimiser(config).init(params), jnp.int32(0)),
        ring=replay.init(example, config.buffer_size // config.num_envs),
        env_state=env_state,
        scene=scene,
        tracker=episodes.init(config.num_envs, whole=True),
        key=state_key,
        step=jnp.int32(0),
    )


def check(config: Config) -> None:
    """Raise a ValueError unless the options and sizes in the config fit each other."""
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
    for name, views in (("target_views", config.target_views), ("loss_views", config.loss_views)):
        if views < 1:
            raise ValueError(f"{name}: got {views}, allowed: at least 1")


def init_network(key: jax.Array, config: Config, task: Task) -> networks.Params:
    """Trunk and head of A values.

    Raises:
        ValueError: the task has no images to augment.
    """
    trunk_key, head_key = jax.random.split(key)
    shape = task.observation_shape
    if len(shape) != 3:
        raise ValueError(f"env: drq shifts images (H, W, C), observations are {shape}")
    params = networks.init_trunk(trunk_key, config.network, shape, config.layer_norm)
    width = networks.width(config.network)
    return params | {"head": networks.init_dense(head_key, width, task.num_actions)}


def optimiser(config: Config) -> optax.GradientTransformation:
    """Adam after clipping by global norm; rebuilt in each update, so all numbers may be traced."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adam(config.learning_rate, eps=1.5e-4),
    )


# --- Values ---------------------------------------------------------------------------------------


def values(params: networks.Params, observation: jax.Array, config: Config) -> jax.Array:
    """Q(s, a), float32 (B, A)."""
    return networks.dense(
        params["head"], networks.trunk(params, observation, config.network, config.conv)
    )


def views(key: jax.Array, observation: jax.Array, count: int, config: Config) -> jax.Array:
    """Shifted copies of images (B, H, W, C), (count * B, H, W, C): all of view 0 first."""
    copies = jnp.tile(observation, (count, 1, 1, 1))
    return augment.random_shift(key, copies, config.pad)


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
    metrics = jax.tree.map(jnp.mean, metrics) | {"epsilon": share_of_random(state.step, config)}
    return replace(state, key=key), episode_metrics | metrics


def collect(state: State, key: jax.Array, config: Config, task: Task) -> tuple[State, Metrics]:
    """Act for some steps in N environments and store them; sums over the episodes that ended."""

    def step(state, key):
        share = share_of_random(state.step, config)
        transition, stored = act(
            state.learner.params, state.scene, state.env_state, key, share, config, task
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
    params: networks.Params,
    scene: PyTree,
    env_state: PyTree,
    key: jax.Array,
    share: float | jax.Array,
    config: Config,
    task: Task,
) -> tuple[Any, replay.Step]:
    """One epsilon-greedy step of N environments: the transition, and what is stored of it."""
    action_key, env_key = jax.random.split(key)
    observation = task.render(scene)
    action = explore(action_key, values(params, observation, config), share)
    transition = task.step(env_key, env_state, action)
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


def share_of_random(step: jax.Array, config: Config) -> jax.Array:
    """Epsilon after so many environment steps."""
    decay_steps = config.epsilon_fraction * config.total_timesteps
    return epsilon(
        step, config.epsilon_start, config.epsilon_end, decay_steps, config.learning_starts
    )


def learn(state: State, key: jax.Array, config: Config, task: Task) -> tuple[State, Metrics]:
    """Gradient steps on replayed transitions, once there are enough of them."""

    def step(learner, key):
        batch_key, view_key = jax.random.split(key)
        batch = replay.sample(batch_key, state.ring, config.batch_size, config.n_step, config.gamma)
        gradient, metrics = jax.grad(loss, has_aux=True)(
            learner.params, learner.target, batch, view_key, config, task
        )
        change, adam = optimiser(config).update(gradient, learner.optimiser, learner.params)
        params = optax.apply_updates(learner.params, change)
        gradients = learner.gradients + 1
        share = jnp.where(gradients % config.target_interval == 0, config.target_tau, 0.0)
        target = optax.incremental_update(params, learner.target, share)
        return Learner(params, target, adam, gradients), metrics

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
METRICS = ("loss", "value", "td_error", "view_std")


def loss(
    params: networks.Params,
    target: networks.Params,
    batch: replay.Sample,
    key: jax.Array,
    config: Config,
    task: Task,
) -> tuple[jax.Array, Metrics]:
    """The loss of a batch, and diagnostics; view_std: how much Q differs between views."""
    loss_key, target_key = jax.random.split(key)
    seen = views(loss_key, see(batch.seen, config, task), config.loss_views, config)
    value = values(params, seen, config).reshape(config.loss_views, -1, task.num_actions)
    chosen = jnp.take_along_axis(value, batch.action[None, :, None], axis=-1)[:, :, 0]
    goal = jax.lax.stop_gradient(targets(params, target, batch, target_key, config, task))
    error = chosen - goal
    result = jnp.mean(optax.huber_loss(error))
    metrics = {
        "loss": result,
        "value": jnp.mean(chosen),
        "td_error": jnp.mean(jnp.abs(error)),
        "view_std": jnp.mean(jnp.std(chosen, axis=0)),
    }
    return result, metrics


def see(seen: PyTree, config: Config, task: Task) -> jax.Array:
    """Observations of what was stored."""
    return seen if config.store == "frames" else task.render(seen)


def targets(
    params: networks.Params,
    target: networks.Params,
    batch: replay.Sample,
    key: jax.Array,
    config: Config,
    task: Task,
) -> jax.Array:
    """r + gamma times the mean over K views of Q_target(s', a*), float32 (B,)."""
    next_seen = views(key, see(batch.next_seen, config, task), config.target_views, config)
    value = values(target, next_seen, config)
    best = jnp.argmax(values(params, next_seen, config) if config.double else value, axis=-1)
    chosen = jnp.take_along_axis(value, best[:, None], axis=-1)[:, 0]
    mean = jnp.mean(chosen.reshape(config.target_views, -1), axis=0)
    return batch.reward + batch.discount * mean


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
        value = values(state.learner.params, observation, config)
        return explore(key, value, 0.0 if greedy else config.epsilon_end)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.drq", PRESETS, PRESET_TASKS)
