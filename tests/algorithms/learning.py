"""Running an algorithm in a test: all seeds in one program of the engine."""

from types import ModuleType
from typing import Any

import jax
import numpy as np

from algorithms.common.task import Task
from sweeps import engine
from sweeps.plan import Trial, stack
from tests.compiling import optimised


def make_group(configs: list[Any], seeds: list[int]) -> engine.Group:
    """Trials that one program runs."""
    keys, stacked = stack([Trial(seed, config) for seed, config in zip(seeds, configs)])
    return engine.Group(keys, stacked, None)


def run(
    algorithm: ModuleType, config: Any, task: Task, num_seeds: int = 3
) -> tuple[Any, dict[str, np.ndarray]]:
    """A whole run: final states (S, ...), and metrics (S, num_updates)."""
    group = make_group([config] * num_seeds, list(range(num_seeds)))
    states = engine.initialise(algorithm, group, task)
    with optimised():
        states, metrics = engine.advance(
            algorithm, states, group, task, config.num_updates, "vmap", config.num_updates
        )
    return states, jax.tree.map(np.asarray, metrics)


def final(metrics: dict[str, np.ndarray], name: str = "return", share: float = 0.2) -> np.ndarray:
    """Mean of a metric over the last updates of every seed, (S,), without NaN."""
    values = metrics[name]
    return np.nanmean(values[:, -max(1, int(values.shape[1] * share)) :], axis=1)
