"""Deep Q-learning.

Paper: Mnih et al. 2015, "Human-level control through deep reinforcement learning", Nature 518.
Claim: Q-learning with a network is stable enough to learn from images if transitions are replayed
and targets come from an older copy of the network.

    y = r + gamma max_a Q_target(s', a)        L = E[ huber(Q(s, a) - y) ]

On by default: double estimation (van Hasselt et al. 2016, arXiv 1509.06461). As options: n-step
returns, dueling streams (Wang et al. 2016, arXiv 1511.06581), and four papers that change a line
each:

* ``channels``, ``mappings``: rewards are split into channels r = sum_k w_k r_k, each with a head
  that stores f_k(Q_k), a mapping of its values: logarithmic Q-learning (van Seijen et al. 2019,
  arXiv 1906.00572) with channels of positive and negative rewards, orchestrated value mapping
  (Fatemi and Tavakoli 2022, arXiv 2203.07171) with a mapping per channel.
* ``own_targets``: every head is greedy for itself, as in the hybrid reward architecture (van Seijen
  et al. 2017, arXiv 1706.04208), instead of for the sum.
* ``reward_shift``: a constant added to every reward; below zero it makes initial values optimistic,
  above zero pessimistic (Sun et al. 2022, arXiv 2209.07288).
* ``loss="itakura-saito"``: its minimiser is the certainty equivalent -1/a log E exp(-a y) instead
  of the mean (Udovichenko et al. 2025, arXiv 2505.16925).
* ``beer_coef``: adaptive regularisation of the rank of features (He et al. 2024, arXiv 2404.12754).
* ``mask_actions``: invalid actions are neither taken nor counted in targets; for policy gradients
  this is studied by Huang and Ontanon (2022, arXiv 2006.14171).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import beer, episodes, exploration, networks, replay, value_maps
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
        reward_shift: added to every scaled reward, spread evenly over the channels.
        map_coef: c of the logarithmic mapping f(x) = c log(1 + x / map_offset).
        map_offset: of the logarithmic mapping; smaller values resolve smaller returns.
        map_step: step towards the target in the space of returns, before it is mapped; in (0, 1].
        risk_aversion: a of the Itakura-Saito loss, per unit of scaled return; not 0.
        beer_coef: weight of the rank regulariser, if ``beer`` is on.
        network: trunk, see :mod:`algorithms.common.networks`.
        layer_norm: normalise features in the trunk.
        conv: formulation of the convolutions, see :mod:`algorithms.common.conv`.
        double: the online network chooses the action whose target value counts.
        dueling: separate hidden layers for the value of a state and the advantages in it.
        n_step: steps of a transition.
        loss: of the difference between (mapped) value and target.
        channels: what rewards are split into: nothing, the positive and the negative part, or what
            the environment reports as ``info["reward_vector"]``.
        mappings: "identity" or "log", one for all channels, or one per channel: "log,identity".
        own_targets: every channel's target takes the action that is best for this channel.
        beer: regularise the rank of the features; needs heads without hidden layers.
        mask_actions: take, and count in targets, only actions of ``env.action_mask``; where an
            episode is cut, all of them count.
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
    gamma: float = 0.99
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_fraction: float = 0.25
    learning_starts: float = 1000
    target_interval: int = 250
    target_tau: float = 1.0
    max_grad_norm: float = 10.0
    reward_scale: float = 1.0
    reward_shift: float = 0.0
    map_coef: float = 0.5
    map_offset: float = 0.02
    map_step: float = 1.0
    risk_aversion: float = 1.0
    beer_coef: float = 0.0
    network: networks.Name = struct.field(pytree_node=False, default="mlp-128")
    layer_norm: bool = struct.field(pytree_node=False, default=False)
    conv: Method = struct.field(pytree_node=False, default="patches")
    double: bool = struct.field(pytree_node=False, default=True)
    dueling: bool = struct.field(pytree_node=False, default=False)
    n_step: int = struct.field(pytree_node=False, default=1)
    loss: Literal["huber", "mse", "itakura-saito"] = struct.field(
        pytree_node=False, default="huber"
    )
    channels: Literal["one", "sign", "vector"] = struct.field(pytree_node=False, default="one")
    mappings: str = struct.field(pytree_node=False, default="identity")
    own_targets: bool = struct.field(pytree_node=False, default=False)
    beer: bool = struct.field(pytree_node=False, default=False)
    mask_actions: bool = struct.field(pytree_node=False, default=False)
    buffer_size: int = struct.field(pytree_node=False, default=50_000)
    batch_size: int = struct.field(pytree_node=False, default=128)
    num_envs: int = struct.field(pytree_node=False, default=8)
    num_steps: int = struct.field(pytree_node=False, default=1)
    gradient_steps: int = struct.field(pytree_node=False, default=1)
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


_MINATAR = Config(
    learning_rate=2.5e-4,
    epsilon_fraction=0.1,
    epsilon_end=0.02,
    learning_starts=5000,
    target_interval=1000,
    network="minatar",
    n_step=3,
    buffer_size=100_000,
    batch_size=64,
    total_timesteps=2_000_000,
)

PRESETS = {
    "default": Config(),
    "minatar": _MINATAR,
    "minatar-log": replace(_MINATAR, channels="sign", mappings="log", gamma=0.96),
    "state": Config(
        learning_rate=5e-4,
        gamma=0.995,
        reward_scale=0.02,
        n_step=5,
        num_envs=16,
        gradient_steps=2,
        total_timesteps=1_000_000,
    ),
    "quick": Config(
        gamma=0.995,
        reward_scale=0.02,
        n_step=5,
        network="small",
        num_envs=16,
        total_timesteps=500_000,
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {"state": {"obs": "state"}, "quick": {"obs_size": 32}}

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
    if config.mask_actions and not task.has_action_mask:
        raise ValueError(
            f"mask_actions: got True, allowed: False, {task.env.name} has no action_mask"
        )
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
    value_maps.parse(config.mappings)
    if "log" in config.mappings and config.channels == "one":
        raise ValueError(
            "mappings: 'log' needs rewards of one sign: set channels to sign or vector"
        )
    if config.beer and config.dueling:
        raise ValueError("beer: needs values linear in the features, which dueling=True are not")
    if config.beer and (config.channels != "one" or "log" in config.mappings):
        raise ValueError("beer: needs one channel of rewards, without a mapping")


def init_network(key: jax.Array, config: Config, task: Task) -> networks.Params:
    """Trunk and heads; K channels of A values each."""
    trunk_key, head_key, hidden_key, value_key, advantage_key = jax.random.split(key, 5)
    shape = task.observation_shape
    params = networks.init_trunk(trunk_key, config.network, shape, config.layer_norm)
    width, channels = networks.width(config.network), len(channel_weights(config, task))
    values = channels * task.num_actions
    if not config.dueling:
        return params | {"head": networks.init_dense(head_key, width, values)}
    return params | {
        "hidden": networks.init_dense(hidden_key, width, 2 * width, jnp.sqrt(2.0)),
        "value": networks.init_dense(value_key, width, channels),
        "advantage": networks.init_dense(advantage_key, width, values),
    }


def optimiser(config: Config) -> optax.GradientTransformation:
    """Adam after clipping by global norm; rebuilt in each update, so all numbers may be traced."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm),
        optax.adam(config.learning_rate, eps=1.5e-4),
    )


# --- Values ---------------------------------------------------------------------------------------


def mapped_values(
    params: networks.Params, observation: jax.Array, config: Config, task: Task
) -> tuple[jax.Array, jax.Array]:
    """What the heads store, f_k(Q_k(s, a)), float32 (B, K, A), and the features (B, W)."""
    features = networks.trunk(params, observation, config.network, config.conv)
    if not config.dueling:
        heads = networks.dense(params["head"], features)
        return heads.reshape(len(heads), -1, task.num_actions), features
    hidden = jax.nn.relu(networks.dense(params["hidden"], features))
    of_value, of_advantage = jnp.split(hidden, 2, axis=-1)
    value = networks.dense(params["value"], of_value)[:, :, None]
    advantage = networks.dense(params["advantage"], of_advantage)
    advantage = advantage.reshape(*value.shape[:2], task.num_actions)
    return value + advantage - jnp.mean(advantage, axis=-1, keepdims=True), features


def values(params: networks.Params, observation: jax.Array, config: Config, task: Task):
    """Q(s, a) = sum_k w_k Q_k(s, a), float32 (B, A)."""
    channels = returns(mapped_values(params, observation, config, task)[0], config)
    return total(channels, config, task)


def total(channels: jax.Array, config: Config, task: Task) -> jax.Array:
    """Weighted sum over the channels of values (B, K, A), float32 (B, A)."""
    return jnp.einsum("k,bka->ba", channel_weights(config, task), channels)


def channel_weights(config: Config, task: Task) -> jax.Array:
    """w_k, float32 (K,).

    Raises:
        ValueError: the environment reports no vector of rewards, or mappings do not fit it.
    """
    count = {"one": 1, "sign": 2}.get(config.channels) or _reward_channels(task)
    if len(value_maps.parse(config.mappings)) not in (1, count):
        raise ValueError(f"mappings: got {config.mappings!r}, allowed: one, or one of {count}")
    return jnp.array([1.0, -1.0]) if config.channels == "sign" else jnp.ones(count)


def split(reward: jax.Array, info: dict[str, Any], config: Config) -> jax.Array:
    """Scaled and shifted rewards (N,) in channels, float32 (N, K), before they are weighted."""
    if config.channels == "vector":
        vector = info["reward_vector"].astype(jnp.float32) * config.reward_scale
        return vector + config.reward_shift / vector.shape[-1]
    reward = reward * config.reward_scale + config.reward_shift
    if config.channels == "one":
        return reward[:, None]
    return jnp.stack([jnp.maximum(reward, 0.0), jnp.maximum(-reward, 0.0)], axis=-1)


def mapped(x: jax.Array, config: Config) -> jax.Array:
    """f_k of values (B, K, ...)."""
    return value_maps.forward(x, config.mappings, config.map_coef, config.map_offset)


def returns(y: jax.Array, config: Config) -> jax.Array:
    """Values of what the heads store (B, K, ...), the inverse of :func:`mapped`."""
    return value_maps.inverse(y, config.mappings, config.map_coef, config.map_offset)


def _reward_channels(task: Task) -> int:
    def info():
        _, state = task.reset(jax.random.key(0), 1)
        return task.step(jax.random.key(0), state, jnp.zeros(1, jnp.int32)).info

    vector = jax.eval_shape(info).get("reward_vector")
    if vector is None:
        raise ValueError("channels: 'vector' needs an environment that reports reward_vector")
    return vector.shape[-1]


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
    mask = task.action_mask(env_state) if config.mask_actions else None
    action = explore(action_key, values(params, observation, config, task), share, mask)
    transition = task.step(env_key, env_state, action)
    next_mask = None
    if config.mask_actions:  # the state after an end is another episode's
        done = transition.terminated | transition.truncated
        next_mask = task.action_mask(transition.env_state) | done[:, None]
    frames = config.store == "frames"
    stored = replay.Step(
        seen=observation if frames else scene,
        action=action,
        reward=split(transition.reward, transition.info, config),
        terminated=transition.terminated,
        truncated=transition.truncated,
        next_seen=task.render(transition.final_scene) if frames else transition.final_scene,
        next_mask=next_mask,
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
        batch = replay.sample(key, state.ring, config.batch_size, config.n_step, config.gamma)
        gradient, metrics = jax.grad(loss, has_aux=True)(
            learner.params, learner.target, batch, config, task
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
METRICS = ("loss", "value", "td_error", "beer_penalty")


def loss(
    params: networks.Params,
    target: networks.Params,
    batch: replay.Sample,
    config: Config,
    task: Task,
) -> tuple[jax.Array, Metrics]:
    """The loss of a batch, and diagnostics."""
    channels, features = mapped_values(params, see(batch.seen, config, task), config, task)
    chosen = jnp.take_along_axis(channels, batch.action[:, None, None], axis=-1)[:, :, 0]
    next_seen = see(batch.next_seen, config, task)
    next_channels, next_features = mapped_values(params, next_seen, config, task)
    best = greedy_actions(returns(next_channels, config), batch.next_mask, config, task)
    goal, best = targets(target, batch, next_seen, best, config, task)

    now = returns(chosen, config)
    goal = jax.lax.stop_gradient(now + config.map_step * (goal - now))
    error = chosen - mapped(goal, config)
    penalty = jnp.float32(0.0)
    if config.beer:
        penalty = rank_penalty(params["head"], features, next_features, best[:, 0], batch)
    result = jnp.mean(elementwise_loss(error, config)) + config.beer_coef * penalty
    metrics = {
        "loss": result,
        "value": jnp.mean(channel_weights(config, task) * now) * now.shape[1],
        "td_error": jnp.mean(jnp.abs(error)),
        "beer_penalty": penalty,
    }
    return result, metrics


def see(seen: PyTree, config: Config, task: Task) -> jax.Array:
    """Observations of what was stored."""
    return seen if config.store == "frames" else task.render(seen)


def greedy_actions(
    channels: jax.Array, mask: jax.Array | None, config: Config, task: Task
) -> jax.Array:
    """The action that every channel's target takes, int32 (B, K), of values (B, K, A) and,
    if there is a mask (B, A), among those that it allows."""
    weighted = channel_weights(config, task)[:, None] * channels
    if config.own_targets:
        return exploration.best(weighted, None if mask is None else mask[:, None])
    best = exploration.best(jnp.sum(weighted, axis=1), mask)
    return jnp.broadcast_to(best[:, None], channels.shape[:2])


def targets(
    target: networks.Params,
    batch: replay.Sample,
    next_seen: jax.Array,
    best: jax.Array,
    config: Config,
    task: Task,
) -> tuple[jax.Array, jax.Array]:
    """Targets in the space of returns, float32 (B, K), and the actions whose values they hold.

    Args:
        target: parameters of the target network.
        batch: transitions.
        next_seen: observations at their ends.
        best: int32 (B, K), what the online network would do there; used by double estimation.
        config, task: as everywhere.
    """
    channels = returns(mapped_values(target, next_seen, config, task)[0], config)
    if not config.double:
        best = greedy_actions(channels, batch.next_mask, config, task)
    value = jnp.take_along_axis(channels, best[:, :, None], axis=-1)[:, :, 0]
    return batch.reward + batch.discount[:, None] * value, best


def elementwise_loss(error: jax.Array, config: Config) -> jax.Array:
    """Loss of differences between value and target, same shape.

    The Itakura-Saito divergence between exp(-a y) and exp(-a Q) is exp(a d) - a d - 1 with
    d = Q - y; divided by a^2, it becomes the squared error as a goes to 0.
    """
    if config.loss == "huber":
        return optax.huber_loss(error)
    if config.loss == "mse":
        return 0.5 * jnp.square(error)
    scaled = config.risk_aversion * error
    return (jnp.expm1(scaled) - scaled) / jnp.square(config.risk_aversion)


def rank_penalty(
    head: dict[str, jax.Array],
    features: jax.Array,
    next_features: jax.Array,
    best: jax.Array,
    batch: replay.Sample,
) -> jax.Array:
    """BEER's penalty, float32 (), where phi(s, a) holds the features of s, and a one for the bias,
    in the block of action a: actions that differ have a similarity of 0."""
    num_actions = head["bias"].shape[0]
    blocks = _in_block(features, batch.action, num_actions)
    next_blocks = _in_block(next_features, best, num_actions)
    weight = jnp.sum(jnp.square(head["kernel"])) + jnp.sum(jnp.square(head["bias"]))
    return beer.penalty(blocks, next_blocks, weight, batch.reward[:, 0], batch.discount)


def _in_block(features: jax.Array, action: jax.Array, num_actions: int) -> jax.Array:
    features = jnp.concatenate([features, jnp.ones((len(features), 1))], axis=-1)
    blocks = jax.nn.one_hot(action, num_actions)[:, :, None] * features[:, None]
    return blocks.reshape(len(features), -1)


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: take the best action, instead of a random one with probability ``epsilon_end``.

    Returns:
        act(key, observation, mask=None) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), int32 (B,), among the actions of a mask, bool (B, A), if given.
    """

    def act(key, observation, mask=None):
        value = values(state.learner.params, observation, config, task)
        return explore(key, value, 0.0 if greedy else config.epsilon_end, mask)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.dqn", PRESETS, PRESET_TASKS)
