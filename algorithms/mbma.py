"""MBMA: many actions in every visited state, their outcomes from a learned model.

Paper: Nauman and Cygan 2023, "On Many-Actions Policy Gradient", arXiv 2210.13011.
Claim: the variance of a policy gradient falls with the number of actions per visited state. A model
of the dynamics provides them without further steps of the environment, and at real states instead
of simulated ones, which leaves less bias.

    in every state s of a rollout, beside the action taken: a_i ~ pi(.|s), i = 1 .. n
    A_i = sum_k (gamma lambda)^k (r_k + gamma V(s_k+1) - V(s_k)),  k < h,  from s_0 = s with a_i
    L = E_s[ 1 / (1 + n) sum_i -min(rho_i A_i, clip(rho_i, 1 - eps, 1 + eps) A_i) ] + c_v ...

That is PPO (Schulman et al. 2017, arXiv 1707.06347) with n more samples per state; with
``extra_actions`` 0 it is PPO itself. When more actions are better than more states is in
:mod:`algorithms.common.many_actions`.

Checked against the authors' program (github.com/naumix/CHANGES_ICML2023): the loss, the advantages,
that real and generated actions count alike, that the critic learns from real steps alone, that the
model is fitted to recent steps by squared errors before every update, and that generated steps
never terminate. Different: the model predicts the change of the observation as the networks see it,
with one trunk for observation and reward; n and h are constant instead of growing over the run.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import actor_critic, episodes, latent_model, networks, normalise, policies
from algorithms.common.bootstrap import flatten, replace_values
from algorithms.common.gae import gae
from algorithms.common.keys import beside
from algorithms.common.shuffle import permutation
from algorithms.common.task import Task

PyTree = Any
Metrics = dict[str, jax.Array]
Source = Literal["model", "simulator"]

# --- Config ---------------------------------------------------------------------------------------


@struct.dataclass
class Config:
    """Hyper-parameters. Static ones change shapes or control flow, the others are traced leaves.

    Attributes:
        learning_rate: Adam's step size.
        anneal_lr: share of the learning rate that is taken away linearly over the run, in [0, 1].
        gamma: discount.
        gae_lambda: trace decay of the advantage estimates.
        clip_coef: eps of the ratio clip.
        ent_coef: weight of the entropy bonus.
        anneal_ent: share of ``ent_coef`` that is taken away linearly over the run, in [0, 1].
        vf_coef: weight of the value loss, which has a factor 1/2 of its own.
        max_grad_norm: global norm to which gradients are clipped.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        init_log_std: logarithm of the policy's standard deviation at the start, in units of half
            the action range.
        model_learning_rate: Adam's step size of the model.
        model_starts: updates before extra actions count; the model is fitted from the first one.
        network: trunk, see :mod:`algorithms.common.networks`.
        num_envs: parallel environments N.
        num_steps: steps per environment and rollout T.
        num_minibatches: gradient steps per epoch; must divide N * T.
        update_epochs: passes over a rollout.
        total_timesteps: environment steps of the run, rounded down to whole rollouts.
        norm_adv: standardise advantages in each minibatch (population standard deviation).
        stagger_episodes: start environments at evenly spread times of their first episode.
        shared_trunk: actor and critic share the trunk.
        norm_obs: standardise observations by their running moments.
        norm_reward: divide rewards by the deviation of the running discounted return (Engstrom et
            al. 2020, arXiv 2005.12729).
        extra_actions: n, beside the one that was taken.
        horizon: h, steps from a state with an extra action until the critic's value.
        many_actions: what answers extra actions: the learned model, or copies of the environment,
            which is exact but needs a simulator that starts anywhere.
        model_network: trunk of the model.
        model_steps: gradient steps of the model per update.
        model_batch: transitions per gradient step of the model.
        memory: rollouts that the model learns from, the newest included.
    """

    learning_rate: float = 1e-3
    anneal_lr: float = 1.0
    gamma: float = 0.9
    gae_lambda: float = 0.95
    clip_coef: float = 0.2
    ent_coef: float = 0.0
    anneal_ent: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    reward_scale: float = 1.0
    init_log_std: float = -0.5
    model_learning_rate: float = 1e-3
    model_starts: float = 2.0
    network: networks.Name = struct.field(pytree_node=False, default="mlp")
    num_envs: int = struct.field(pytree_node=False, default=16)
    num_steps: int = struct.field(pytree_node=False, default=128)
    num_minibatches: int = struct.field(pytree_node=False, default=16)
    update_epochs: int = struct.field(pytree_node=False, default=8)
    total_timesteps: int = struct.field(pytree_node=False, default=200_000)
    norm_adv: bool = struct.field(pytree_node=False, default=True)
    stagger_episodes: bool = struct.field(pytree_node=False, default=True)
    shared_trunk: bool = struct.field(pytree_node=False, default=False)
    norm_obs: bool = struct.field(pytree_node=False, default=True)
    norm_reward: bool = struct.field(pytree_node=False, default=True)
    extra_actions: int = struct.field(pytree_node=False, default=4)
    horizon: int = struct.field(pytree_node=False, default=4)
    many_actions: Source = struct.field(pytree_node=False, default="model")
    model_network: networks.Name = struct.field(pytree_node=False, default="mlp-128")
    model_steps: int = struct.field(pytree_node=False, default=128)
    model_batch: int = struct.field(pytree_node=False, default=128)
    memory: int = struct.field(pytree_node=False, default=16)

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one call of ``update``."""
        return self.num_envs * self.num_steps

    @property
    def num_updates(self) -> int:
        """Calls of ``update`` in a whole run."""
        return self.total_timesteps // self.steps_per_update

    @property
    def with_model(self) -> bool:
        """Whether there are extra actions and the model answers them."""
        return self.extra_actions > 0 and self.many_actions == "model"


# "default" is for small continuous tasks such as Pendulum.
PRESETS = {
    "default": Config(),
    "brax": Config(
        learning_rate=3e-4,
        gamma=0.99,
        network="mlp-256",
        num_envs=64,
        num_minibatches=32,
        update_epochs=4,
        total_timesteps=2_000_000,
        model_network="mlp-256",
        model_steps=512,
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class Memory:
    """Steps that the model learns from, leaves (B, ...).

    seen, after: float32 (B, D), observations before and after the step, the latter before resets.
    action: float32 (B, d), in [-1, 1]. reward: float32 (B,), times ``Config.reward_scale``.
    """

    seen: jax.Array
    action: jax.Array
    reward: jax.Array
    after: jax.Array


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
    world, world_optimiser: parameters of the model, and its optax state.
    memory: the steps of the last rollouts, the newest last; those not made yet are zero.
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
    world: Any = None
    world_optimiser: Any = None
    memory: Any = None


@struct.dataclass
class Rollout:
    """T steps of N environments: leaves (T, N, ...), or (B, ...) once flattened.

    seen: observations.
    action: float32 (..., d) before it is clipped to [-1, 1].
    log_prob, value, reward: float32, of the policy that acted; reward is scaled.
    terminated, truncated: bool.
    final_scene: scenes before resets.
    env_state: environment states before the step, None unless the simulator answers extra actions.
    """

    seen: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    final_scene: PyTree
    env_state: PyTree


@struct.dataclass
class Batch:
    """Samples of a rollout for learning, leaves (B, ...).

    action: (B, 1 + n, d); log_prob, advantage: (B, 1 + n); the action that was taken comes first.
    """

    seen: jax.Array
    action: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


@struct.dataclass
class Terms:
    """What the loss needs beside parameters and samples.

    ent_coef: weight of the entropy bonus. obs_moments: see :class:`State`.
    weight: float32 (1 + n,), of the actions in a state; their sum is 1.
    """

    ent_coef: Any
    weight: jax.Array
    obs_moments: Any = None


# --- Init -----------------------------------------------------------------------------------------


def init(key: jax.Array, config: Config, task: Task) -> State:
    """State before the first update.

    Raises:
        ValueError: sizes do not fit each other, or the task's observations or actions are no
            vectors.
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
    if not config.with_model:
        return state
    sizes = task.observation_shape[0], task.action_size
    world_key = beside(params_key)
    world = latent_model.init(world_key, *sizes, 0, config.model_network, False)
    rows = config.memory * config.steps_per_update
    seen, action = (jnp.zeros((rows, size)) for size in sizes)
    return replace(
        state,
        world=world,
        world_optimiser=optax.adam(config.model_learning_rate).init(world),
        memory=Memory(seen, action, jnp.zeros(rows), seen),
    )


def init_network(key: jax.Array, config: Config, task: Task) -> actor_critic.Params:
    """Parameters of actor and critic, and of the gaussian head its ``log_std``."""
    outputs = task.action_size
    params = actor_critic.init(
        key, config.network, task.observation_shape, outputs, config.shared_trunk
    )
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
    if config.many_actions not in get_args(Source):
        allowed = ", ".join(get_args(Source))
        raise ValueError(f"many_actions: got {config.many_actions!r}, allowed: {allowed}")
    least = {"extra_actions": 0, "horizon": 1, "model_steps": 1, "model_batch": 1, "memory": 1}
    for name, low in least.items():
        if getattr(config, name) < low:
            raise ValueError(f"{name}: got {getattr(config, name)}, allowed: {low} or more")
    if len(task.observation_shape) != 1:
        raise ValueError(
            f"env: {task.env.name} has observations {task.observation_shape}, allowed: vectors"
        )


def optimiser(config: Config, learning_rate: float | jax.Array) -> optax.GradientTransformation:
    """Adam after clipping by global norm; rebuilt in each update, so all numbers may be traced."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(learning_rate, eps=1e-5)
    )


# --- Update ---------------------------------------------------------------------------------------


def update(state: State, config: Config, task: Task) -> tuple[State, Metrics]:
    """One iteration: a rollout, steps of the model, extra actions, epochs of gradient steps.

    Returns:
        the next state, and float32 scalars: losses and diagnostics (means over all minibatches),
        and statistics of the episodes that ended in this rollout (NaN if none did).
    """
    key, rollout_key, learn_key = jax.random.split(state.key, 3)
    model_key, extra_key = jax.random.split(beside(learn_key))
    state, rollout, metrics = collect(state, rollout_key, config, task)
    if config.with_model:
        state = remember(state, rollout, task)
    if config.norm_reward:
        done = rollout.terminated | rollout.truncated
        moments, running_return, reward = normalise.rewards(
            state.return_moments, state.running_return, rollout.reward, done, config.gamma
        )
        state = replace(state, return_moments=moments, running_return=running_return)
        rollout = replace(rollout, reward=reward)
    if config.with_model:
        state, model_metrics = fit(state, model_key, config)
        metrics |= model_metrics
    batch = estimate(state, rollout, config, task)
    metrics |= {"explained_variance": explained(batch)}
    if config.extra_actions:
        batch = extend(state, batch, rollout, extra_key, config, task)
    state, loss_metrics = learn(state, batch, learn_key, config)
    if config.norm_obs:  # only now, so that the policy that acted is the one that learned
        state = replace(state, obs_moments=normalise.update(state.obs_moments, rollout.seen))
    state = replace(state, key=key, iteration=state.iteration + 1)
    return state, metrics | loss_metrics


def explained(batch: Batch) -> jax.Array:
    """Share of the variance of the value targets that the values explain."""
    return 1.0 - jnp.var(batch.advantage) / (jnp.var(batch.target) + 1e-8)


def collect(
    state: State, key: jax.Array, config: Config, task: Task
) -> tuple[State, Rollout, Metrics]:
    """Act for T steps in N environments with the policy as it is."""
    simulator = config.extra_actions > 0 and config.many_actions == "simulator"

    def step(carry, step_key):
        scene, env_state, tracker = carry
        action_key, env_key = jax.random.split(step_key)
        observation = task.render(scene)
        pi, value = forward(state.params, observation, state.obs_moments, config)
        action = pi.sample(action_key)
        transition = task.step(env_key, env_state, policies.to_env(action, task))
        tracker, ended = episodes.track(tracker, transition)
        stored = Rollout(
            seen=observation,
            action=action,
            log_prob=pi.log_prob(action),
            value=value,
            reward=transition.reward * config.reward_scale,
            terminated=transition.terminated,
            truncated=transition.truncated,
            final_scene=transition.final_scene,
            env_state=env_state if simulator else None,
        )
        return (transition.scene, transition.env_state, tracker), (stored, ended)

    keys = jax.random.split(key, config.num_steps)
    carry = (state.scene, state.env_state, state.tracker)
    (scene, env_state, tracker), (rollout, ended) = jax.lax.scan(step, carry, keys)
    state = replace(state, scene=scene, env_state=env_state, tracker=tracker)
    return state, rollout, episodes.means(jax.tree.map(jnp.sum, ended))


def forward(
    params: actor_critic.Params, observation: jax.Array, obs_moments: Any, config: Config
) -> tuple[policies.Policy, jax.Array]:
    """Policy and state values float32 (B,) of observations (B, D).

    Without moments, observations are taken as they are: those of the model have been scaled.
    """
    if obs_moments is not None:
        observation = normalise.observations(obs_moments, observation)
    outputs, value = actor_critic.apply(params, observation, config.network)
    return policies.build("gaussian", outputs, params["log_std"]), value


def estimate(state: State, rollout: Rollout, config: Config, task: Task) -> Batch:
    """Advantages and value targets of a rollout, flattened to B = T * N samples."""
    last_value = values(state, state.scene, config, task)
    next_value = jnp.concatenate([rollout.value[1:], last_value[None]])
    terminated, truncated = rollout.terminated, rollout.truncated
    next_value = replace_values(
        lambda scene: values(state, scene, config, task),
        next_value,
        truncated & ~terminated,
        rollout.final_scene,
    )
    advantage = gae(
        rollout.reward,
        rollout.value,
        next_value,
        terminated,
        truncated,
        config.gamma,
        config.gae_lambda,
    )
    one = rollout.seen, rollout.action, rollout.log_prob, advantage, advantage + rollout.value
    seen, action, log_prob, advantage, target = jax.tree.map(flatten, one)
    return Batch(seen, action[:, None], log_prob[:, None], advantage[:, None], target)


def values(state: State, scene: PyTree, config: Config, task: Task) -> jax.Array:
    """State values float32 (B,) of B scenes."""
    return forward(state.params, task.render(scene), state.obs_moments, config)[1]


# --- Extra actions --------------------------------------------------------------------------------


def remember(state: State, rollout: Rollout, task: Task) -> State:
    """Put a rollout, whose rewards are not divided yet, in the place of the oldest one."""
    steps = jax.tree.map(flatten, rollout)
    action = jnp.clip(steps.action, -1.0, 1.0)
    new = Memory(steps.seen, action, steps.reward, task.render(steps.final_scene))
    memory = jax.tree.map(
        lambda old, new: jnp.concatenate([old[new.shape[0] :], new]), state.memory, new
    )
    return replace(state, memory=memory)


def fit(state: State, key: jax.Array, config: Config) -> tuple[State, Metrics]:
    """Gradient steps of the model on steps in memory, in the units of actor and critic."""
    memory = state.memory
    made = jnp.minimum((state.iteration + 1) * config.steps_per_update, memory.reward.shape[0])
    adam = optax.adam(config.model_learning_rate)

    def step(carry, step_key):
        world, optimiser_state = carry
        back = jax.random.randint(step_key, (config.model_batch,), 1, made + 1)
        steps = jax.tree.map(lambda x: x[-back], memory)
        gradient, metrics = jax.grad(model_loss, has_aux=True)(world, steps, state, config)
        change, optimiser_state = adam.update(gradient, optimiser_state, world)
        return (optax.apply_updates(world, change), optimiser_state), metrics

    keys = jax.random.split(key, config.model_steps)
    (world, world_optimiser), metrics = jax.lax.scan(
        step, (state.world, state.world_optimiser), keys
    )
    state = replace(state, world=world, world_optimiser=world_optimiser)
    return state, jax.tree.map(jnp.mean, metrics)


def model_loss(
    world: PyTree, steps: Memory, state: State, config: Config
) -> tuple[jax.Array, Metrics]:
    """Mean squared errors of the next observation and of the reward."""
    seen, after = scaled(state, steps.seen), scaled(state, steps.after)
    reward = scaled_reward(state, steps.reward)
    errors = latent_model.errors(world, seen, steps.action, reward, after, config.model_network)
    return errors[0] + errors[1], {"model_loss": errors[0], "reward_loss": errors[1]}


def scaled(state: State, observation: jax.Array) -> jax.Array:
    """Observations (B, D) as actor, critic and model see them."""
    if state.obs_moments is None:
        return observation
    return normalise.observations(state.obs_moments, observation)


def scaled_reward(state: State, reward: jax.Array) -> jax.Array:
    """Rewards (B,) as the critic sees them."""
    if state.return_moments is None:
        return reward
    factor = jax.lax.rsqrt(state.return_moments.variance + normalise.EPSILON)
    return jnp.clip(reward * factor, -normalise.CLIP, normalise.CLIP)


def extend(
    state: State, batch: Batch, rollout: Rollout, key: jax.Array, config: Config, task: Task
) -> Batch:
    """The samples with n extra actions in every state, and their advantages."""

    def copies(x):
        return jnp.repeat(x, config.extra_actions, axis=0)

    start = (
        copies(scaled(state, batch.seen)),
        jax.tree.map(lambda x: copies(flatten(x)), rollout.env_state),
    )

    def step(position, step_key):
        action_key, env_key = jax.random.split(step_key)
        pi, value = forward(state.params, position[0], None, config)
        action = pi.sample(action_key)
        position, reward, terminated = answer(state, position, action, env_key, config, task)
        return position, (action, pi.log_prob(action), value, reward, terminated)

    end, steps = jax.lax.scan(step, start, jax.random.split(key, config.horizon))
    action, log_prob, value, reward, terminated = steps
    last_value = forward(state.params, end[0], None, config)[1]
    next_value = jnp.concatenate([value[1:], last_value[None]])
    goes_on = jnp.zeros_like(terminated)  # as far as time limits are concerned
    advantage = gae(reward, value, next_value, terminated, goes_on, config.gamma, config.gae_lambda)

    def joined(taken, extra):
        extra = extra[0].reshape(len(taken), config.extra_actions, *extra.shape[2:])
        return jnp.concatenate([taken, extra], axis=1)

    return replace(
        batch,
        action=joined(batch.action, action),
        log_prob=joined(batch.log_prob, log_prob),
        advantage=joined(batch.advantage, advantage),
    )


def answer(
    state: State, position: PyTree, action: jax.Array, key: jax.Array, config: Config, task: Task
) -> tuple[PyTree, jax.Array, jax.Array]:
    """One step with extra actions (B, d).

    Args:
        position: scaled observations (B, D), and environment states or None.

    Returns:
        the next position, scaled rewards float32 (B,), and bool (B,), the episode terminated.
    """
    observation, env_state = position
    if config.many_actions == "model":
        action = jnp.clip(action, -1.0, 1.0)
        after, reward = latent_model.predict(state.world, observation, action, config.model_network)
        return (after, None), reward, jnp.zeros(reward.shape, bool)
    keys = jax.random.split(key, action.shape[0])
    after, env_state, reward, terminated, _ = jax.vmap(task.env.step_env, (0, 0, 0, None))(
        keys, env_state, policies.to_env(action, task), task.params
    )
    reward = scaled_reward(state, reward.astype(jnp.float32) * config.reward_scale)
    return (scaled(state, after), env_state), reward, terminated


# --- Learn ----------------------------------------------------------------------------------------


def learn(state: State, batch: Batch, key: jax.Array, config: Config) -> tuple[State, Metrics]:
    """Minibatch gradient steps; each epoch cuts one fresh permutation of the samples."""
    progress = state.iteration / config.num_updates
    optimise = optimiser(config, config.learning_rate * (1.0 - config.anneal_lr * progress))
    terms = Terms(
        ent_coef=config.ent_coef * (1.0 - config.anneal_ent * progress),
        weight=weights(state, config),
        obs_moments=state.obs_moments,
    )

    def step(carry, rows):
        params, optimiser_state = carry
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        gradient, metrics = jax.grad(loss, has_aux=True)(params, minibatch, terms, config)
        change, optimiser_state = optimise.update(gradient, optimiser_state, params)
        return (optax.apply_updates(params, change), optimiser_state), metrics

    epoch_keys = jax.random.split(key, config.update_epochs)
    rows = jax.vmap(permutation, (0, None))(epoch_keys, config.steps_per_update)
    rows = rows.reshape(config.update_epochs * config.num_minibatches, -1)
    (params, optimiser_state), metrics = jax.lax.scan(step, (state.params, state.optimiser), rows)
    state = replace(state, params=params, optimiser=optimiser_state)
    return state, jax.tree.map(jnp.mean, metrics)


def weights(state: State, config: Config) -> jax.Array:
    """Weights float32 (1 + n,) of the actions in a state: equal ones, once the model may be used.

    A simulator may be used from the first update on.
    """
    counts = ~jnp.bool_(config.with_model) | (state.iteration >= config.model_starts)
    extra = jnp.full(config.extra_actions, counts, jnp.float32)
    return jnp.append(1.0, extra) / (1.0 + jnp.sum(extra))


def loss(
    params: actor_critic.Params, batch: Batch, terms: Terms, config: Config
) -> tuple[jax.Array, Metrics]:
    """The loss of a minibatch, that of PPO with a mean over actions."""
    pi, value = forward(params, batch.seen, terms.obs_moments, config)
    log_prob = jax.vmap(pi.log_prob, 1, 1)(batch.action)
    log_ratio = log_prob - batch.log_prob
    ratio = jnp.exp(log_ratio)

    def mean(x):
        return jnp.mean(x @ terms.weight)

    advantage = batch.advantage
    if config.norm_adv:
        advantage -= mean(advantage)
        advantage /= jnp.sqrt(mean(jnp.square(advantage))) + 1e-8
    clipped = jnp.clip(ratio, 1.0 - config.clip_coef, 1.0 + config.clip_coef)
    policy_loss = mean(jnp.maximum(-advantage * ratio, -advantage * clipped))
    value_loss = 0.5 * jnp.mean(jnp.square(value - batch.target))
    entropy = jnp.mean(pi.entropy())
    total = policy_loss - terms.ent_coef * entropy + config.vf_coef * value_loss
    metrics = {
        "loss": total,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": mean((ratio - 1.0) - log_ratio),
        "clip_frac": mean((jnp.abs(ratio - 1.0) > config.clip_coef).astype(jnp.float32)),
    }
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
        act(key, observation) -> action: one PRNG key for a batch of observations (B, D), float32
        (B, d) as the environment takes them.
    """

    def act(key, observation):
        pi, _ = forward(state.params, observation, state.obs_moments, config)
        return policies.to_env(pi.mode() if greedy else pi.sample(key), task)

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.mbma", PRESETS, PRESET_TASKS)
