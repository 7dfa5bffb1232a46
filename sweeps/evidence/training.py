"""Whole trainings for experiments that measure more than a study records."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from algorithms.common.task import Task
from sweeps import engine
from sweeps.plan import Trial, stack


def train(
    algorithm: ModuleType, trials: Sequence[Trial], task: Task
) -> tuple[Any, dict[str, np.ndarray]]:
    """Train trials side by side, all updates in one call.

    Returns:
        final states, leaves (S, ...), and metrics float64 (S, updates) of S trials.
    """
    keys, configs = stack(trials)
    group, updates = engine.Group(keys, configs, None), trials[0].config.num_updates
    states = engine.initialise(algorithm, group, task)
    states, metrics = engine.advance(algorithm, states, group, task, updates, "vmap", updates)
    return states, {name: np.asarray(values, np.float64) for name, values in metrics.items()}
