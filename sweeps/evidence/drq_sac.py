"""DrQ with continuous actions: its curve, what shifts and views do, and pixels against states."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

import envs
from algorithms import drq_sac, sac
from algorithms.common.task import Task
from sweeps.evidence.spec import Measurement, Sweep, Verdict, interval, measured
from sweeps.evidence.training import train
from sweeps.plan import Trial
from sweeps.study import Objective, Study

PAPER = "Kostrikov, Yarats, Fergus 2021, arXiv 2004.13649"
LAST = Objective("return", "max", 0.2)
PIXELS, STATES = "pixels/pendulum", "gymnax/Pendulum-v1"
TASK = {"obs_size": 24}
# A gradient step per environment step; frames are kept, which is faster than drawing them again.
FAST: dict[str, Any] = {
    "reward_scale": 0.1,
    "learning_starts": 400.0,
    "gradient_steps": 4,
    "rounds": 50,
    "batch_size": 64,
    "buffer_size": 10_000,
    "store": "frames",
    "total_timesteps": 10_000,
}
# No shift, one view, and two of each.
ARMS = ((0, 1), (1, 1), (1, 2))
SEEDS = 4
# What counts as about as good: a tenth of what there is between chance and mastery.
MARGIN = 100.0
LEARNED = -400.0  # of Pendulum: random actions have about -1,230


def pendulum() -> Study:
    """The curve with two views."""
    return Study(
        "drq_sac", PIXELS, preset="quick", task=TASK, seeds=SEEDS, set=FAST, objective=LAST
    )


def scores(algorithm: ModuleType, config: Any, task: Task) -> tuple[dict[str, Any], np.ndarray]:
    """A training with each seed: a row for the record, and the mean returns of its second half."""
    _, metrics = train(algorithm, [Trial(seed, config) for seed in range(SEEDS)], task)
    returns = metrics["return"]
    found = np.nanmean(returns[:, config.num_updates // 2 :], axis=1)
    eighths = [float(np.nanmean(part)) for part in np.array_split(returns, 8, axis=1)]
    curve = np.round(eighths, 1).tolist()
    row = {"score": float(found.mean()), "scores": np.round(found, 2).tolist(), "curve": curve}
    return row, found


def quick(**options: Any) -> drq_sac.Config:
    """The configuration of the experiments, changed."""
    return replace(drq_sac.PRESETS["quick"], **(FAST | options))


def gap(one: np.ndarray, other: np.ndarray, comparisons: int = 1) -> tuple[str, float, float]:
    """Mean of one minus other with its interval in words, and the interval."""
    low, high = interval(one - other, 1 - 0.05 / comparisons)
    return f"{np.mean(one - other):+.0f} [{low:+.0f}, {high:+.0f}]", low, high


def views() -> tuple[list[dict[str, Any]], Verdict]:
    """No shift, one shifted view, and two of each, at equal steps."""
    rows, found, task = [], {}, Task(*envs.make(PIXELS, **TASK))
    for pad, count in ARMS:
        config = quick(pad=pad, target_views=count, loss_views=count)
        row, found[pad, count] = scores(drq_sac, config, task)
        rows.append({"pad": pad, "views": count, **row})
    shift, shift_low, _ = gap(found[1, 1], found[0, 1], 2)
    second, second_low, _ = gap(found[1, 2], found[1, 1], 2)
    shift_helps, second_helps = shift_low > 0.0, second_low > 0.0
    outcome = "reproduced" if shift_helps and second_helps else "partly"
    text = f"no shift {found[0, 1].mean():.0f}; a shift adds {shift}, a second view {second}"
    return rows, Verdict(outcome if shift_helps or second_helps else "not", text)


def states() -> tuple[list[dict[str, Any]], Verdict]:
    """SAC on states and DrQ on images of them, with the same steps, batches and heads."""
    pixels = Task(*envs.make(PIXELS, **TASK))
    row, drawn = scores(drq_sac, quick(), pixels)
    known = {name: value for name, value in FAST.items() if name != "store"}
    options = {"network": "mlp-128", "alpha": 0.1, "tau": 0.01}
    config = sac.Config(**known, **options)
    other, seen = scores(sac, config, Task(*envs.make(STATES)))
    rows = [{"observation": "pixels", **row}, {"observation": "states", **other}]
    text, low, _ = gap(drawn, seen)
    learned = interval(drawn)[0] > LEARNED
    outcome = "reproduced" if learned and low > -MARGIN else "not"
    text = f"pixels {drawn.mean():.0f}, states {seen.mean():.0f}, difference {text}"
    return rows, Verdict(outcome, text)


EXPERIMENTS = (
    Sweep("pendulum", PAPER, "learning curve", pendulum, measured),
    Measurement(
        "views",
        PAPER,
        "shifted views, and averaging over two, make soft actor-critic learn from pixels",
        f"{PIXELS}, 24 x 24",
        views,
        "pad, target_views, loss_views",
    ),
    Measurement(
        "states",
        PAPER,
        "with them it needs about as many steps from pixels as from states",
        f"{PIXELS}, 24 x 24, and {STATES}",
        states,
    ),
)
