"""MBMA: return over actions and horizon, and the variance of gradients on a linear system."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import mbma
from algorithms.common.task import Task
from sweeps import plan, space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    in_words,
    measured,
)
from sweeps.study import Objective, Study

PAPER = "Nauman and Cygan 2023, arXiv 2210.13011"
PENDULUM = "gymnax/Pendulum-v1"
LQR = "control/lqr"
SEEDS = 6
EXTRA = (0, 1, 4)
HORIZONS = (1, 4)

STEPS = 8  # of a trajectory
ACTIONS = (2, 4, 8)  # in every state
TRIALS = 1024
NEAR = 0.25  # largest distance of a mean gradient from the right one, relative to its length
UPDATES = 4  # of training before gradients are measured
SETTLE = 32  # steps before the trajectory, so that its first state is like the others
# Options of the training before; "default" otherwise. Plain means, so nothing is scaled by samples.
TRAINING = {
    "norm_obs": False,
    "norm_reward": False,
    "reward_scale": 0.1,
    "anneal_lr": 0.0,
    "model_starts": 0.0,
    "model_steps": 512,
}


def pendulum() -> Study:
    """Learning curves with the model and with exact extra samples."""
    return Study(
        "mbma",
        PENDULUM,
        seeds=SEEDS,
        set={"total_timesteps": 61_440},
        space={"many_actions": space.choice("model", "simulator")},
        objective=Objective("return", "max", 0.2),
    )


def actions() -> Study:
    """Extra actions and horizon; without extra actions it is PPO, whatever the horizon."""
    return Study(
        "mbma",
        PENDULUM,
        seeds=SEEDS,
        set={"total_timesteps": 40_960},
        space={
            "extra_actions": space.choice(*EXTRA),
            "horizon": space.choice(*HORIZONS),
        },
        objective=Objective("return", "max", 1.0),
    )


def judge_actions(points: list[Point]) -> Verdict:
    """Whether the most extra actions beat none, at either horizon."""
    texts, checks = [], []
    for horizon in HORIZONS:
        none, *others = (find(points, extra_actions=n, horizon=horizon) for n in EXTRA)
        mean, low, high = difference(others[-1], none, len(HORIZONS))
        checks.append(low > 0.0)
        scores = ", ".join(
            f"{n}: {in_words(p, 0)}" for n, p in zip(EXTRA, (none, *others), strict=True)
        )
        texts.append(
            f"horizon {horizon}, extra actions {scores}, {EXTRA[-1]} minus none {mean:+.0f} "
            f"[{low:+.0f}, {high:+.0f}]"
        )
    outcome = "reproduced" if all(checks) else "partly" if any(checks) else "not"
    return Verdict(outcome, "; ".join(texts))


def variance() -> tuple[list[dict[str, Any]], Verdict]:
    """Gradients of a policy early in training: many actions against longer trajectories.

    For every number of actions: that many in each of ``STEPS`` states, answered by the simulator
    and by the model, and one in each of so many times as many states. The variance is relative to
    that of one action per state; a gradient far from the right one counts for nothing, however
    little it varies. The distance is that of mean gradients, relative to the length of
    the second: the simulator's from the longer trajectory's, which only chance keeps apart, and
    the model's from the simulator's. Advantages are of one step (lambda 0), so that all samples
    are alike.
    """
    task = plan.build_task({"env": LQR, "growth": 0.8})
    config = replace(mbma.PRESETS["default"], **TRAINING)
    state = jax.jit(mbma.init)(jax.random.key(0), config, task)
    train = jax.jit(mbma.update)
    for _ in range(UPDATES):
        state, _ = train(state, config, task)

    rows, texts, checks = [], [], []
    found: dict[str, np.ndarray] = {}
    distances = {"longer": 0.0}
    config = replace(config, num_envs=1, num_steps=STEPS, horizon=1, gae_lambda=0.0)
    one = gradients(state, replace(config, extra_actions=0), task)
    scale = spread(one).scores.mean()
    for count in ACTIONS:
        longer = replace(config, extra_actions=0, num_steps=STEPS * count)
        many = replace(config, extra_actions=count - 1)
        found = {
            "longer": gradients(state, longer, task),
            "simulator": gradients(state, replace(many, many_actions="simulator"), task),
            "model": gradients(state, many, task),
        }
        means = {arm: samples.mean(axis=0) for arm, samples in found.items()}
        for arm, other in (("simulator", "longer"), ("model", "simulator")):
            gap = np.linalg.norm(means[arm] - means[other])
            distances[arm] = float(gap / np.linalg.norm(means[other]))
        for arm, samples in found.items():
            numbers = {
                "variance": spread(samples).scores.mean() / scale,
                "distance": distances[arm],
            }
            rounded = {name: round(float(value), 4) for name, value in numbers.items()}
            rows.append({"arm": arm, "actions": count, **rounded})

    most, counts = ACTIONS[-1], ", ".join(map(str, ACTIONS))
    for arm in ("simulator", "model"):
        gain = [x / scale for x in difference(spread(found[arm]), spread(one))]
        more = [x / scale for x in difference(spread(found[arm]), spread(found["longer"]))]
        checks.append(gain[2] < 0.0 and distances[arm] < NEAR)
        shares = ", ".join(f"{row['variance']:.2f}" for row in rows if row["arm"] == arm)
        texts.append(
            f"{arm}: variance {shares} with {counts} actions, 1 with one; {most} minus one "
            f"{gain[0]:+.2f} [{gain[1]:+.2f}, {gain[2]:+.2f}], minus one in {most} times the "
            f"states {more[0]:+.3f} [{more[1]:+.3f}, {more[2]:+.3f}]; distance of the mean "
            f"{distances[arm]:.2f}"
        )
    outcome = "reproduced" if all(checks) else "partly" if any(checks) else "not"
    return rows, Verdict(outcome, "; ".join(texts))


def spread(samples: np.ndarray) -> Point:
    """Squared distances of gradients (TRIALS, P) from their mean, whose mean is the variance."""
    return Point({}, np.sum(np.square(samples - samples.mean(axis=0)), axis=1))


def gradients(state: mbma.State, config: mbma.Config, task: Task) -> np.ndarray:
    """Gradients of the policy's parameters at the policy that acted, float64 (TRIALS, P)."""
    plain = replace(config, norm_adv=False, ent_coef=0.0, vf_coef=0.0, stagger_episodes=False)
    keys = jax.random.split(jax.random.key(1), TRIALS)
    trials = jax.jit(jax.vmap(partial(gradient, state=state, config=plain, task=task)))
    return np.asarray(trials(keys), np.float64)


def gradient(key: jax.Array, state: mbma.State, config: mbma.Config, task: Task) -> jax.Array:
    """A gradient float32 (P,) from a trajectory of its own."""
    reset_key, settle_key, collect_key, extra_key = jax.random.split(key, 4)
    scene, env_state = task.reset(reset_key, config.num_envs)
    state = replace(state, scene=scene, env_state=env_state)
    tracker = mbma.episodes.init(config.num_envs, whole=True)
    state = replace(state, tracker=tracker)
    state, _, _ = mbma.collect(state, settle_key, replace(config, num_steps=SETTLE), task)
    after, rollout, _ = mbma.collect(state, collect_key, config, task)
    batch = mbma.estimate(after, rollout, config, task)
    if config.extra_actions:
        batch = mbma.extend(after, batch, rollout, extra_key, config, task)
    terms = mbma.Terms(0.0, mbma.weights(state, config))
    slopes, _ = jax.grad(mbma.loss, has_aux=True)(state.params, batch, terms, config)
    leaves = jax.tree.leaves((slopes["policy"], slopes["log_std"]))
    return jnp.concatenate([leaf.ravel() for leaf in leaves])


EXPERIMENTS = (
    Sweep("pendulum", PAPER, "learning curve", pendulum, measured, "many_actions"),
    Sweep(
        "actions",
        PAPER,
        "learns from fewer steps than PPO",
        actions,
        judge_actions,
        "extra_actions, horizon",
    ),
    Measurement(
        "variance",
        PAPER,
        "the variance of the policy gradient falls with the number of actions per state",
        LQR,
        variance,
        "extra_actions, many_actions",
    ),
)
