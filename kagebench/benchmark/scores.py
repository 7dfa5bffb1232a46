"""Scores of a result: for every pair, one value per agent on either side and their gap."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from kagebench.benchmark.result import Result
from kagebench.evaluate import METRICS
from kagebench.suites import PAIRS

# How the checkpoints of an agent become one value; "last" is that with the most training.
STATISTICS = ("last", "max", "mean", "median", "min")
_REDUCE = {"max": np.max, "mean": np.mean, "median": np.median, "min": np.min}

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class PairScores:
    """Scores on one pair, each ``{metric: float64 [S]}`` over the S agents in the order of `seeds`.

    Attributes:
        base: the configuration that the agents were trained on.
        seeds: one per agent.
        train: on the training configuration.
        validation: on the validation configuration.
        gap: train - validation at each checkpoint, its size alone in the reference protocol, and
            then reduced over checkpoints; with several checkpoints it does not follow from the
            other two.
    """

    base: str
    seeds: tuple[int, ...]
    train: Values
    validation: Values
    gap: Values


@dataclass(frozen=True)
class Scores:
    """Scores of one algorithm.

    Attributes:
        algorithm: its label.
        protocol: "paired" or "reference".
        statistic: one of `STATISTICS`.
        pairs: pair -> its scores, in the order of the suites; those that were evaluated.
    """

    algorithm: str
    protocol: str
    statistic: str
    pairs: Mapping[str, PairScores]


def collect(result: Result, statistic: str = "last") -> Scores:
    """The scores in a result.

    Args:
        result: of one algorithm.
        statistic: one of `STATISTICS`, over the checkpoints of each agent.

    Raises:
        ValueError: the statistic is unknown.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"statistic: got {statistic!r}, allowed: {' '.join(STATISTICS)}")
    frames = result.evaluations.partition_by("config", as_dict=True)
    values = {config: _values(frame) for (config,), frame in frames.items()}
    pairs = {}
    for name, pair in PAIRS.items():
        if name not in values:
            continue
        train, validation = values[pair.base], values[name]
        gap = train - validation
        gap = np.abs(gap) if result.protocol == "reference" else gap
        seeds = frames[name,]["seed"].unique(maintain_order=True).to_list()
        sides = (_reduce(side, statistic) for side in (train, validation, gap))
        pairs[name] = PairScores(pair.base, tuple(seeds), *sides)
    return Scores(result.algorithm, result.protocol, statistic, pairs)


def agents_by_base(pairs: Mapping[str, PairScores]) -> dict[str, tuple[int, ...]]:
    """Training configuration -> seeds of its agents, which are the same on all its pairs."""
    return {own.base: own.seeds for own in pairs.values()}


def group_by_base(names: Iterable[str], values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Base -> values [S, P, ...] of those P of the named pairs that train on it.

    `values` holds [S, ...] for every pair; all pairs of a base have the same S agents.
    """
    members: dict[str, list[np.ndarray]] = {}
    for name in names:
        members.setdefault(PAIRS[name].base, []).append(values[name])
    return {base: np.stack(own, axis=1) for base, own in members.items()}


def _values(frame: pl.DataFrame) -> np.ndarray:
    """Metrics [S, checkpoints, metrics] on one configuration."""
    shape = frame["seed"].n_unique(), frame["step"].n_unique(), len(METRICS)
    return frame.select(METRICS).to_numpy().reshape(shape)


def _reduce(values: np.ndarray, statistic: str) -> Values:
    """Metric -> [S], one value for all checkpoints."""
    if statistic == "last":
        reduced = values[:, -1]
    else:
        reduced = _REDUCE[statistic](values, axis=1)
    return {name: reduced[:, i] for i, name in enumerate(METRICS)}
