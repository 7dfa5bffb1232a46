"""FixPO: how often updates leave a trust region, what it takes to prevent it, and returns."""

import dataclasses
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import fixpo, ppo
from algorithms.common import actor_critic, normalise, policies
from algorithms.common.bootstrap import flatten
from algorithms.common.divergence import kl
from algorithms.common.task import Task
from sweeps import plan, space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    in_words,
    interval,
    measured,
)
from sweeps.study import Objective, Study

PAPER = "Zentner et al. 2023, arXiv 2312.05405"
LAST = Objective("return", "max", 0.2)
SEEDS = 5
EXTRA = 0.05  # of the gradient steps, which the paper stays below
TASKS = {"gymnax/CartPole-v1": ("default", 102_400), "gymnax/Pendulum-v1": ("control", 131_072)}
# Hyper-parameters that both algorithms have.
SHARED = {f.name for f in dataclasses.fields(fixpo.Config)} & {
    f.name for f in dataclasses.fields(ppo.Config)
} - {"penalty_coef"}


def cartpole() -> Study:
    """A learning curve."""
    return Study(
        "fixpo", "gymnax/CartPole-v1", seeds=SEEDS, set={"total_timesteps": 102_400}, objective=LAST
    )


def pendulum() -> Study:
    """Sizes of the trust region."""
    return Study(
        "fixpo",
        "gymnax/Pendulum-v1",
        preset="control",
        seeds=SEEDS,
        set={"total_timesteps": 131_072},
        space={"kl_limit": space.choice(0.02, 0.2, 2.0)},
        objective=LAST,
    )


def trust_region() -> tuple[list[dict[str, Any]], Verdict]:
    """PPO, the penalty alone, and FixPO: updates that leave the trust region, and returns.

    FixPO must leave it never, where the penalty alone does, and for few steps more ("partly": for
    many).
    """
    rows, texts, holds, few = [], [], [], []
    for env, (preset, steps) in TASKS.items():
        config = fixpo.PRESETS[preset]
        config = dataclasses.replace(config, total_timesteps=steps)
        same = {name: getattr(config, name) for name in SHARED}
        arms: dict[str, tuple[ModuleType, Any]] = {
            "PPO": (ppo, ppo.Config(**same)),
            "penalty alone": (fixpo, dataclasses.replace(config, fixup_passes=0)),
            "FixPO": (fixpo, config),
        }
        found = {name: train(*arm, env, config.kl_limit) for name, arm in arms.items()}
        for name, results in found.items():
            means = {key: round(float(value.mean()), 5) for key, value in results.items()}
            rows.append({"env": env, "arm": name, **means})
        own, other = found["FixPO"], found["PPO"]
        _, high = interval(own["extra_steps"])
        needed = interval(found["penalty alone"]["violations"])[0] > 0.0
        holds.append(needed and bool((own["violations"] == 0.0).all()))
        few.append(high < EXTRA)
        gain = difference(Point({}, own["return"]), Point({}, other["return"]))
        rates = ", ".join(f"{name} {100 * r['violations'].mean():.1f}" for name, r in found.items())
        extra = in_words(Point({}, 100 * own["extra_steps"]))
        texts.append(
            f"{env}: % of updates beyond a KL of {config.kl_limit}: {rates}; extra gradient steps "
            f"{extra} %; return {in_words(Point({}, own['return']), 0)}, FixPO - PPO "
            f"{gain[0]:+.0f} [{gain[1]:+.0f}, {gain[2]:+.0f}]"
        )
    outcome = "not" if not all(holds) else "reproduced" if all(few) else "partly"
    return rows, Verdict(outcome, "; ".join(texts))


def train(algorithm: ModuleType, config: Any, env: str, limit: float) -> dict[str, np.ndarray]:
    """Of every seed: share of updates with a sample beyond the limit, share of extra gradient
    steps, largest divergence, and return over the last fifth; all float64 (SEEDS,)."""
    task = plan.build_task({"env": env})

    def step(state: Any, _: None) -> tuple[Any, Any]:
        new, metrics = algorithm.update(state, config, task)
        largest = divergence(algorithm, state, new, config, task)
        return new, (largest, metrics.get("fixup_share", 0.0 * largest), metrics["return"])

    def trial(key: jax.Array) -> Any:
        state = algorithm.init(key, config, task)
        return jax.lax.scan(step, state, length=config.num_updates)[1]

    keys = jax.random.split(jax.random.key(0), SEEDS)
    outcome = jax.jit(jax.vmap(trial))(keys)
    largest, extra, returns = (np.asarray(x, np.float64) for x in outcome)
    return {
        "violations": (largest > limit).mean(axis=1),
        "extra_steps": extra.mean(axis=1),
        "max_kl": largest.max(axis=1),
        "return": np.nanmean(returns[:, -max(1, config.num_updates // 5) :], axis=1),
    }


def divergence(algorithm: ModuleType, old: Any, new: Any, config: Any, task: Task) -> jax.Array:
    """Largest KL(old || new) over the samples that an update learned from.

    Both algorithms draw the rollout's key alike, so the rollout can be made a second time.
    Observations are normalised for both policies as they were when the rollout was made.
    """
    rollout = algorithm.collect(old, jax.random.split(old.key, 3)[1], config, task)[1]
    seen = task.render(jax.tree.map(flatten, rollout.seen))
    if config.norm_obs:
        seen = normalise.observations(old.obs_moments, seen)

    def policy(params: Any) -> policies.Policy:
        outputs, _ = actor_critic.apply(params, seen, config.network, config.conv)
        return policies.build("auto", outputs, params.get("log_std"))

    return jnp.max(kl(policy(old.params), policy(new.params)))


EXPERIMENTS = (
    Sweep("cartpole", PAPER, "learning curve", cartpole, measured),
    Sweep("pendulum", PAPER, "return, over the limit of the KL", pendulum, measured, "kl_limit"),
    Measurement(
        "trust-region",
        PAPER,
        "no update leaves the trust region, for less than 5 % more gradient steps",
        ", ".join(TASKS),
        trust_region,
    ),
)
