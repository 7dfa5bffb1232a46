"""A small result whose figures can be checked by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from kagebench.evaluate import METRICS
from kagebench.suites import PAIRS

Entry = dict[str, Any]


@pytest.fixture
def entry() -> Callable[..., Entry]:
    """Function that makes one entry of the evaluations; `success` counts for all three kinds."""

    def make(config: str, seed: int, success: float, step: int = 100, **others: float) -> Entry:
        base = PAIRS[config].base if config in PAIRS else config
        metrics = dict.fromkeys(METRICS, 0.0)
        metrics |= {name: success for name in METRICS if name.startswith("success")}
        return {"base": base, "seed": seed, "config": config, "step": step, **metrics, **others}

    return make


@pytest.fixture
def data(entry: Callable[..., Entry]) -> dict[str, Any]:
    """Content of a file: two agents of base A on two pairs, three of base F on one."""
    return {
        "schema": "kagebench-result/1",
        "algorithm": "ppo",
        "description": "the baseline",
        "protocol": "paired",
        "observation": {"obs": "pixels", "obs_size": 32, "pooling": "mean", "art": "shipped"},
        "training_steps": 100,
        "episodes": 128,
        "actions": "sampled",
        "commands": ["kagebench reproduce"],
        "machine": {"cores": 2},
        "evaluations": [
            entry("layout-1", 2, 0.50, distance=200.0),
            entry("base-a", 1, 1.00, distance=490.0),
            entry("background-5", 1, 0.25, distance=300.0),
            entry("layout-1", 1, 0.75, distance=400.0),
            entry("base-a", 2, 0.50, distance=290.0),
            entry("background-5", 2, 0.75, distance=280.0),
            entry("base-f", 7, 0.80, distance=450.0),
            entry("base-f", 8, 0.90, distance=460.0),
            entry("base-f", 9, 1.00, distance=470.0),
            entry("filters-4", 7, 0.00, distance=100.0),
            entry("filters-4", 8, 0.10, distance=110.0),
            entry("filters-4", 9, 0.20, distance=120.0),
        ],
    }
