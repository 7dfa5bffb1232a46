"""PQN: learning curves, layer normalisation, and wall time against DQN."""

import time
from types import ModuleType
from typing import Any

import jax
import numpy as np

from algorithms import dqn, pqn
from algorithms.common.task import Task
from envs import make
from sweeps import engine, space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    measured,
)
from sweeps.plan import Trial, stack
from sweeps.study import Objective, Study

LAST = Objective("return", "max", 0.2)
SEEDS = 3


def cartpole() -> Study:
    """Traces on CartPole."""
    return Study(
        "pqn",
        "gymnax/CartPole-v1",
        seeds=5,
        set={"total_timesteps": 204_800},
        space={"trace": space.choice(0.0, 0.65, 0.95)},
        objective=LAST,
    )


def breakout() -> Study:
    """MinAtar's Breakout, with and without layer normalisation."""
    return Study(
        "pqn",
        "gymnax/Breakout-MinAtar",
        preset="minatar",
        seeds=SEEDS,
        set={"total_timesteps": 600_000},
        space={"layer_norm": space.choice(True, False)},
        objective=LAST,
    )


def judge_norm(points: list[Point]) -> Verdict:
    """Whether normalised features learn more."""
    mean, low, high = difference(find(points, layer_norm=True), find(points, layer_norm=False))
    outcome = "reproduced" if low > 0.0 else "not"
    text = f"with - without {mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    return Verdict(outcome, f"{measured(points).summary}; {text}")


def wall_time() -> tuple[list[dict[str, Any]], Verdict]:
    """Breakout: return of both after the same number of steps, and the time without compilation."""
    steps = 300_000
    rows = []
    for algorithm in (pqn, dqn):
        config = algorithm.PRESETS["minatar"].replace(total_timesteps=steps)
        seconds, found = _train(algorithm, config)
        name = algorithm.__name__.rpartition(".")[2]
        rows.append({"algorithm": name, "seconds": seconds, "return": found, "steps": steps})
    fast, slow = rows
    times = slow["seconds"] / fast["seconds"]
    better = fast["return"] >= slow["return"]
    outcome = "reproduced" if times > 1.0 and better else "partly" if times > 1.0 else "not"
    texts = [f"{r['algorithm']} {r['return']:.1f} in {r['seconds']:.0f} s" for r in rows]
    summary = f"{', '.join(texts)} ({SEEDS} seeds side by side): {times:.1f} times faster"
    return rows, Verdict(outcome, summary)


def _train(algorithm: ModuleType, config: Any) -> tuple[float, float]:
    """Seconds of a run of all seeds, and the mean return of its last fifth."""
    task = Task(*make("gymnax/Breakout-MinAtar"))
    keys, configs = stack([Trial(seed, config) for seed in range(SEEDS)])
    group = engine.Group(keys, configs, None)
    capacity = config.num_updates

    def advance(count: int) -> Any:
        states = engine.initialise(algorithm, group, task)
        done = engine.advance(algorithm, states, group, task, count, "vmap", capacity)
        return jax.block_until_ready(done)

    advance(1)  # compiles
    start = time.perf_counter()
    _, metrics = advance(capacity)
    seconds = time.perf_counter() - start
    last = np.asarray(metrics["return"])[:, -(capacity // 5) :]
    return round(seconds, 1), round(float(np.nanmean(last)), 2)


PAPER = "Gallici et al. 2024, arXiv 2407.04811"
EXPERIMENTS = (
    Sweep("cartpole", PAPER, "learning curves over traces", cartpole, measured, "trace"),
    Sweep(
        "breakout",
        PAPER,
        "layer normalisation makes learning without a target network stable",
        breakout,
        judge_norm,
        "layer_norm",
    ),
    Measurement(
        "wall-time",
        PAPER,
        "parallel environments without replay learn faster in wall time than DQN",
        "gymnax/Breakout-MinAtar",
        wall_time,
    ),
)
