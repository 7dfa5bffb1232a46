"""MAD-TD: model-augmented data for temporal-difference learning at high update ratios.

Paper: Voelcker, Hussing, Eaton, Farahmand and Gilitschenski 2024, "MAD-TD: Model-Augmented Data
stabilizes High Update Ratio RL", arXiv 2410.08896.
Claim: critics that are updated many times per step of the environment go wrong at actions that the
data does not hold; a small share of transitions with the policy's own action, made by a one-step
model, keeps them stable without resets.

    z = e(s)     real: a, r, z' = e(s') replayed     generated: a = pi(z), (z', r) = m(z, a)
    y = r + gamma min_i Q_i_target(z', pi(z'))
    L_Q = E[ cross entropy of p_i(z, a) against a Gaussian histogram around y ],  Q = E_p[atoms]
    L_pi = E[ -min_i Q_i_target(z, pi(z)) ]
    L_m,e = E[ cross entropy of m(z, a) against e(s') + (r_m - r)^2
               + cross entropy of p_target(m(z, a), a') against p_target(e(s'), a') + L_Q ]

Latents are groups of eight probabilities. The critics are HL-Gauss (Farebrother et al. 2024, arXiv
2403.03950). With ``latent_size`` 0 the latent is the observation and its change is regressed.

Checked against a public copy of the authors' program (github.com/triThirty/MAD-TD): the mixture,
all four losses and their order, one step of encoder and model per round however many the critics
do, no noise on targets, the clip of gradients, and the numbers of the preset "brax". Different: one
trunk of the model for latent and reward, relu for mish, layers of 256 for 512, one step size for
all. And cross entropies are sums over atoms, and over the numbers of a group of latents: against
the squared error of rewards they weigh more than the means there. As there, generated transitions
never terminate.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from algorithms.common import categorical, episodes, latent_model, networks, replay
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
        model_share: share of generated transitions in the critics' batches.
        value_aware: weight of the model's third loss, that of the values of what it predicts.
        exploration_noise: standard deviation of the noise on actions that are taken.
        learning_starts: environment steps before the first gradient step; actions are random.
        max_grad_norm: global norm to which gradients are clipped.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        v_min, v_max: first and last atom, in units of scaled returns; those beyond are clipped.
        sigma_ratio: deviation of the Gaussian histograms in distances of atoms.
        atoms: number of atoms.
        latent_size: numbers of a latent, a multiple of 8; 0: it is the observation.
        network: trunk of all networks, see :mod:`algorithms.common.networks`.
        layer_norm: normalise features in all trunks.
        num_critics: critics, of which the smallest counts.
        buffer_size: transitions that are kept.
        batch_size: transitions per gradient step.
        num_envs: parallel environments N.
        gradient_steps: gradient steps of critics and actor per step of N environments; the model
            does one.
        rounds: rounds of acting and learning in one call of ``update``.
        total_timesteps: environment steps of the run, rounded down to whole updates.
    """

    learning_rate: float = 1e-3
    gamma: float = 0.99
    tau: float = 0.01
    model_share: float = 0.05
    value_aware: float = 1.0
    exploration_noise: float = 0.1
    learning_starts: float = 500
    max_grad_norm: float = 10.0
    reward_scale: float = 0.1
    v_min: float = -200.0
    v_max: float = 200.0
    sigma_ratio: float = 0.75
    atoms: int = struct.field(pytree_node=False, default=101)
    latent_size: int = struct.field(pytree_node=False, default=64)
    network: networks.Name = struct.field(pytree_node=False, default="mlp-128")
    layer_norm: bool = struct.field(pytree_node=False, default=True)
    num_critics: int = struct.field(pytree_node=False, default=2)
    buffer_size: int = struct.field(pytree_node=False, default=100_000)
    batch_size: int = struct.field(pytree_node=False, default=64)
    num_envs: int = struct.field(pytree_node=False, default=1)
    gradient_steps: int = struct.field(pytree_node=False, default=4)
    rounds: int = struct.field(pytree_node=False, default=250)
    total_timesteps: int = struct.field(pytree_node=False, default=6_000)

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
        learning_rate=3e-4,
        learning_starts=5_000,
        reward_scale=1.0,
        v_min=-300.0,
        v_max=300.0,
        atoms=151,
        latent_size=512,
        network="mlp-256",
        buffer_size=1_000_000,
        batch_size=512,
        gradient_steps=8,
        total_timesteps=1_000_000,
    ),
}
# What the presets observe, where it is not the full frame.
PRESET_TASKS: dict[str, dict[str, Any]] = {}

# --- State ----------------------------------------------------------------------------------------


@struct.dataclass
class Learner:
    """What gradient steps change.

    world: parameters of encoder and model, by these names.
    actor: parameters of the policy.
    critic, target: parameters of the online and the target critics, leading axis num_critics.
    world_optimiser, actor_optimiser, critic_optimiser: optax states.
    gradients: int32, gradient steps of the critics done.
    """

    world: Any
    actor: Any
    critic: Any
    target: Any
    world_optimiser: PyTree
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
            f"num_envs * rounds = {config.steps_per_update}"
        )
    if config.buffer_size < config.num_envs:
        raise ValueError(
            f"buffer_size: got {config.buffer_size}, allowed: at least num_envs = {config.num_envs}"
        )
    if config.num_critics < 1:
        raise ValueError(f"num_critics: got {config.num_critics}, allowed: at least 1")
    latent_model.check(config.latent_size)
    categorical.check(config.atoms)


def init_learner(key: jax.Array, config: Config, task: Task) -> Learner:
    """Networks and optimisers before the first gradient step."""
    world_key, actor_key, critic_key = jax.random.split(key, 3)
    observed, size = task.observation_shape, task.action_size
    networks.check(config.network, observed)
    options = config.network, config.layer_norm
    world = latent_model.init(world_key, observed[0], size, config.latent_size, *options)
    latent = config.latent_size or observed[0]
    actor = latent_model.init_network(actor_key, latent, size, *options, 0.01)
    # All values begin in the middle of the atoms.
    critic = jax.vmap(
        lambda key: latent_model.init_network(key, latent + size, config.atoms, *options, 0.0)
    )(jax.random.split(critic_key, config.num_critics))
    adam = optimiser(config)
    return Learner(
        world=world,
        actor=actor,
        critic=critic,
        target=critic,
        world_optimiser=adam.init(world),
        actor_optimiser=adam.init(actor),
        critic_optimiser=adam.init(critic),
        gradients=jnp.int32(0),
    )


def optimiser(config: Config) -> optax.GradientTransformation:
    """Clipping and Adam; rebuilt in each update, so all numbers may be traced."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(config.learning_rate)
    )


# --- Networks -------------------------------------------------------------------------------------


def encode(world: PyTree, observation: jax.Array, config: Config) -> jax.Array:
    """Latents z, float32 (B, L)."""
    return latent_model.encode(world, observation, config.network)


def actions(actor: networks.Params, latent: jax.Array, config: Config) -> jax.Array:
    """pi(z), float32 (B, d) in [-1, 1]."""
    return jnp.tanh(latent_model.apply(actor, latent, config.network))


def logits(
    critic: networks.Params, latent: jax.Array, action: jax.Array, config: Config
) -> jax.Array:
    """Unnormalised log-probabilities of the atoms, float32 (num_critics, B, atoms)."""
    inputs = jnp.concatenate([latent, action], axis=-1)
    return jax.vmap(latent_model.apply, (0, None, None))(critic, inputs, config.network)


def values(
    critic: networks.Params, latent: jax.Array, action: jax.Array, config: Config
) -> jax.Array:
    """Q_i(z, a) of all critics, float32 (num_critics, B)."""
    probabilities = jax.nn.softmax(logits(critic, latent, action, config))
    return categorical.mean(probabilities, support(config))


def support(config: Config) -> jax.Array:
    """The atoms."""
    return categorical.support(config.v_min, config.v_max, config.atoms)


# --- Update ---------------------------------------------------------------------------------------


def update(state: State, config: Config, task: Task) -> tuple[State, Metrics]:
    """One iteration: ``rounds`` times a step of every environment and some gradient steps.

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
    """One step of N environments, stored; sums over the episodes that ended."""
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
    action = actions(learner.actor, encode(learner.world, observation, config), config)
    noise = config.exploration_noise * jax.random.normal(action_key, action.shape)
    uniform = jax.random.uniform(random_key, action.shape, minval=-1.0)
    noisy = jnp.clip(action + noise, -1.0, 1.0)
    action = jnp.where(step < config.learning_starts, uniform, noisy)
    transition = task.step(env_key, env_state, task.to_box(action))
    stored = replay.Step(
        seen=scene,
        action=action,
        reward=transition.reward * config.reward_scale,
        terminated=transition.terminated,
        truncated=transition.truncated,
        next_seen=transition.final_scene,
    )
    return transition, stored


def learn(state: State, key: jax.Array, config: Config, task: Task) -> tuple[State, Metrics]:
    """A step of encoder and model, and steps of critics and actor, once there is enough data."""
    world_key, *keys = jax.random.split(key, config.gradient_steps + 1)

    def draw(key):
        sample = replay.sample(key, state.ring, config.batch_size, 1, config.gamma)
        seen, next_seen = task.render(sample.seen), task.render(sample.next_seen)
        return replace(sample, seen=seen, next_seen=next_seen)

    def steps(learner):
        learner, world_metrics = world_step(learner, draw(world_key), config)
        learner, metrics = jax.lax.scan(
            lambda learner, key: gradient_step(learner, draw(key), config), learner, jnp.stack(keys)
        )
        return learner, world_metrics | jax.tree.map(jnp.mean, metrics)

    def wait(learner):
        return learner, {name: jnp.float32(0.0) for name in METRICS}

    ready = state.step >= config.learning_starts
    learner, metrics = jax.lax.cond(ready, steps, wait, state.learner)
    return replace(state, learner=learner), metrics


# Reported by every gradient step.
METRICS = (
    "latent_loss",
    "reward_loss",
    "value_loss",
    "critic_loss",
    "value",
    "td_error",
    "actor_loss",
    "generated",
)


def world_step(learner: Learner, sample: replay.Sample, config: Config) -> tuple[Learner, Metrics]:
    """One step of encoder and model, on replayed transitions."""
    gradient, metrics = jax.grad(world_loss, has_aux=True)(learner.world, learner, sample, config)
    change, world_optimiser = optimiser(config).update(
        gradient, learner.world_optimiser, learner.world
    )
    world = optax.apply_updates(learner.world, change)
    return replace(learner, world=world, world_optimiser=world_optimiser), metrics


def world_loss(
    world: PyTree, learner: Learner, sample: replay.Sample, config: Config
) -> tuple[jax.Array, Metrics]:
    """What the model gets wrong, and the critics' loss as far as it depends on the encoder."""
    latent = encode(world, sample.seen, config)
    after = jax.lax.stop_gradient(encode(world, sample.next_seen, config))
    step = latent, sample.action
    latent_loss, reward_loss = latent_model.errors(
        world, *step, sample.reward, after, config.network
    )
    guess, _ = latent_model.predict(world, *step, config.network)
    action = actions(learner.actor, after, config)
    wanted = jax.nn.softmax(logits(learner.target, after, action, config))
    found = logits(learner.target, guess, action, config)
    value_loss = jnp.mean(categorical.cross_entropy(wanted, found))

    batch = replace(sample, seen=latent, next_seen=after)
    td_loss, _ = critic_loss(learner.critic, batch, targets(learner, batch, config), config)
    total = latent_loss + reward_loss + config.value_aware * value_loss + td_loss
    names = {"latent_loss": latent_loss, "reward_loss": reward_loss, "value_loss": value_loss}
    return total, names


def gradient_step(
    learner: Learner, sample: replay.Sample, config: Config
) -> tuple[Learner, Metrics]:
    """One step of the critics on a mixed batch, then one of the actor."""
    adam = optimiser(config)
    batch, generated = mixed(learner, sample, config)
    goal = targets(learner, batch, config)
    gradient, critic_metrics = jax.grad(critic_loss, has_aux=True)(
        learner.critic, batch, goal, config
    )
    change, critic_optimiser = adam.update(gradient, learner.critic_optimiser, learner.critic)
    critic = optax.apply_updates(learner.critic, change)
    target = optax.incremental_update(critic, learner.target, config.tau)

    loss, gradient = jax.value_and_grad(actor_loss)(learner.actor, target, batch.seen, config)
    change, actor_optimiser = adam.update(gradient, learner.actor_optimiser, learner.actor)
    learner = replace(
        learner,
        actor=optax.apply_updates(learner.actor, change),
        critic=critic,
        target=target,
        actor_optimiser=actor_optimiser,
        critic_optimiser=critic_optimiser,
        gradients=learner.gradients + 1,
    )
    return learner, critic_metrics | {"actor_loss": loss, "generated": jnp.mean(generated)}


def mixed(
    learner: Learner, sample: replay.Sample, config: Config
) -> tuple[replay.Sample, jax.Array]:
    """A batch of latents of which the last share is generated, and bool (B,), where it is.

    Generated transitions begin where real ones did, with the action that the policy takes now.
    """
    latent = encode(learner.world, sample.seen, config)
    own = actions(learner.actor, latent, config)
    guess, reward = latent_model.predict(learner.world, latent, own, config.network)
    size = sample.reward.shape[0]
    # A little more than the product, which may fall short of a whole number by rounding.
    real = jnp.floor(size * (1.0 - config.model_share) + 1e-3)
    generated = jnp.arange(size) >= real
    rows = generated[:, None]
    batch = replay.Sample(
        seen=latent,
        action=jnp.where(rows, own, sample.action),
        reward=jnp.where(generated, reward, sample.reward),
        discount=jnp.where(generated, config.gamma, sample.discount),
        next_seen=jnp.where(rows, guess, encode(learner.world, sample.next_seen, config)),
        terminated=sample.terminated & ~generated,
    )
    return batch, generated


def targets(learner: Learner, batch: replay.Sample, config: Config) -> jax.Array:
    """Targets y of the critics, float32 (B,)."""
    action = actions(learner.actor, batch.next_seen, config)
    value = jnp.min(values(learner.target, batch.next_seen, action, config), axis=0)
    return jax.lax.stop_gradient(batch.reward + batch.discount * value)


def critic_loss(
    critic: networks.Params, batch: replay.Sample, goal: jax.Array, config: Config
) -> tuple[jax.Array, Metrics]:
    """Cross entropy of all critics against histograms around y, and diagnostics."""
    atoms = support(config)
    histogram = categorical.hl_gauss(goal, atoms, config.sigma_ratio * (atoms[1] - atoms[0]))
    found = logits(critic, batch.seen, batch.action, config)
    result = jnp.sum(jnp.mean(categorical.cross_entropy(histogram, found), axis=1))
    value = categorical.mean(jax.nn.softmax(found), atoms)
    metrics = {
        "critic_loss": result,
        "value": jnp.mean(value),
        "td_error": jnp.mean(jnp.abs(value - goal)),
    }
    return result, metrics


def actor_loss(
    actor: networks.Params, target: networks.Params, latent: jax.Array, config: Config
) -> jax.Array:
    """Negative smallest value of the policy's actions."""
    value = values(target, latent, actions(actor, latent, config), config)
    return -jnp.mean(jnp.min(value, axis=0))


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

    Args:
        state, config, task: of one trial, without trial axis.
        greedy: without exploration noise.

    Returns:
        act(key, observation) -> action: one PRNG key for a batch of observations
        (B, *observation_shape), float32 (B, d) within the bounds of the environment.
    """

    def act(key, observation):
        latent = encode(state.learner.world, observation, config)
        action = actions(state.learner.actor, latent, config)
        noise = config.exploration_noise * jax.random.normal(key, action.shape)
        return task.to_box(action if greedy else jnp.clip(action + noise, -1.0, 1.0))

    return act


if __name__ == "__main__":
    from sweeps.main import main

    main("algorithms.mad_td", PRESETS, PRESET_TASKS)
