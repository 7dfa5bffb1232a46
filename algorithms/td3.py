"""Twin delayed deep deterministic policy gradient.

Paper: Fujimoto, van Hoof, Meger 2018, "Addressing Function Approximation Error in Actor-Critic
Methods", arXiv 1802.09477.
Claim: the smaller of two critics, a delayed actor and smoothed targets remove the over-estimation
that keeps deterministic policy gradients from learning reliably.

    y = r + gamma min_i Q_i_target(s', a'),    a' = clip(pi_target(s') + clip(e, -c, c)), e normal
    L_Q = E[ (Q_i(s, a) - y)^2 ]
    L_pi = E[ -Q_1(s, pi(s)) ],                once per ``policy_delay`` steps of the critics

As options, three papers that change a line each:

* ``expectile_start``, ``expectile_end``: the loss of the critics is |tau - 1(y < Q)| (y - Q)^2,
  whose minimiser goes from the mean of y (tau = 1/2, Bellman operator) to its maximum (tau = 1,
  optimality operator); tau falls linearly over the run (Omura et al. 2025, "Gradual Transition
  from Bellman Optimality Operator to Bellman Operator in Online Reinforcement Learning", arXiv
  2506.05968).
* ``beer``, ``beer_coef``: adaptive regularisation of the rank of features (He et al. 2024, arXiv
  2404.12754).
* ``augment``: transitions are replaced by others that obey the same dynamics, with their reward
  computed anew (Corrado and Hanna 2024, arXiv 2310.17786).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import beer, episodes, invariance, networks, replay
from algorithms.common.task import Task

PyTree = Any
Metrics = dict[str, jax.Array]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: Adam's step size, of the actor and the critics.
        gamma: discount.
        tau: share of the online networks in every update of the target networks.
        exploration_noise: standard deviation of the noise on actions that are taken.
        target_noise, target_noise_clip: standard deviation and bound of that on target actions.
        expectile_start, expectile_end: of the critics' loss, in (0, 1); 1/2 is the squared error.
        expectile_fraction: share of the run after ``learning_starts`` over which the expectile
            changes, in (0, 1].
        beer_coef: weight of the rank regulariser, if ``beer`` is on.
        augment_share: share of a batch that is replaced, if ``augment`` is on.
        augment_reached: share of the new goals that are what the step reached.
        learning_starts: environment steps before the first gradient step; actions are random.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        network: trunk of actor and critics, see :mod:`algorithms.common.networks`.
        layer_norm: normalise features in the critics' trunks.
        num_critics: critics, of which the smallest counts.
        policy_delay: steps of the critics per step of the actor and of all targets.
        beer: regularise the rank of the critics' features.
        augment: invariance of the dynamics, see :mod:`algorithms.common.invariance`.
        n_step: steps of a transition.
        buffer_size: transitions that are kept.
        batch_size: transitions per gradient step.
        num_envs: parallel environments N.
        num_steps: steps per environment and round.
        gradient_steps: steps of the critics per round, a multiple of ``policy_delay``.
        rounds: rounds of acting and learning in one call of ``update``.
        total_timesteps: environment steps of the run, rounded down to whole updates.
        store: what is replayed: scenes, rendered again when they are drawn, or rendered frames.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    tau: float = 0.005
    exploration_noise: float = 0.1
    target_noise: float = 0.2
    target_noise_clip: float = 0.5
    expectile_start: float = 0.5
    expectile_end: float = 0.5
    expectile_fraction: float = 1.0
    beer_coef: float = 1e-3
    augment_share: float = 0.5
    augment_reached: float = 0.0
    learning_starts: float = 1000
    reward_scale: float = 1.0
    network: networks.Name = struct.field(pytree_node=False, default="mlp-128")
    layer_norm: bool = struct.field(pytree_node=False, default=False)
    num_critics: int = struct.field(pytree_node=False, default=2)
    policy_delay: int = struct.field(pytree_node=False, default=2)
    beer: bool = struct.field(pytree_node=False, default=False)
    augment: invariance.Kind = struct.field(pytree_node=False, default="none")
    n_step: int = struct.field(pytree_node=False, default=1)
    buffer_size: int = struct.field(pytree_node=False, default=100_000)
    batch_size: int = struct.field(pytree_node=False, default=128)
    num_envs: int = struct.field(pytree_node=False, default=4)
    num_steps: int = struct.field(pytree_node=False, default=1)
    gradient_steps: int = struct.field(pytree_node=False, default=2)
    rounds: int = struct.field(pytree_node=False, default=128)
    total_timesteps: int = struct.field(pytree_node=False, default=30_000)
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
    "brax": Config(
        learning_rate=3e-4,
        learning_starts=10_000,
        network="mlp-256",
        buffer_size=1_000_000,
        batch_size=256,
        num_envs=16,
        gradient_steps=16,
        total_timesteps=1_000_000,
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class Learner:
    """What gradient steps change.

    actor: parameters of the policy.
    critic, target: parameters of the online and the target critics, leading axis num_critics.
    target_actor: parameters of the policy that the targets follow.
    actor_optimiser, critic_optimiser: optax states.
    gradients: int32, steps of the critics done.
    """

    actor: Any
    critic: Any
    target: Any
    target_actor: Any
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
    check(config)
    invariance.check(config, task)
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
    if config.num_critics < 1:
        raise ValueError(f"num_critics: got {config.num_critics}, allowed: at least 1")
    if config.policy_delay < 1 or config.gradient_steps % config.policy_delay:
        raise ValueError(
            f"policy_delay: got {config.policy_delay}, "
            f"allowed: divisors of gradient_steps = {config.gradient_steps}"
        )


def init_learner(key: jax.Array, config: Config, task: Task) -> Learner:
    """Networks and optimisers before the first gradient step."""
    actor_key, critic_key = jax.random.split(key)
    actor = init_actor(actor_key, config, task)
    critic_keys = jax.random.split(critic_key, config.num_critics)
    critic = jax.vmap(init_critic, (0, None, None))(critic_keys, config, task)
    adam = optimiser(config)
    return Learner(
        actor=actor,
        critic=critic,
        target=critic,
        target_actor=actor,
        actor_optimiser=adam.init(actor),
        critic_optimiser=adam.init(critic),
        gradients=jnp.int32(0),
    )


def init_actor(key: jax.Array, config: Config, task: Task) -> networks.Params:
    """Trunk and a head of d numbers."""
    trunk_key, head_key = jax.random.split(key)
    width = networks.width(config.network)
    params = networks.init_trunk(trunk_key, config.network, task.observation_shape)
    return params | {"head": networks.init_dense(head_key, width, task.action_size, 0.01)}


def init_critic(key: jax.Array, config: Config, task: Task) -> networks.Params:
    """Trunk on observation and action, and a head of one value."""
    trunk_key, head_key = jax.random.split(key)
    shape = (task.observation_shape[0] + task.action_size,)
    params = networks.init_trunk(trunk_key, config.network, shape, config.layer_norm)
    return params | {"head": networks.init_dense(head_key, networks.width(config.network), 1)}


def optimiser(config: Config) -> optax.GradientTransformation:
    """Adam; rebuilt in each update, so all numbers may be traced."""
    return optax.adam(config.learning_rate)


# --- Networks -------------------------------------------------------------------------------------


def actions(actor: networks.Params, observation: jax.Array, config: Config) -> jax.Array:
    """pi(s), float32 (B, d) in [-1, 1]."""
    features = networks.trunk(actor, observation, config.network)
    return jnp.tanh(networks.dense(actor["head"], features))


def noisy(
    key: jax.Array, action: jax.Array, std: float | jax.Array, bound: float | jax.Array = jnp.inf
) -> jax.Array:
    """Actions with normal noise, itself clipped to [-bound, bound], within [-1, 1]."""
    noise = jnp.clip(std * jax.random.normal(key, action.shape), -bound, bound)
    return jnp.clip(action + noise, -1.0, 1.0)


def values(
    critic: networks.Params, observation: jax.Array, action: jax.Array, config: Config
) -> jax.Array:
    """Q_i(s, a) of all critics, float32 (num_critics, B)."""
    return jax.vmap(head_values)(critic, critic_features(critic, observation, action, config))


def head_values(params: networks.Params, features: jax.Array) -> jax.Array:
    """Values float32 (B,) of the features (B, W) of one critic."""
    return networks.dense(params["head"], features)[:, 0]


def critic_features(
    critic: networks.Params, observation: jax.Array, action: jax.Array, config: Config
) -> jax.Array:
    """phi_i(s, a) of all critics, in which their values are linear, float32 (num_critics, B, W)."""
    inputs = jnp.concatenate([observation, action], axis=-1)
    return jax.vmap(networks.trunk, (0, None, None))(critic, inputs, config.network)


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
    action = actions(learner.actor, observation, config)
    action = noisy(action_key, action, config.exploration_noise)
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

    def cycle(learner, key):
        return delayed_step(learner, state.ring, key, config, task)

    def cycles(learner):
        keys = jax.random.split(key, config.gradient_steps // config.policy_delay)
        learner, metrics = jax.lax.scan(cycle, learner, keys)
        return learner, jax.tree.map(jnp.mean, metrics)

    def wait(learner):
        return learner, {name: jnp.float32(0.0) for name in METRICS}

    ready = (state.step >= config.learning_starts) & (replay.size(state.ring) >= config.n_step)
    learner, metrics = jax.lax.cond(ready, cycles, wait, state.learner)
    return replace(state, learner=learner), metrics


# Reported by every gradient step.
METRICS = ("critic_loss", "value", "td_error", "expectile", "beer_penalty", "actor_loss")


def delayed_step(
    learner: Learner, ring: replay.Ring, key: jax.Array, config: Config, task: Task
) -> tuple[Learner, Metrics]:
    """``policy_delay`` steps of the critics, then one of the actor on their last batch."""

    def step(learner, key):
        return gradient_step(learner, ring, key, config, task)

    keys = jax.random.split(key, config.policy_delay)
    learner, (seen, metrics) = jax.lax.scan(step, learner, keys)
    gradient, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        learner.actor, learner.critic, seen[-1], config
    )
    change, actor_optimiser = optimiser(config).update(
        gradient, learner.actor_optimiser, learner.actor
    )
    actor = optax.apply_updates(learner.actor, change)
    learner = replace(
        learner,
        actor=actor,
        target=optax.incremental_update(learner.critic, learner.target, config.tau),
        target_actor=optax.incremental_update(actor, learner.target_actor, config.tau),
        actor_optimiser=actor_optimiser,
    )
    return learner, jax.tree.map(jnp.mean, metrics) | actor_metrics


def gradient_step(
    learner: Learner, ring: replay.Ring, key: jax.Array, config: Config, task: Task
) -> tuple[Learner, tuple[jax.Array, Metrics]]:
    """One step of the critics on one batch, whose observations are returned."""
    batch_key, augment_key, target_key = jax.random.split(key, 3)
    batch = replay.sample(batch_key, ring, config.batch_size, config.n_step, config.gamma)
    batch = replace(
        batch, seen=see(batch.seen, config, task), next_seen=see(batch.next_seen, config, task)
    )
    if config.augment != "none":
        batch = invariance.augment(augment_key, batch, config, task)
    next_action = actions(learner.target_actor, batch.next_seen, config)
    next_action = noisy(target_key, next_action, config.target_noise, config.target_noise_clip)
    goal = targets(learner, batch, next_action, config)

    gradient, metrics = jax.grad(critic_loss, has_aux=True)(
        learner.critic, batch, next_action, goal, expectile(learner.gradients, config), config
    )
    change, critic_optimiser = optimiser(config).update(
        gradient, learner.critic_optimiser, learner.critic
    )
    learner = replace(
        learner,
        critic=optax.apply_updates(learner.critic, change),
        critic_optimiser=critic_optimiser,
        gradients=learner.gradients + 1,
    )
    return learner, (batch.seen, metrics)


def see(seen: PyTree, config: Config, task: Task) -> jax.Array:
    """Observations of what was stored."""
    return seen if config.store == "frames" else task.render(seen)


def targets(
    learner: Learner, batch: replay.Sample, next_action: jax.Array, config: Config
) -> jax.Array:
    """Targets of the critics, float32 (B,)."""
    value = values(learner.target, batch.next_seen, next_action, config)
    return batch.reward + batch.discount * jnp.min(value, axis=0)


def expectile(gradients: jax.Array, config: Config) -> jax.Array:
    """tau after so many gradient steps, float32 ()."""
    learning = config.num_updates * config.steps_per_update - config.learning_starts
    # The round that reaches learning_starts learns, too.
    rounds = learning / (config.num_envs * config.num_steps) + 1.0
    whole = config.expectile_fraction * rounds * config.gradient_steps
    progress = jnp.clip(gradients / whole, 0.0, 1.0)
    return config.expectile_start + progress * (config.expectile_end - config.expectile_start)


def critic_loss(
    critic: networks.Params,
    batch: replay.Sample,
    next_action: jax.Array,
    goal: jax.Array,
    tau: jax.Array,
    config: Config,
) -> tuple[jax.Array, Metrics]:
    """Asymmetric squared error of all critics, and diagnostics."""
    features = critic_features(critic, batch.seen, batch.action, config)
    value = jax.vmap(head_values)(critic, features)
    error = value - goal
    weight = jnp.abs(tau - (error > 0.0))
    result = jnp.sum(jnp.mean(weight * jnp.square(error), axis=1))
    penalty = jnp.float32(0.0)
    if config.beer:
        next_features = critic_features(critic, batch.next_seen, next_action, config)
        penalty = jnp.sum(
            jax.vmap(rank_penalty, (0, 0, 0, None))(critic, features, next_features, batch)
        )
        result += config.beer_coef * penalty
    metrics = {
        "critic_loss": result,
        "value": jnp.mean(value),
        "td_error": jnp.mean(jnp.abs(error)),
        "expectile": jnp.asarray(tau, jnp.float32),
        "beer_penalty": penalty,
    }
    return result, metrics


def rank_penalty(
    params: networks.Params, features: jax.Array, next_features: jax.Array, batch: replay.Sample
) -> jax.Array:
    """BEER's penalty of one critic, float32 (); a constant feature stands for the bias."""
    one = jnp.ones((len(features), 1))
    now = jnp.concatenate([features, one], axis=-1)
    after = jnp.concatenate([next_features, one], axis=-1)
    weight = jnp.sum(jnp.square(params["head"]["kernel"])) + jnp.sum(params["head"]["bias"] ** 2)
    return beer.penalty(now, after, weight, batch.reward, batch.discount)


def actor_loss(
    actor: networks.Params, critic: networks.Params, seen: jax.Array, config: Config
) -> tuple[jax.Array, Metrics]:
    """Minus the value of the policy under the first critic, and diagnostics."""
    first = jax.tree.map(lambda leaf: leaf[:1], critic)
    result = -jnp.mean(values(first, seen, actions(actor, seen, config), config))
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

    def act(key, observation):
        action = actions(state.learner.actor, observation, config)
        return task.to_box(action if greedy else noisy(key, action, config.exploration_noise))

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.td3", PRESETS, PRESET_TASKS)
