"""Statistics of evaluations: values of A agents on the same E levels.

Agents and levels are crossed: every agent plays every level. Confidence intervals resample both
(Owen 2007, "The pigeonhole bootstrap"), so that all levels of an agent, and all agents on a level,
stay together. Gaps are paired: the same agent on the same level under two configurations.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

Statistic = Callable[[np.ndarray], np.ndarray]
_BLOCK = 64


def mean(values: ArrayLike) -> np.ndarray:
    """Average over the first axis."""
    return np.mean(np.asarray(values, np.float64), axis=0)


def iqm(values: ArrayLike) -> np.ndarray:
    """Interquartile mean over the first axis (Agarwal et al. 2021, arXiv 2108.13264).

    The average without the lowest and the highest quarter of the values, each rounded down.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=0)
    cut = len(ordered) // 4
    return ordered[cut : len(ordered) - cut].mean(axis=0)


def sem(values: ArrayLike) -> np.ndarray:
    """Standard error of the mean over the first axis, sample deviation / sqrt(n); 0 for n = 1."""
    values = np.asarray(values, np.float64)
    count = len(values)
    if count == 1:
        return np.zeros(values.shape[1:])
    return values.std(axis=0, ddof=1) / np.sqrt(count)


def paired_gap(train: ArrayLike, validation: ArrayLike) -> np.ndarray:
    """What is lost from training to validation, per agent and level (float64, same shape).

    Raises:
        ValueError: the shapes differ, so the values are not paired.
    """
    train, validation = np.asarray(train, np.float64), np.asarray(validation, np.float64)
    if train.shape != validation.shape:
        raise ValueError(f"paired_gap: shapes {train.shape} and {validation.shape} differ")
    return train - validation


def wins(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Whether each value of `a` [A, ...] is larger than each of `b` [B, ...]: float64 [A, B, ...].

    1 if it is, 1/2 if they are equal, 0 if it is smaller.
    """
    a, b = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    return (a > b) + 0.5 * (a == b)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Probability that a random value of `a` [A, ...] is larger than one of `b` [B, ...].

    Ties count half (Agarwal et al. 2021, section 4.3). Further axes are tasks and remain.
    """
    return wins(a, b).mean(axis=(0, 1))


def ranks(values: ArrayLike) -> np.ndarray:
    """Rank along the first axis, 1 for the largest; equal values share their average rank."""
    values = np.asarray(values, np.float64)
    larger = values[None] > values[:, None]
    equal = values[None] == values[:, None]
    return 0.5 + larger.sum(axis=1) + 0.5 * equal.sum(axis=1)


def bootstrap(
    values: ArrayLike,
    statistic: Statistic = mean,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    resample_levels: bool = True,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval of a statistic of all values, clustered by agent.

    Args:
        values: [A, E, ...], further axes are treated alike and get intervals of their own.
        statistic: function of [N, ...] that reduces its first axis.
        resamples: number of bootstrap samples.
        level: coverage, between 0 and 1.
        resample_levels: draw levels with replacement too, the same ones for all agents; otherwise
            the interval is about these very levels.
        seed: of the resampling.

    Returns:
        (low, high), each of the shape of the further axes.

    Raises:
        ValueError: values have fewer than two axes, or an argument is out of range.
    """
    values = np.asarray(values, np.float64)
    if values.ndim < 2 or 0 in values.shape[:2]:
        raise ValueError(f"bootstrap: values have shape {values.shape}, need [agents, levels, ...]")
    if not 0.0 < level < 1.0 or resamples < 1:
        raise ValueError(f"bootstrap: level {level} not in (0, 1), or resamples {resamples} < 1")
    agents, levels = values.shape[:2]
    rng = np.random.default_rng(seed)
    estimates = []
    for start in range(0, resamples, _BLOCK):
        count = min(_BLOCK, resamples - start)
        rows = rng.integers(agents, size=(count, agents, 1))
        columns = rng.integers(levels, size=(count, 1, levels))
        if not resample_levels:
            columns = np.broadcast_to(np.arange(levels), columns.shape)
        drawn = values[rows, columns].reshape(count, agents * levels, *values.shape[2:])
        estimates.append(statistic(np.moveaxis(drawn, 1, 0)))
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(np.concatenate(estimates), (tail, 100.0 - tail), axis=0)
    return low, high


def summarise(values: ArrayLike, **options: int | float) -> dict[str, float]:
    """Mean, standard error, interquartile mean and interval of values [A, E].

    sem is that of the agents' means, as the benchmark's paper reports it; low and high bound the
    bootstrap interval of the mean (`bootstrap`, which takes the options).
    """
    values = np.asarray(values, np.float64)
    low, high = bootstrap(values, mean, **options)  # pyright: ignore
    return {
        "mean": float(values.mean()),
        "sem": float(sem(values.mean(axis=1))),
        "iqm": float(iqm(values.reshape(-1))),
        "low": float(low),
        "high": float(high),
    }
