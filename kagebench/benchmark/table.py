"""The benchmark's table: statistics of the scores of every pair, every suite and all pairs.

Means and standard errors follow the benchmark's paper: over agents for a pair, and over the means
of its pairs, without weights, for a suite. Interquartile means are over all agents and pairs.
Intervals resample agents together with all their pairs (`kagebench.benchmark.resampling`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from kagebench.benchmark.resampling import (
    RESAMPLES,
    draw_counts,
    interval,
    resampled_iqms,
    resampled_means,
)
from kagebench.benchmark.scores import PairScores, Scores, agents_by_base, group_by_base
from kagebench.evaluate import METRICS
from kagebench.stats import iqm, sem
from kagebench.suites import PAIRS, SUITES

OVERALL = "overall"
SPLITS = ("train", "validation", "gap")
_COLUMNS = {
    "name": pl.String,
    "suite": pl.String,
    "base": pl.String,
    "metric": pl.String,
    "split": pl.String,
    **dict.fromkeys(("mean", "sem", "iqm", "low", "high", "iqm_low", "iqm_high"), pl.Float64),
    "num_agents": pl.Int64,
    "num_pairs": pl.Int64,
}


@dataclass(frozen=True)
class Stat:
    """Statistics of one metric.

    Attributes:
        mean: average over agents, then over pairs.
        sem: standard error, sample deviation / sqrt(n): of a pair over its agents, of a suite over
            the means of its pairs; 0 for n = 1.
        iqm: interquartile mean over all agents and pairs.
        low, high: 95 % bootstrap interval of the mean.
        iqm_low, iqm_high: the same of the interquartile mean.
    """

    mean: float
    sem: float
    iqm: float
    low: float
    high: float
    iqm_low: float
    iqm_high: float


@dataclass(frozen=True)
class Relative:
    """Share of the training mean that is lost in validation, in percent.

    Attributes:
        mean: 100 (train - validation) / |train| of the means.
        low, high: 95 % bootstrap interval; None where the training mean of some resample is zero
            or has the other sign.
    """

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: of the pair or the suite, or "overall".
        suite: of the pair; otherwise the same as `name`.
        base: that the pair trains on; otherwise "".
        num_agents: different agents.
        num_pairs: that were evaluated.
        train, validation, gap: ``{metric: Stat}``.
        relative_gap: ``{metric: Relative}``; None where the training mean is 0.
    """

    name: str
    suite: str
    base: str
    num_agents: int
    num_pairs: int
    train: Mapping[str, Stat]
    validation: Mapping[str, Stat]
    gap: Mapping[str, Stat]
    relative_gap: Mapping[str, Relative | None]


def pairs(scores: Scores, resamples: int = RESAMPLES) -> list[Row]:
    """One row per evaluated pair, in the order of the suites."""
    counts = _draw(scores, resamples)
    return [
        _row(name, PAIRS[name].suite, own.base, {name: own}, counts)
        for name, own in scores.pairs.items()
    ]


def suites(scores: Scores, resamples: int = RESAMPLES) -> list[Row]:
    """One row per suite of which a pair was evaluated, and one over all evaluated pairs."""
    counts = _draw(scores, resamples)
    return [
        _row(name, name, "", {pair: scores.pairs[pair] for pair in members}, counts)
        for name, members in by_suite(scores.pairs)
    ]


def by_suite(names: Collection[str]) -> list[tuple[str, tuple[str, ...]]]:
    """(suite, those of the given pairs that belong to it) where there are any; last all of them."""
    members = [
        (suite, tuple(pair.name for pair in own if pair.name in names))
        for suite, own in SUITES.items()
    ]
    return [(suite, part) for suite, part in members if part] + [(OVERALL, tuple(names))]


def to_frame(rows: Sequence[Row]) -> pl.DataFrame:
    """One line per row, metric and split, in this order.

    Columns: name, suite, base, metric, split ("train", "validation", "gap", "relative_gap", which
    is in percent), mean, sem, iqm, low, high, iqm_low, iqm_high, num_agents, num_pairs; null where
    there is no value.
    """
    lines = []
    for row in rows:
        head = {"name": row.name, "suite": row.suite, "base": row.base}
        tail = {"num_agents": row.num_agents, "num_pairs": row.num_pairs}
        for metric in METRICS:
            for split in (*SPLITS, "relative_gap"):
                stat = getattr(row, split)[metric]
                found = asdict(stat) if stat else {}
                lines.append({**head, "metric": metric, "split": split, **found, **tail})
    return pl.DataFrame(lines, schema=_COLUMNS)


def _draw(scores: Scores, resamples: int) -> dict[str, np.ndarray]:
    """How often each agent is drawn, by base; the same for all rows and metrics."""
    agents = agents_by_base(scores.pairs)
    return draw_counts({base: len(seeds) for base, seeds in agents.items()}, resamples)


def _row(
    name: str,
    suite: str,
    base: str,
    members: Mapping[str, PairScores],
    counts: Mapping[str, np.ndarray],
) -> Row:
    # Columns: metrics of train, then of validation, then of the gap.
    stacked = {pair: _columns(own) for pair, own in members.items()}
    groups = group_by_base(members, stacked)
    pair_means = np.stack([values.mean(axis=0) for values in stacked.values()])
    means = pair_means.mean(axis=0)
    resampled = resampled_means(counts, groups)
    columns = np.stack(
        [
            means,
            sem(next(iter(stacked.values())) if base else pair_means),
            iqm(np.concatenate(list(stacked.values()))),
            *interval(resampled),
            *interval(resampled_iqms(counts, groups)),
        ]
    )
    return Row(
        name=name,
        suite=suite,
        base=base,
        num_agents=sum(map(len, groups.values())),
        num_pairs=len(members),
        relative_gap=_relative_gaps(means, resampled),
        **{
            split: {metric: Stat(*part[:, i].tolist()) for i, metric in enumerate(METRICS)}
            for split, part in zip(SPLITS, np.split(columns, len(SPLITS), axis=1), strict=True)
        },
    )


def _columns(own: PairScores) -> np.ndarray:
    """Values [S, 3 * metrics] of a pair."""
    return np.stack([getattr(own, split)[name] for split in SPLITS for name in METRICS], axis=1)


def _relative_gaps(means: np.ndarray, resampled: np.ndarray) -> dict[str, Relative | None]:
    """Relative gap of every metric from all means [K] and those of all resamples [R, K]."""
    size = len(METRICS)
    return {
        metric: _relative(means[i], means[size + i], resampled[:, i], resampled[:, size + i])
        for i, metric in enumerate(METRICS)
    }


def _relative(
    train: float, validation: float, trains: np.ndarray, validations: np.ndarray
) -> Relative | None:
    """Relative gap of the means, with the means of all resamples."""
    if train == 0.0:
        return None
    share = 100.0 * (train - validation) / abs(train)
    if (trains * train <= 0.0).any():
        return Relative(float(share), None, None)
    low, high = interval(100.0 * (trains - validations) / np.abs(trains))
    return Relative(float(share), float(low), float(high))
