"""FixPO: a trust region that holds after every policy update, by KL penalties in two phases.

Paper: Zentner, Puri, Huang and Sukhatme 2023, "Guaranteed trust region optimization via two-phase
KL penalization", arXiv 2312.05405.
Claim: a KL penalty whose weight adapts nearly keeps the policy in a trust region around the one
that acted; a few more gradient steps on the penalty alone, fewer than 5 %, put it there for sure.

    primary phase   L = E[ -rho A + beta KL(pi_old(.|s), pi(.|s)) + c_v 1/2 (V(s) - R)^2 - c_e H ]
    fix-up phase    L = E[ beta KL(pi_old(.|s), pi(.|s)) ] on each minibatch with a sample whose
                    KL > eps, until no sample of the rollout has
    both            beta rises where c_beta max KL > eps, falls where it is below, and is never < 0

There is no clipping of ratios. KL is the exact divergence of the two distributions in a state; with
``norm_obs``, of both on observations scaled as they were for the one that acted.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

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
        ent_coef: weight of the entropy bonus.
        anneal_ent: share of ``ent_coef`` that is taken away linearly over the run, in [0, 1].
        vf_coef: weight of the value loss, which has a factor 1/2 of its own.
        max_grad_norm: global norm to which gradients are clipped.
        reward_scale: factor on rewards for learning; metrics are unscaled.
        init_log_std: logarithm of the gaussian head's standard deviation at the start, in units of
            half the action range.
        kl_limit: eps, the largest KL divergence that any sample may have after an update.
        penalty_coef: beta at the start.
        dual_rate: Adam's step size of beta.
        dual_margin: c_beta; above 1, the penalty aims below the limit.
        fixup_passes: the fix-up phase ends after so many passes over the rollout even if the limit
            does not hold; 0 leaves the phase out.
        network: trunk, see :mod:`algorithms.common.networks`.
        conv: formulation of the convolutions, see :mod:`algorithms.common.conv`.
        num_envs: parallel environments N.
        num_steps: steps per environment and rollout T.
        num_minibatches: gradient steps per epoch; must divide N * T.
        update_epochs: passes over a rollout.
        total_timesteps: environment steps of the run, rounded down to whole rollouts.
        norm_adv: standardise advantages in each minibatch (population standard deviation).
        stagger_episodes: start environments at evenly spread times of their first episode.
        store: what a rollout keeps: scenes, rendered again in each epoch, or rendered frames.
        shared_trunk: actor and critic share the trunk.
        norm_obs: standardise observations by their running moments.
        norm_reward: divide rewards by the deviation of the running discounted return (Engstrom et
            al. 2020, arXiv 2005.12729).
    """

    learning_rate: float = 2.5e-3
    anneal_lr: float = 1.0
    gamma: float = 0.99
    gae_lambda: float = 0.95
    ent_coef: float = 0.01
    anneal_ent: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    reward_scale: float = 0.1
    init_log_std: float = -0.5
    kl_limit: float = 0.2
    penalty_coef: float = 1.0
    dual_rate: float = 0.01
    dual_margin: float = 2.0
    fixup_passes: int = 100
    network: networks.Name = struct.field(pytree_node=False, default="mlp")
    conv: Method = struct.field(pytree_node=False, default="patches")
    num_envs: int = struct.field(pytree_node=False, default=16)
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
)
_CONTROL = Config(
    learning_rate=1e-3,
    gamma=0.9,
    ent_coef=0.0,
    reward_scale=1.0,
    num_minibatches=16,
    update_epochs=8,
    total_timesteps=200_000,
    shared_trunk=False,
    norm_obs=True,
    norm_reward=True,
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


class Learner(NamedTuple):
    """What gradient steps change.

    params: network parameters. optimiser: optax state.
    multiplier: float32 (), beta. dual: optax state of its optimiser.
    """

    params: actor_critic.Params
    optimiser: PyTree
    multiplier: jax.Array
    dual: PyTree


@struct.dataclass
class State:
    """Everything that must be saved to go on; N is the number of environments.

    params, optimiser, multiplier, dual: see :class:`Learner`.
    env_state: environment states, leading axis N.
    scene: what the next observations are rendered from, leading axis N.
    tracker: running statistics of the current episodes.
    key: PRNG key.
    iteration: int32, number of updates done.
    The others are None unless an option needs them.
    obs_moments, return_moments: running moments of observations and of discounted returns.
    running_return: float32 (N,), discounted returns of the current episodes.
    """

    params: actor_critic.Params
    optimiser: PyTree
    multiplier: jax.Array
    dual: PyTree
    env_state: PyTree
    scene: PyTree
    tracker: episodes.Tracker
    key: jax.Array
    iteration: jax.Array
    obs_moments: Any = None
    return_moments: Any = None
    running_return: Any = None


@struct.dataclass
class Rollout:
    """T steps of N environments: leaves (T, N, ...), or (B, ...) once flattened.

    seen: scenes or observations, as ``Config.store`` says.
    action: int32, or float32 (..., d) before it is clipped to [-1, 1].
    outputs: float32 (..., A or d), of the network that acted: logits, or means.
    log_prob, value, reward: float32, of the policy that acted; reward is scaled.
    terminated, truncated: bool.
    final_scene: scenes before resets.
    """

    seen: PyTree
    action: jax.Array
    outputs: jax.Array
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
    outputs: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


@struct.dataclass
class Terms:
    """What the losses need beside parameters and samples.

    ent_coef: weight of the entropy bonus. multiplier: beta. obs_moments: see :class:`State`.
    old_log_std: float32 (d,), of the gaussian policy that acted, or None.
    """

    ent_coef: Any
    multiplier: Any
    obs_moments: Any = None
    old_log_std: Any = None


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
    multiplier = jnp.float32(config.penalty_coef)
    return State(
        params=params,
        optimiser=optimiser(config, config.learning_rate).init(params),
        multiplier=multiplier,
        dual=optax.adam(config.dual_rate).init(multiplier),
        env_state=env_state,
        scene=scene,
        tracker=episodes.init(config.num_envs, whole=not config.stagger_episodes),
        key=state_key,
        iteration=jnp.int32(0),
        obs_moments=normalise.init(task.observation_shape) if config.norm_obs else None,
        return_moments=normalise.init(()) if config.norm_reward else None,
        running_return=jnp.zeros(config.num_envs) if config.norm_reward else None,
    )


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
    """One iteration: a rollout, ``update_epochs`` epochs of gradient steps, and the fix-up phase.

    Returns:
        the next state, and float32 scalars: losses and diagnostics (means over all minibatches of
        the primary phase), statistics of the episodes that ended in this rollout (NaN if none did),
        and ``primary_max_kl`` and ``max_kl``, the largest KL of a sample before and after the
        fix-up, its gradient steps ``fixup_steps``, their share in those of the primary phase, and
        whether it ended without success, ``fixup_capped``.
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
        pi, value = forward(state.params, observation, state.obs_moments, config)
        action = pi.sample(action_key)
        transition = task.step(env_key, env_state, policies.to_env(action, task))
        tracker, ended = episodes.track(tracker, transition)
        stored = Rollout(
            seen=observation if config.store == "frames" else scene,
            action=action,
            outputs=pi.mean if isinstance(pi, policies.Gaussian) else pi.logits,
            log_prob=pi.log_prob(action),
            value=value,
            reward=transition.reward * config.reward_scale,
            terminated=transition.terminated,
            truncated=transition.truncated,
            final_scene=transition.final_scene,
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
    """Policy and state values float32 (B,) of observations (B, *observation_shape)."""
    if config.norm_obs:
        observation = normalise.observations(obs_moments, observation)
    outputs, value = actor_critic.apply(params, observation, config.network, config.conv)
    return policies.build("auto", outputs, params.get("log_std")), value


def estimate(state: State, rollout: Rollout, config: Config, task: Task) -> Batch:
    """Advantages and value targets of a rollout, flattened to B = T * N samples."""
    last_value = values(state, state.scene, config, task)
    next_value = jnp.concatenate([rollout.value[1:], last_value[None]])
    terminated, truncated = rollout.terminated, rollout.truncated
    cut = truncated & ~terminated
    next_value = replace_values(
        lambda scene: values(state, scene, config, task), next_value, cut, rollout.final_scene
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
    target = advantage + rollout.value
    of_policy = rollout.seen, rollout.action, rollout.outputs, rollout.log_prob
    return jax.tree.map(flatten, Batch(*of_policy, advantage, target))


def values(state: State, scene: PyTree, config: Config, task: Task) -> jax.Array:
    """State values float32 (B,) of B scenes."""
    return forward(state.params, task.render(scene), state.obs_moments, config)[1]


def learn(
    state: State, batch: Batch, key: jax.Array, config: Config, task: Task
) -> tuple[State, Metrics]:
    """Minibatch gradient steps; each epoch cuts one fresh permutation of the samples."""
    progress = state.iteration / config.num_updates
    optimise = optimiser(config, config.learning_rate * (1.0 - config.anneal_lr * progress))
    fixed = Terms(
        ent_coef=config.ent_coef * (1.0 - config.anneal_ent * progress),
        multiplier=None,
        obs_moments=state.obs_moments,
        old_log_std=state.params.get("log_std"),
    )

    def step(learner, rows):
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        terms = replace(fixed, multiplier=learner.multiplier)
        gradient, metrics = jax.grad(loss, has_aux=True)(
            learner.params, minibatch, terms, config, task
        )
        return descend(learner, gradient, metrics["minibatch_max_kl"], optimise, config), metrics

    epoch_keys = jax.random.split(key, config.update_epochs)
    rows = jax.vmap(permutation, (0, None))(epoch_keys, config.steps_per_update)
    rows = rows.reshape(config.update_epochs * config.num_minibatches, -1)
    learner = Learner(state.params, state.optimiser, state.multiplier, state.dual)
    learner, metrics = jax.lax.scan(step, learner, rows)
    fix_key = beside(key)
    learner, fix_metrics = fix_up(learner, batch, fixed, fix_key, optimise, config, task)
    state = replace(state, **learner._asdict())
    return state, jax.tree.map(jnp.mean, metrics) | fix_metrics


def descend(
    learner: Learner,
    gradient: actor_critic.Params,
    max_kl: jax.Array,
    optimise: optax.GradientTransformation,
    config: Config,
) -> Learner:
    """One step of the parameters, and one of beta, given the largest KL before the step."""
    change, optimiser_state = optimise.update(gradient, learner.optimiser, learner.params)
    params: Any = optax.apply_updates(learner.params, change)
    slack = config.kl_limit - config.dual_margin * max_kl
    change, dual = optax.adam(config.dual_rate).update(slack, learner.dual)
    multiplier: Any = optax.apply_updates(learner.multiplier, change)
    return Learner(params, optimiser_state, jnp.maximum(multiplier, 0.0), dual)


def fix_up(
    learner: Learner,
    batch: Batch,
    terms: Terms,
    key: jax.Array,
    optimise: optax.GradientTransformation,
    config: Config,
    task: Task,
) -> tuple[Learner, Metrics]:
    """Steps on the penalty alone until no sample of the rollout is beyond the limit.

    Passes over the rollout in minibatches, of which only those with such a sample are stepped on.
    A pass is followed by a look at all samples under the parameters that it led to, so that what
    ends the phase holds for the result.
    """

    def largest(params):
        each = in_parts(
            lambda part: divergences(params, part, terms, config, task),
            batch,
            config.num_minibatches,
        )
        return jnp.max(each)

    def fix(learner, rows):
        minibatch = jax.tree.map(lambda x: x[rows], batch)
        now = replace(terms, multiplier=learner.multiplier)
        gradient, max_kl = jax.grad(penalty, has_aux=True)(
            learner.params, minibatch, now, config, task
        )
        beyond = max_kl > config.kl_limit
        fixed = descend(learner, gradient, max_kl, optimise, config)
        return jax.tree.map(lambda new, old: jnp.where(beyond, new, old), fixed, learner), beyond

    def one_pass(carry):
        learner, _, passes, steps = carry
        rows = permutation(jax.random.fold_in(key, passes), config.steps_per_update)
        learner, beyond = jax.lax.scan(fix, learner, rows.reshape(config.num_minibatches, -1))
        return learner, largest(learner.params), passes + 1, steps + jnp.sum(beyond)

    def goes_on(carry):
        _, max_kl, passes, _ = carry
        return (max_kl > config.kl_limit) & (passes < config.fixup_passes)

    before = largest(learner.params)
    carry = (learner, before, jnp.int32(0), jnp.int32(0))
    learner, after, passes, steps = jax.lax.while_loop(goes_on, one_pass, carry)
    steps = steps.astype(jnp.float32)
    capped = (after > config.kl_limit) & (passes > 0)
    return learner, {
        "primary_max_kl": before,
        "max_kl": after,
        "fixup_steps": steps,
        "fixup_share": steps / (config.update_epochs * config.num_minibatches),
        "fixup_capped": capped.astype(jnp.float32),
    }


def loss(
    params: actor_critic.Params, batch: Batch, terms: Terms, config: Config, task: Task
) -> tuple[jax.Array, Metrics]:
    """The loss of a minibatch in the primary phase."""
    observation = batch.seen if config.store == "frames" else task.render(batch.seen)
    pi, value = forward(params, observation, terms.obs_moments, config)
    ratio = jnp.exp(pi.log_prob(batch.action) - batch.log_prob)

    advantage = batch.advantage
    if config.norm_adv:
        advantage = (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)
    policy_loss = jnp.mean(-advantage * ratio)
    divergence = kl(acted(batch, terms), pi)

    value_loss = 0.5 * jnp.mean(jnp.square(value - batch.target))

    entropy = jnp.mean(pi.entropy())
    total = policy_loss - terms.ent_coef * entropy + config.vf_coef * value_loss
    total += terms.multiplier * jnp.mean(divergence)
    metrics = {
        "loss": total,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": jnp.mean(divergence),
        "minibatch_max_kl": jnp.max(divergence),
        "multiplier": terms.multiplier,
    }
    return total, metrics


def penalty(
    params: actor_critic.Params, batch: Batch, terms: Terms, config: Config, task: Task
) -> tuple[jax.Array, jax.Array]:
    """The loss of a minibatch in the fix-up phase, and the largest KL of its samples."""
    divergence = divergences(params, batch, terms, config, task)
    return terms.multiplier * jnp.mean(divergence), jnp.max(divergence)


def divergences(
    params: actor_critic.Params, batch: Batch, terms: Terms, config: Config, task: Task
) -> jax.Array:
    """KL of the policy that acted and the one of the parameters, float32 (B,)."""
    observation = batch.seen if config.store == "frames" else task.render(batch.seen)
    pi, _ = forward(params, observation, terms.obs_moments, config)
    return kl(acted(batch, terms), pi)


def acted(batch: Batch, terms: Terms) -> policies.Policy:
    """The policy that acted, in the states of a batch."""
    return policies.build("auto", batch.outputs, terms.old_log_std)


# --- Policy ---------------------------------------------------------------------------------------


def policy(
    state: State, config: Config, task: Task, greedy: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The policy of a state, for evaluation.

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

    main("algorithms.fixpo", PRESETS, PRESET_TASKS)
