"""Whole trainings for experiments that measure more than a study records."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax
import numpy as np
from gymnax.environments.classic_control.pendulum import EnvParams, EnvState, Pendulum

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


# A horizon of ten steps and targets that follow in a hundred: values settle in a short training.
# With a discount of 0.99 and targets half as fast they were 40 too low after 4,000 gradient
# steps, whatever the critics.
SETTLES = {"gamma": 0.9, "tau": 0.01}


class RaisedPendulum(Pendulum):
    """Pendulum with rewards (r + 6) / 10, for experiments on over-estimation.

    A policy that knows nothing has r = -6 on average, so its true values are near 0, as those of
    untrained critics, and they rise as it learns: critics that lag behind are too low. With r as
    it is, critics start far above the truth, and what is left of that looks like over-estimation.
    How long they lag is a matter of the horizon, see ``SETTLES``.
    """

    def step_env(
        self, key: jax.Array, state: EnvState, action: Any, params: EnvParams
    ) -> tuple[Any, ...]:
        """A step of Pendulum, its reward raised and scaled."""
        observation, state, reward, *rest = super().step_env(key, state, action, params)
        return observation, state, 0.1 * (reward + 6.0), *rest


def raised_pendulum() -> Task:
    """See :class:`RaisedPendulum`."""
    return Task(RaisedPendulum(), EnvParams())
