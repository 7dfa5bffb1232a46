"""AVG: action value gradient, on nothing but the newest transition.

Paper: Vasan, Elsayed, Azimi, He, Shahriar, Bellinger, White and Mahmood 2024, "Deep Policy Gradient
Methods Without Batch Updates, Target Networks, or Replay Buffers", arXiv 2411.15370.
Claim: with observations, features and errors on a common scale, an actor and a critic learn from a
stream, one transition at a time and each only once, where SAC and TD3 without a buffer fail.

    delta = r + gamma (Q(s', a') - alpha log pi(a'|s')) - Q(s, a),         a' ~ pi(.|s')
    L_Q = (delta / sigma)^2
    L_pi = alpha log pi(a|s) - Q(s, a),              a as taken, by reparameterisation
    sigma^2 = Var[r - alpha log pi] + Var[gamma_t] E[G^2]

Q and pi are linear in features of length 1, observations have the mean 0 and the variance 1 of the
stream so far. gamma_t is 0 where an episode terminates, else gamma; G is the sum of the rewards
with entropy of an episode (return-based scaling, Schaul et al. 2021, arXiv 2105.05347).

Checked against the authors' program (github.com/gauthamvasan/avg, avg.py): losses, order of the
steps (the actor's gradient sees the critic before its step), Adam with beta1 = 0, leaky relu,
orthogonal weights of gain 1, log standard deviations clipped to [-20, 2], unit features, and the
numbers of the preset "brax" (theirs for Humanoid). It differs in two points. G ends with every
episode, also with one that the time limit cuts; there it runs on into the next. And the output that
is called the log standard deviation is that here; there the Gaussian takes its exponential as the
variance, which is a standard deviation of the square root.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import episodes, networks, normalise, return_scale, tanh_gaussian
from algorithms.common.task import Task
from envs.wrappers.normalize import Moments, no_moments

PyTree = Any
Metrics = dict[str, jax.Array]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: Adam's step size, of the critic.
        actor_learning_rate: Adam's step size, of the actor.
        beta1: Adam's decay of the mean gradient.
        gamma: discount.
        alpha: weight of the entropy.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        network: widths of the layers of actor and critic, see :mod:`algorithms.common.networks`.
        normalise_observations: with mean and variance of the stream so far.
        normalise_features: to length 1, those that mean, standard deviation and Q are linear in.
        scale_errors: divide the critic's errors by sigma.
        num_envs: streams N that one learner learns from; the paper's has 1.
        rounds: steps of every stream, with one gradient step each, in one call of ``update``.
        total_timesteps: environment steps of the run, rounded down to whole updates.
    """

    learning_rate: float = 1e-3
    actor_learning_rate: float = 3e-3
    beta1: float = 0.0
    gamma: float = 0.99
    alpha: float = 1.0
    reward_scale: float = 1.0
    network: networks.Name = struct.field(pytree_node=False, default="mlp")
    normalise_observations: bool = struct.field(pytree_node=False, default=True)
    normalise_features: bool = struct.field(pytree_node=False, default=True)
    scale_errors: bool = struct.field(pytree_node=False, default=True)
    num_envs: int = struct.field(pytree_node=False, default=1)
    rounds: int = struct.field(pytree_node=False, default=1000)
    total_timesteps: int = struct.field(pytree_node=False, default=100_000)

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one call of ``update``."""
        return self.num_envs * self.rounds

    @property
    def num_updates(self) -> int:
        """Calls of ``update`` in a whole run."""
        return self.total_timesteps // self.steps_per_update


PRESETS = {
    "default": Config(),
    "brax": Config(
        learning_rate=0.0087,
        actor_learning_rate=0.0063,
        alpha=0.07,
        network="mlp-256",
        total_timesteps=10_000_000,
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class Learner:
    """What gradient steps change.

    actor, critic: parameters.
    actor_optimiser, critic_optimiser: optax states.
    gradients: int32, gradient steps done.
    """

    actor: Any
    critic: Any
    actor_optimiser: PyTree
    critic_optimiser: PyTree
    gradients: jax.Array


@struct.dataclass
class State:
    """Everything that must be saved to go on; N is the number of environments.

    learner: networks and optimisers.
    moments: of all observations so far, those of ``scene`` included, shape (D,).
    stream: statistics of rewards with entropy, discounts and returns.
    env_state: environment states, leading axis N.
    scene: what the next observations are rendered from, leading axis N.
    tracker: running statistics of the current episodes.
    key: PRNG key.
    step: int32, environment steps done.
    """

    learner: Learner
    moments: Moments
    stream: return_scale.Stream
    env_state: PyTree
    scene: PyTree
    tracker: episodes.Tracker
    key: jax.Array
    step: jax.Array


class Newest(NamedTuple):
    """The newest transition of N streams.

    seen, next_seen: float32 (N, D), observations before and after the step and before any reset,
        normalised with the statistics of their time.
    action: float32 (N, d), in [-1, 1].
    reward: float32 (N,), without entropy.
    terminated: bool (N,); what is only cut bootstraps.
    """

    seen: jax.Array
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    next_seen: jax.Array


# --- Init -----------------------------------------------------------------------------------------


def init(key: jax.Array, config: Config, task: Task) -> State:
    """State before the first update.

    Raises:
        ValueError: options or sizes do not fit each other or the task.
    """
    check(config)
    networks.check(config.network, task.observation_shape)
    learner_key, reset_key, state_key = jax.random.split(key, 3)
    scene, env_state = task.reset(reset_key, config.num_envs)
    observation = task.render(scene)
    return State(
        learner=init_learner(learner_key, config, task),
        moments=normalise.update(no_moments(observation.shape[1:]), observation),
        stream=return_scale.init(config.num_envs),
        env_state=env_state,
        scene=scene,
        tracker=episodes.init(config.num_envs, whole=True),
        key=state_key,
        step=jnp.int32(0),
    )


def check(config: Config) -> None:
    """Raise a ValueError unless the options and sizes in the config fit each other."""
    if config.num_envs < 1:
        raise ValueError(f"num_envs: got {config.num_envs}, allowed: at least 1")
    if networks.CONVOLUTIONS.get(config.network):
        raise ValueError(f"network: got {config.network!r}, allowed: mlp, mlp-128, mlp-256")
    if config.num_updates < 1:
        raise ValueError(
            f"total_timesteps: {config.total_timesteps} is less than one update, "
            f"num_envs * rounds = {config.steps_per_update}"
        )


def init_learner(key: jax.Array, config: Config, task: Task) -> Learner:
    """Networks and optimisers before the first gradient step."""
    actor_key, critic_key = jax.random.split(key)
    inputs, size = task.observation_shape[0], task.action_size
    actor = init_network(actor_key, inputs, 2 * size, config)
    critic = init_network(critic_key, inputs + size, 1, config)
    return Learner(
        actor=actor,
        critic=critic,
        actor_optimiser=optimiser(config.actor_learning_rate, config).init(actor),
        critic_optimiser=optimiser(config.learning_rate, config).init(critic),
        gradients=jnp.int32(0),
    )


def init_network(key: jax.Array, inputs: int, outputs: int, config: Config) -> networks.Params:
    """Dense layers and a head, orthogonal with gain 1."""
    widths = networks.DENSE[config.network]
    *keys, head_key = jax.random.split(key, len(widths) + 1)
    params: networks.Params = {}
    for i, (layer_key, width) in enumerate(zip(keys, widths, strict=True)):
        params[f"dense_{i}"] = networks.init_dense(layer_key, inputs, width)
        inputs = width
    return params | {"head": networks.init_dense(head_key, inputs, outputs)}


def optimiser(learning_rate: float, config: Config) -> optax.GradientTransformation:
    """Adam; rebuilt in each update, so all numbers may be traced."""
    return optax.adam(learning_rate, b1=config.beta1)


# --- Networks -------------------------------------------------------------------------------------

# Bounds of the logarithm of the standard deviation, as in the paper.
LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


def features(params: networks.Params, inputs: jax.Array, config: Config) -> jax.Array:
    """What the head is linear in, float32 (B, width), of length 1 if they are normalised."""
    x = inputs
    for i in range(len(networks.DENSE[config.network])):
        x = jax.nn.leaky_relu(networks.dense(params[f"dense_{i}"], x))
    if not config.normalise_features:
        return x
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-12)


def policy_parameters(
    actor: networks.Params, seen: jax.Array, config: Config
) -> tuple[jax.Array, jax.Array]:
    """Mean and log standard deviation before tanh, float32 (B, d) each."""
    mean, raw = jnp.split(networks.dense(actor["head"], features(actor, seen, config)), 2, axis=-1)
    return mean, jnp.clip(raw, LOG_STD_MIN, LOG_STD_MAX)


def values(
    critic: networks.Params, seen: jax.Array, action: jax.Array, config: Config
) -> jax.Array:
    """Q(s, a), float32 (B,)."""
    inputs = jnp.concatenate([seen, action], axis=-1)
    return networks.dense(critic["head"], features(critic, inputs, config))[:, 0]


# --- Update ---------------------------------------------------------------------------------------


def update(state: State, config: Config, task: Task) -> tuple[State, Metrics]:
    """One iteration: ``rounds`` times a step of every stream and a gradient step on it.

    Returns:
        the next state, and float32 scalars: losses and diagnostics (means over all gradient steps),
        and statistics of the episodes that ended (NaN if none did).
    """

    def run(state, key):
        return learn(state, key, config, task)

    key, rounds_key = jax.random.split(state.key)
    state, (ended, metrics) = jax.lax.scan(run, state, jax.random.split(rounds_key, config.rounds))
    episode_metrics = episodes.means(jax.tree.map(jnp.sum, ended))
    return replace(state, key=key), episode_metrics | jax.tree.map(jnp.mean, metrics)


def learn(
    state: State, key: jax.Array, config: Config, task: Task
) -> tuple[State, tuple[Metrics, Metrics]]:
    """A step of every stream and a gradient step on it; sums over ended episodes, and metrics."""
    action_key, env_key, target_key = jax.random.split(key, 3)
    seen = normalised(state.moments, task.render(state.scene), config)
    action, log_prob = act(state.learner.actor, seen, action_key, config)
    transition = task.step(env_key, state.env_state, task.to_box(action))
    tracker, ended = episodes.track(state.tracker, transition)

    terminated, truncated = transition.terminated, transition.truncated
    reward = transition.reward * config.reward_scale
    stream = return_scale.update(
        state.stream, reward - config.alpha * log_prob, terminated, truncated, config.gamma
    )
    after = task.render(transition.final_scene)
    moments = normalise.update(state.moments, after)
    newest = Newest(seen, action, reward, terminated, normalised(moments, after, config))
    scale = return_scale.sigma(stream) if config.scale_errors else jnp.float32(1.0)
    learner, metrics = gradient_step(state.learner, newest, scale, (action_key, target_key), config)

    # The first observation of a next episode has not been counted yet.
    first = task.render(transition.scene)
    state = replace(
        state,
        learner=learner,
        moments=normalise.update(moments, first, terminated | truncated),
        stream=stream,
        env_state=transition.env_state,
        scene=transition.scene,
        tracker=tracker,
        step=state.step + config.num_envs,
    )
    return state, (ended, metrics | {"sigma": scale})


def act(
    actor: networks.Params, seen: jax.Array, key: jax.Array, config: Config
) -> tuple[jax.Array, jax.Array]:
    """Actions float32 (N, d) and logarithms of their densities (N,), differentiable."""
    mean, log_std = policy_parameters(actor, seen, config)
    return tanh_gaussian.sample(key, mean, log_std)


def normalised(moments: Moments, observation: jax.Array, config: Config) -> jax.Array:
    """Observations (N, D) as the networks see them."""
    if not config.normalise_observations:
        return observation
    return (observation - moments.mean) * jax.lax.rsqrt(moments.variance + 1e-8)


def gradient_step(
    learner: Learner,
    newest: Newest,
    scale: jax.Array,
    keys: tuple[jax.Array, jax.Array],
    config: Config,
) -> tuple[Learner, Metrics]:
    """One step of the critic and one of the actor, both from the networks before.

    Args:
        learner, newest, config: as elsewhere.
        scale: sigma.
        keys: the one that ``newest.action`` was drawn with, and one for the next action.
    """
    action_key, target_key = keys
    goal = targets(learner, newest, target_key, config)

    gradient, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        learner.critic, newest, goal, scale, config
    )
    adam = optimiser(config.learning_rate, config)
    change, critic_optimiser = adam.update(gradient, learner.critic_optimiser, learner.critic)
    critic = optax.apply_updates(learner.critic, change)

    gradient, actor_metrics = jax.grad(actor_loss, has_aux=True)(
        learner.actor, learner.critic, newest.seen, action_key, config
    )
    adam = optimiser(config.actor_learning_rate, config)
    change, actor_optimiser = adam.update(gradient, learner.actor_optimiser, learner.actor)
    actor = optax.apply_updates(learner.actor, change)

    learner = Learner(
        actor=actor,
        critic=critic,
        actor_optimiser=actor_optimiser,
        critic_optimiser=critic_optimiser,
        gradients=learner.gradients + 1,
    )
    return learner, critic_metrics | actor_metrics


def targets(learner: Learner, newest: Newest, key: jax.Array, config: Config) -> jax.Array:
    """Soft targets of the critic, float32 (N,), from the networks as they are."""
    action, log_prob = act(learner.actor, newest.next_seen, key, config)
    value = values(learner.critic, newest.next_seen, action, config)
    discount = jnp.where(newest.terminated, 0.0, config.gamma)
    return newest.reward + discount * (value - config.alpha * log_prob)


def critic_loss(
    critic: networks.Params, newest: Newest, goal: jax.Array, scale: jax.Array, config: Config
) -> tuple[jax.Array, Metrics]:
    """Squared scaled error, and diagnostics."""
    value = values(critic, newest.seen, newest.action, config)
    error = value - goal
    result = jnp.mean(jnp.square(error / scale))
    metrics = {
        "critic_loss": result,
        "value": jnp.mean(value),
        "td_error": jnp.mean(jnp.abs(error)),
    }
    return result, metrics


def actor_loss(
    actor: networks.Params,
    critic: networks.Params,
    seen: jax.Array,
    key: jax.Array,
    config: Config,
) -> tuple[jax.Array, Metrics]:
    """Entropy against value of the action taken, drawn again with its key, and diagnostics."""
    action, log_prob = act(actor, seen, key, config)
    value = values(critic, seen, action, config)
    result = jnp.mean(config.alpha * log_prob - value)
    return result, {"actor_loss": result, "entropy": -jnp.mean(log_prob)}


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation; statistics of observations stay as they are.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: take tanh of the mean instead of sampling.

    Returns:
        act(key, observation) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), float32 (B, d) within the bounds of the environment.
    """

    def choose(key, observation):
        seen = normalised(state.moments, observation, config)
        mean, log_std = policy_parameters(state.learner.actor, seen, config)
        sampled, _ = tanh_gaussian.sample(key, mean, log_std)
        return task.to_box(jnp.tanh(mean) if greedy else sampled)

    return choose


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.avg", PRESETS, PRESET_TASKS)
