"""SAC: curves, over-estimation, the temperature, and what its options claim."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from algorithms import sac
from algorithms.common import tanh_gaussian
from algorithms.common.task import Task
from sweeps import engine, space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    in_words,
    interval,
    measured,
)
from sweeps.evidence.training import SETTLES, raised_pendulum
from sweeps.plan import Trial, stack
from sweeps.study import Objective, Study

SAC = "Haarnoja et al. 2018, arXiv 1812.05905"
BAND = "Campo et al. 2020, arXiv 2006.11431"
ACE = "Ji et al. 2024, arXiv 2402.14528"
LAST = Objective("return", "max", 0.2)
PENDULUM = "gymnax/Pendulum-v1"
# Learns Pendulum in 8,000 steps.
FAST = {
    "network": "mlp",
    "batch_size": 64,
    "learning_rate": 3e-3,
    "alpha": 0.2,
    "learning_starts": 400.0,
    "rounds": 100,
    "total_timesteps": 8_000,
}
ALPHAS = (0.01, 0.1, 1.0)
SCALES = (0.1, 1.0)
NOISE = (0.0, 0.3, 0.6)

# --- Curves ---------------------------------------------------------------------------------------


def pendulum() -> Study:
    """The preset on Pendulum."""
    return Study("sac", PENDULUM, seeds=5, set={"total_timesteps": 15_360}, objective=LAST)


def brax() -> Study:
    """A small task of Brax."""
    return Study(
        "sac",
        "brax/inverted-double-pendulum",
        seeds=3,
        set={"total_timesteps": 30_720, "reward_scale": 0.1, "gradient_steps": 2},
        objective=LAST,
    )


# --- Temperature ----------------------------------------------------------------------------------


def temperature() -> Study:
    """A learned and three fixed temperatures, at two scales of rewards."""
    return Study(
        "sac",
        PENDULUM,
        seeds=5,
        set={name: value for name, value in FAST.items() if name != "alpha"},
        space={
            "reward_scale": space.choice(*SCALES),
            "learn_alpha": space.choice(True, False),
            "alpha": space.conditional(space.choice(*ALPHAS), when={"learn_alpha": [False]}),
        },
        objective=LAST,
    )


def judge_temperature(points: list[Point]) -> Verdict:
    """Whether it keeps up with the best fixed one, up to a tenth of its score, at both scales, and
    no fixed one does ("partly": some do not)."""
    keeps_up, fails, texts = [], {alpha: False for alpha in ALPHAS}, []
    for scale in SCALES:
        learned = find(points, reward_scale=scale, learn_alpha=True)
        fixed = {a: find(points, reward_scale=scale, learn_alpha=False, alpha=a) for a in ALPHAS}
        best = max(ALPHAS, key=lambda a, fixed=fixed: fixed[a].scores.mean())
        mean, low, high = difference(learned, fixed[best])
        keeps_up.append(low > -0.1 * abs(float(fixed[best].scores.mean())))
        for alpha, point in fixed.items():
            fails[alpha] |= difference(point, learned, len(SCALES))[2] < 0.0
        scores = ", ".join(f"{a}: {point.scores.mean():.0f}" for a, point in fixed.items())
        texts.append(
            f"scale {scale}: learned {in_words(learned, 0)}, fixed {scores}; "
            f"learned - best fixed {mean:+.0f} [{low:+.0f}, {high:+.0f}]"
        )
    outcome = "not"
    if all(keeps_up) and any(fails.values()):
        outcome = "reproduced" if all(fails.values()) else "partly"
    return Verdict(outcome, "; ".join(texts))


# --- Over-estimation ------------------------------------------------------------------------------


def overestimation() -> tuple[list[dict[str, Any]], Verdict]:
    """Soft values of one critic and of two, against discounted soft returns of the policy.

    On rewards with which critics start near the truth, see :class:`training.RaisedPendulum`; the
    last three of eight parts of the training count.
    Of two critics it is the first, as the smaller one is below the mean of both by itself.
    """
    task = raised_pendulum()
    rows, biases = [], {}
    for critics in (1, 2):
        options = {"num_critics": critics, "alpha": 0.02, "total_timesteps": 16_000}
        config = sac.Config(**{**FAST, **SETTLES, **options})
        parts, *_ = watched(config, task, bias, seeds=8, parts=8)
        biases[critics] = parts[5:].mean(axis=0)
        for part, values in enumerate(parts):
            step = (part + 1) * config.total_timesteps // len(parts)
            rows.append({"critics": critics, "step": step, "bias": np.round(values, 3).tolist()})
    texts = []
    for critics, values in biases.items():
        low, high = interval(values)
        texts.append(f"{critics}: {values.mean():+.2f} [{low:+.2f}, {high:+.2f}]")
    gap = biases[1] - biases[2]
    low, high = interval(gap)
    over = interval(biases[1])[0] > 0.0
    outcome = "reproduced" if over and low > 0.0 else "not"
    text = f"first critic's value minus return with critics {', '.join(texts)}; difference"
    return rows, Verdict(outcome, f"{text} {gap.mean():+.2f} [{low:+.2f}, {high:+.2f}]")


def watched(
    config: sac.Config,
    task: Task,
    measure: Callable[[sac.State, sac.Config, Task], jax.Array],
    seeds: int,
    parts: int,
) -> tuple[np.ndarray, sac.State, dict[str, np.ndarray]]:
    """What is measured after each part of the training, (parts, seeds); the final states; and the
    metrics of the last part, (seeds, updates)."""
    keys, configs = stack([Trial(seed, config) for seed in range(seeds)])
    group = engine.Group(keys, configs, None)
    states = engine.initialise(sac, group, task)
    each = config.num_updates // parts
    of_all = jax.jit(jax.vmap(lambda state: measure(state, config, task)))
    found, metrics = [], {}
    for _ in range(parts):
        states, metrics = engine.advance(sac, states, group, task, each, "vmap", each)
        found.append(np.asarray(of_all(states), np.float64))
    return np.stack(found), states, {name: np.asarray(x) for name, x in metrics.items()}


def bias(state: sac.State, config: sac.Config, task: Task, steps: int = 200) -> jax.Array:
    """Mean of Q_1(s, a) minus the soft return after it, over 64 episodes without time limit.

    What lies beyond 200 steps has a weight of 0.9^200 = 7e-10.
    """
    task = replace(task, params=replace(task.params, max_steps_in_episode=10 * steps))
    key, first_key, reset_key = jax.random.split(state.key, 3)
    scene, env_state = task.reset(reset_key, 64)
    learner, alpha = state.learner, jnp.exp(state.learner.log_alpha)
    draw = lambda key, scene: tanh_gaussian.sample(  # noqa: E731
        key, *sac.policy_parameters(learner.actor, task.render(scene), config)
    )
    first, _ = draw(first_key, scene)
    value = sac.values(learner.critic, task.render(scene), first, config)[0]

    def step(carry, key):
        env_state, action, weight, total = carry
        step_key, draw_key = jax.random.split(key)
        after = task.step(step_key, env_state, task.to_box(action))
        action, log_prob = draw(draw_key, after.scene)
        reward = config.reward_scale * after.reward - config.gamma * alpha * log_prob
        return (after.env_state, action, config.gamma * weight, total + weight * reward), None

    carry = (env_state, first, jnp.float32(1.0), jnp.zeros(64))
    (_, _, _, total), _ = jax.lax.scan(step, carry, jax.random.split(key, steps))
    return jnp.mean(value - total)


# --- Band limit -----------------------------------------------------------------------------------


def band() -> Study:
    """Filtered and plain target critics, with noise on the actions that are carried out."""
    return Study(
        "sac",
        PENDULUM,
        seeds=6,
        set=FAST,
        space={"disturbance": space.choice(*NOISE), "band_draws": space.choice(0, 4)},
        objective=LAST,
    )


def judge_band(points: list[Point]) -> Verdict:
    """Whether the filter raises returns at all levels of noise ("partly": at some)."""
    wins, texts = 0, []
    for noise in NOISE:
        plain, ours = (find(points, disturbance=noise, band_draws=n) for n in (0, 4))
        mean, low, high = difference(ours, plain, len(NOISE))
        wins += low > 0.0
        spread = f"deviation {ours.scores.std(ddof=1):.0f} against {plain.scores.std(ddof=1):.0f}"
        texts.append(
            f"noise {noise}: {in_words(ours, 0)} with, {in_words(plain, 0)} without, "
            f"difference {mean:+.0f} [{low:+.0f}, {high:+.0f}], {spread}"
        )
    outcome = "reproduced" if wins == len(NOISE) else "partly" if wins else "not"
    return Verdict(outcome, "; ".join(texts))


# --- ACE ------------------------------------------------------------------------------------------


@struct.dataclass
class PushState(environment.EnvState):
    """Velocity."""

    velocity: jax.Array


@struct.dataclass
class PushParams(environment.EnvParams):
    """Time limit."""

    max_steps_in_episode: int = 50


class Push(environment.Environment):
    """A mass pushed by two of eight components of the action; its velocity is the reward."""

    @property
    def default_params(self) -> PushParams:
        """Fifty steps."""
        return PushParams()

    def reset_env(self, key: jax.Array, params: PushParams) -> Any:
        """At rest."""
        state = PushState(jnp.int32(0), jnp.float32(0.0))
        return jnp.zeros(1), state

    def step_env(self, key: jax.Array, state: PushState, action: jax.Array, params: Any) -> Any:
        """Friction, force and some noise."""
        force = action[0] + 0.5 * action[1] + 0.5 * jax.random.uniform(key, minval=-1.0)
        velocity = 0.9 * state.velocity + 0.1 * force
        state = PushState(state.time + 1, velocity)
        return velocity[None], state, velocity, jnp.array(False), {}

    def action_space(self, params: Any) -> spaces.Box:
        """Eight numbers."""
        return spaces.Box(-1.0, 1.0, (8,))


VARIANTS = {
    "plain": {},
    "causal": {"causal": True, "causal_samples": 1000, "causal_sharpness": 4.0},
    "resets": {"dormant_resets": True, "reset_interval": 500.0},
}


def ace(name: str, **options: Any) -> tuple[list[dict[str, Any]], Verdict]:
    """Greedy return over the whole training with an option of ACE and without, paired by seed."""
    task, rows, scores = Task(Push(), PushParams()), [], {}
    for variant in ("plain", name):
        config = sac.Config(**{**FAST, "total_timesteps": 6_000, **options, **VARIANTS[variant]})
        parts, states, metrics = watched(config, task, greedy_return, seeds=8, parts=5)
        scores[variant] = parts.mean(axis=0)
        row: dict[str, Any] = {"variant": variant, "score": float(scores[variant].mean())}
        row["curve"] = np.round(parts.mean(axis=1), 3).tolist()
        row["scores"] = np.round(scores[variant], 3).tolist()
        if "dormant" in metrics:
            row["dormant"] = round(float(metrics["dormant"].mean()), 4)
        row["weights"] = np.round(np.mean(np.asarray(states.learner.weights), axis=0), 3).tolist()
        rows.append(row)
    gain = scores[name] - scores["plain"]
    low, high = interval(gain)
    outcome = "reproduced" if low > 0.0 else "not"
    text = (
        f"return over the run {scores['plain'].mean():.2f} without, {scores[name].mean():.2f} with"
    )
    return rows, Verdict(
        outcome, f"{text}; difference {gain.mean():+.2f} [{low:+.2f}, {high:+.2f}]"
    )


def greedy_return(state: sac.State, config: sac.Config, task: Task) -> jax.Array:
    """Mean return of 32 episodes without exploration."""
    act = sac.policy(state, config, task, greedy=True)
    key, reset_key = jax.random.split(state.key)
    scene, env_state = task.reset(reset_key, 32)

    def step(carry, key):
        scene, env_state = carry
        after = task.step(key, env_state, act(key, task.render(scene)))
        return (after.scene, after.env_state), after.reward

    keys = jax.random.split(key, PushParams().max_steps_in_episode)
    _, rewards = jax.lax.scan(step, (scene, env_state), keys)
    return jnp.mean(jnp.sum(rewards, axis=0))


def causal() -> tuple[list[dict[str, Any]], Verdict]:
    """See :func:`ace`."""
    return ace("causal")


def resets() -> tuple[list[dict[str, Any]], Verdict]:
    """See :func:`ace`; with relu, whose neurons can die."""
    rows, verdict = ace("resets", network="mlp-128")
    share = rows[1]["dormant"]
    return rows, verdict._replace(summary=f"{verdict.summary}; {share:.1%} of neurons dormant")


# --- Risk -----------------------------------------------------------------------------------------


def risk() -> Study:
    """The Itakura-Saito loss under noise, over aversions; 0.1 is nearly the squared error."""
    return Study(
        "sac",
        PENDULUM,
        seeds=5,
        set={
            **FAST,
            "loss": "itakura-saito",
            "reward_scale": 0.02,
            "alpha": 0.02,
            "disturbance": 0.5,
        },
        space={"risk_aversion": space.choice(-0.5, 0.1, 0.5, 1.0)},
        objective=LAST,
    )


EXPERIMENTS = (
    Sweep("pendulum", SAC, "learning curve", pendulum, measured),
    Sweep("brax", SAC, "learning curve on Brax", brax, measured),
    Measurement(
        "overestimation",
        f"Fujimoto et al. 2018, arXiv 1802.09477; {SAC}",
        "a single critic over-estimates, the smaller one of two does so less",
        f"{PENDULUM}, rewards raised",
        overestimation,
        "num_critics",
    ),
    Sweep(
        "temperature",
        SAC,
        "a learned temperature needs no tuning to the scale of rewards",
        temperature,
        judge_temperature,
        "learn_alpha",
    ),
    Sweep(
        "band",
        BAND,
        "filtering the target critic over actions beats plain twin critics, also under noise",
        band,
        judge_band,
        "band_draws, band_width",
    ),
    Measurement(
        "causal",
        ACE,
        "weighing entropies by effects on the reward learns faster where components do not matter",
        "two of eight components of the action push a mass",
        causal,
        "causal",
    ),
    Measurement(
        "resets",
        ACE,
        "soft resets by the share of dormant neurons raise returns",
        "two of eight components of the action push a mass",
        resets,
        "dormant_resets",
    ),
    Sweep(
        "risk",
        "Udovichenko et al. 2025, arXiv 2505.16925",
        "returns with the Itakura-Saito loss over aversions, actions disturbed",
        risk,
        measured,
        'loss="itakura-saito"',
    ),
)
