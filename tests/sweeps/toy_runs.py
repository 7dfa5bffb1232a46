"""A small run under each scheduler; ``python -m tests.sweeps.toy_runs NAME FOLDER`` never ends."""

import itertools
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from sweeps import driver, engine, scheduled, store
from sweeps.plan import Plan, Trial
from sweeps.space import Space, uniform
from tests.sweeps import toy_curves

TOY = "tests.sweeps.toy_curves"
# Speed and ceiling: who is ahead early is not who is ahead late.
CURVES = (
    *((0.9, 0.5), (0.5, 1.0), (0.4, 1.2), (0.1, 2.0), (0.3, 1.5)),
    *((0.2, 1.0), (0.05, 3.0), (0.6, 0.6), (0.7, 0.3)),
)


class Case(NamedTuple):
    plan: Plan
    settings: scheduled.Settings
    space: Space | None = None


def curves(count: int, seeds: int = 1, **changes: Any) -> Plan:
    """Trials with the first so many curves, and others alike with other ceilings."""
    points = [CURVES[i % len(CURVES)] for i in range(count)]
    configs = [
        toy_curves.Config(speed=speed, ceiling=ceiling + i // len(CURVES), **changes)
        for i, (speed, ceiling) in enumerate(points)
    ]
    trials = (Trial(seed, config) for config in configs for seed in range(seeds))
    return Plan(TOY, {"env": "toy"}, tuple(trials))


def level(config: Any, updates: np.ndarray) -> np.ndarray:
    """The learning curve without noise."""
    return config.ceiling * (1 - (1 - config.speed) ** updates)


NOISY = {"noise": 0.05, "num_updates": 54}
CASES = {
    "halving": Case(curves(9, 2, **NOISY), scheduled.Halving(metric="level")),
    "hyperband": Case(
        curves(5, **NOISY), scheduled.Hyperband(min_updates=18, metric="loss", mode="min")
    ),
    "asha": Case(curves(9, 2, **NOISY), scheduled.Asha(6, slots=3, metric="level")),
    "pbt": Case(
        curves(6, **NOISY),
        scheduled.Pbt(6, resample=0.5, metric="level"),
        Space({"speed": uniform(0.0, 1.0)}),
    ),
}


def run(name: str, folder: Path, **options: Any) -> Path:
    """Run a case to its end."""
    case = CASES[name]
    options = {"progress": False, **options}
    return scheduled.run(
        case.plan, folder, case.settings, toy_curves.TASK, space=case.space, **options
    )


def assert_same(one: Path, two: Path, tolerance: float = 0.0) -> None:
    """Equal decisions, metrics and final states, keys included; all numbers up to a tolerance."""
    for table in (driver.decisions, _metrics):
        assert_frame_equal(
            *(table(one), table(two)), check_exact=not tolerance, rel_tol=0.0, abs_tol=tolerance
        )
    names = sorted(path.name for path in (one / "agents").iterdir())
    assert names == sorted(path.name for path in (two / "agents").iterdir()) != []
    for name in names:
        a, b = (engine.load(run / "agents" / name, task=toy_curves.TASK) for run in (one, two))
        assert_frame_equal(a.metrics, b.metrics, check_exact=not tolerance, abs_tol=tolerance)
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=0.0, atol=tolerance),
            *((numbers(agent.config), numbers(agent.state)) for agent in (a, b)),
        )


def numbers(tree: Any) -> Any:
    """Leaves with the data of PRNG keys instead of the keys."""
    return jax.tree.map(
        lambda leaf: (
            jax.random.key_data(leaf)
            if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            else leaf
        ),
        tree,
    )


def _metrics(folder: Path) -> pl.DataFrame:
    return store.read_metrics(folder).collect()


def main(name: str, folder: Path) -> None:
    """Run a case slowly, saving after every update, and stand still before it ends."""
    pauses = itertools.chain([0.1] * 30, itertools.repeat(60.0))

    def one_after_a_pause(*_: Any) -> int:
        time.sleep(next(pauses))
        return 1

    engine.next_count = one_after_a_pause
    run(name, folder, checkpoint_seconds=0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
