"""A small plan on CartPole."""

import gymnax
import pytest

from algorithms import ppo
from algorithms.common.task import Task
from sweeps.plan import Plan, grid

SMALL = ppo.PRESETS["state"].replace(
    num_envs=4, num_steps=8, num_minibatches=2, update_epochs=1, total_timesteps=20 * 32
)


@pytest.fixture(scope="session")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Two seeds, two learning rates, 20 updates."""
    axes = {"learning_rate": [1e-3, 1e-4]}
    return grid("algorithms.ppo", {"env": "gymnax/CartPole-v1"}, SMALL, [3, 4], axes)
