"""Comparisons of algorithms by their validation scores, on the pairs that all of them have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kagebench.benchmark.resampling import RESAMPLES, draw_counts, interval, resampled_means
from kagebench.benchmark.scores import Scores, agents_by_base, group_by_base
from kagebench.benchmark.table import by_suite
from kagebench.evaluate import METRICS
from kagebench.stats import ranks as rank
from kagebench.stats import wins
from kagebench.suites import PAIRS

# Of everything else, more is better.
_LESS_IS_BETTER = ("jump_count",)


@dataclass(frozen=True)
class Improvement:
    """How likely one algorithm is to beat another.

    Attributes:
        name: of the suite, or "overall".
        probability: that a random agent of the first has a better score than one of the second on
            a pair, ties half, averaged over pairs (Agarwal et al. 2021, section 4.3).
        low, high: 95 % bootstrap interval.
        num_pairs: that both have.
    """

    name: str
    probability: float
    low: float
    high: float
    num_pairs: int


@dataclass(frozen=True)
class Standing:
    """The place of one algorithm.

    Attributes:
        name: of the suite, or "overall".
        algorithm: its label.
        mean: average over agents, then over pairs.
        rank: by this mean, 1 for the best; equal ones share their average rank.
        low, high: 95 % bootstrap interval of the rank.
        num_pairs: that all algorithms have.
    """

    name: str
    algorithm: str
    mean: float
    rank: float
    low: float
    high: float
    num_pairs: int


def improvement(a: Scores, b: Scores, metric: str, resamples: int = RESAMPLES) -> list[Improvement]:
    """P(a better than b) on validation, per suite and overall.

    The interval resamples the agents of `a` and those of `b` independently, each with all its
    pairs.

    Raises:
        ValueError: the metric is unknown, or no pair is common.
    """
    common = _common([a, b], metric)
    counts_a, counts_b = (_draw(own, resamples, seed) for seed, own in enumerate((a, b)))
    values_a, values_b = _values(a, metric), _values(b, metric)
    won = {pair: wins(values_a[pair][:, 0], values_b[pair][:, 0]) for pair in common}
    rows = []
    for name, members in by_suite(common):
        probability = np.mean([won[pair].mean() for pair in members])
        estimates = np.zeros(resamples)
        for base, group in group_by_base(members, won).items():  # [agents of a, pairs, of b]
            share = group.sum(axis=1) / (len(members) * group[:, 0].size)
            estimates += np.sum((counts_a[base] @ share) * counts_b[base], axis=1)
        low, high = interval(estimates)
        rows.append(Improvement(name, float(probability), float(low), float(high), len(members)))
    return rows


def ranks(scores: Sequence[Scores], metric: str, resamples: int = RESAMPLES) -> list[Standing]:
    """Places of all algorithms on validation, per suite and overall.

    The interval resamples the agents of every algorithm independently, each with all its pairs.

    Returns:
        for every suite, then overall, one entry per algorithm in the order given.

    Raises:
        ValueError: there is no algorithm, the metric is unknown, or no pair is common.
    """
    common = _common(scores, metric)
    counts = [_draw(own, resamples, seed) for seed, own in enumerate(scores)]
    values = [_values(own, metric) for own in scores]
    sign = -1.0 if metric in _LESS_IS_BETTER else 1.0
    standings = []
    for name, members in by_suite(common):
        means = np.array([np.mean([own[pair].mean() for pair in members]) for own in values])
        resampled = [
            resampled_means(drawn, group_by_base(members, own))[:, 0]
            for drawn, own in zip(counts, values, strict=True)
        ]
        lows, highs = interval(rank(resampled).T)
        columns = np.stack([sign * means, rank(means), lows, highs], axis=1).tolist()
        standings += [
            Standing(name, own.algorithm, mean, place, low, high, len(members))
            for own, (mean, place, low, high) in zip(scores, columns, strict=True)
        ]
    return standings


def _common(scores: Sequence[Scores], metric: str) -> tuple[str, ...]:
    """Pairs that all have."""
    if metric not in METRICS:
        raise ValueError(f"metric: got {metric!r}, allowed: {' '.join(METRICS)}")
    common = tuple(pair for pair in PAIRS if scores and all(pair in own.pairs for own in scores))
    if not common:
        names = ", ".join(own.algorithm for own in scores) or "no algorithm"
        raise ValueError(f"compare: no pair was evaluated by all of: {names}")
    return common


def _draw(scores: Scores, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """How often each agent is drawn, by base."""
    agents = agents_by_base(scores.pairs)
    return draw_counts({base: len(seeds) for base, seeds in agents.items()}, resamples, seed)


def _values(scores: Scores, metric: str) -> dict[str, np.ndarray]:
    """Pair -> validation scores [S, 1], larger for better."""
    sign = -1.0 if metric in _LESS_IS_BETTER else 1.0
    return {name: sign * own.validation[metric][:, None] for name, own in scores.pairs.items()}
