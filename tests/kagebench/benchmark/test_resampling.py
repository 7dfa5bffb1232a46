"""The bootstrap over agents against other libraries, and what must hold for any data."""

import itertools

import numpy as np
import pytest

from kagebench.benchmark.resampling import (
    draw_counts,
    interval,
    resampled_iqms,
    resampled_means,
)
from kagebench.stats import iqm

# 10 agents on 3 tasks.
VALUES = (
    np.array(
        [
            [81, 12, 45],
            [77, 30, 44],
            [90, 5, 61],
            [15, 22, 58],
            [66, 41, 39],
            [85, 9, 70],
            [72, 18, 52],
            [93, 27, 47],
            [60, 33, 66],
            [88, 14, 35],
        ]
    )
    / 100.0
)


def both(groups: dict[str, np.ndarray], resamples: int = 50_000, seed: int = 0) -> np.ndarray:
    """Means and interquartile means [R, 2] of resamples of groups of values [agents, tasks]."""
    counts = draw_counts({name: len(group) for name, group in groups.items()}, resamples, seed)
    wide = {name: group[:, :, None] for name, group in groups.items()}
    found = resampled_means(counts, wide), resampled_iqms(counts, wide)
    return np.concatenate(found, axis=1)


def test_groups_of_agents_with_one_task_each() -> None:
    """Every task has agents of its own, as in rliable's stratified bootstrap.

    rliable 1.2.0 (arch 7.2.0, scipy 1.17.1): rliable.library.get_interval_estimates({"a": VALUES},
    lambda x: np.array([aggregate_mean(x), aggregate_iqm(x)]), reps=50000,
    random_state=RandomState(1)); a second run differed from this one by up to 0.0013.
    """
    low, high = interval(both({str(i): VALUES[:, [i]] for i in range(3)}))
    np.testing.assert_allclose(low, [0.426, 0.401875], atol=0.002)
    np.testing.assert_allclose(high, [0.537, 0.54875], atol=0.002)


def test_one_group_of_agents_on_all_tasks() -> None:
    """All tasks have the same agents, which are drawn with all their values.

    scipy 1.17.1: scipy.stats.bootstrap((VALUES.mean(axis=1),), np.mean, n_resamples=50000,
    method="percentile", rng=default_rng(1)); arch 7.2.0 on the rows of VALUES:
    IIDBootstrap(VALUES, seed=RandomState(1)).conf_int(lambda x: np.array([x.mean(),
    scipy.stats.trim_mean(x, 0.25, axis=None)]), reps=20000, method="percentile").
    """
    low, high = interval(both({"a": VALUES}))
    np.testing.assert_allclose(low, [0.44066667, 0.415625], atol=0.002)
    np.testing.assert_allclose(high, [0.52, 0.536875], atol=0.002)


def test_agents_come_with_all_their_tasks() -> None:
    """Tasks that only repeat each other do not narrow the interval, independent ones would."""
    one = interval(both({"a": VALUES[:, :1]}))
    repeated = interval(both({"a": np.repeat(VALUES[:, :1], 13, axis=1)}))
    np.testing.assert_allclose(repeated[0][0], one[0][0])
    np.testing.assert_allclose(repeated[1][0], one[1][0])
    apart = interval(both({str(i): VALUES[:, :1] for i in range(13)}))
    assert (apart[1] - apart[0])[0] < 0.4 * (one[1] - one[0])[0]


def test_statistics_of_every_resample() -> None:
    """Against resamples that are written out, with repeated values among them."""
    rng = np.random.default_rng(3)
    groups = {"a": rng.integers(0, 9, (5, 4)) / 8.0, "b": rng.normal(size=(3, 2))}
    counts = draw_counts({"a": 5, "b": 3, "unused": 2}, 40, seed=1)
    wide = {name: np.stack([group, -group], axis=2) for name, group in groups.items()}
    means, iqms = resampled_means(counts, wide), resampled_iqms(counts, wide)
    assert means.shape == iqms.shape == (40, 2)
    for i in range(40):
        drawn = [
            np.repeat(group, counts[name][i].astype(int), axis=0) for name, group in groups.items()
        ]
        # Every task counts the same, whatever the number of its agents.
        tasks = np.concatenate([values.mean(axis=0) for values in drawn])
        np.testing.assert_allclose(means[i], [tasks.mean(), -tasks.mean()], atol=1e-12)
        flat = np.concatenate([values.ravel() for values in drawn])
        np.testing.assert_allclose(iqms[i], [iqm(flat), iqm(-flat)], atol=1e-12)


def test_all_resamples_of_two_agents() -> None:
    """Both drawn once in half of the cases, either twice in a quarter."""
    counts = draw_counts({"a": 2}, 40_000)["a"]
    kinds, number = np.unique(counts, axis=0, return_counts=True)
    np.testing.assert_array_equal(kinds, [[0, 2], [1, 1], [2, 0]])
    np.testing.assert_allclose(number / 40_000, [0.25, 0.5, 0.25], atol=0.01)


def test_groups_are_drawn_independently_and_reproducibly() -> None:
    counts = draw_counts({"a": 4, "b": 4}, 2_000)
    assert all((group.sum(axis=1) == 4).all() for group in counts.values())
    correlations = np.corrcoef(counts["a"].T, counts["b"].T)[:4, 4:]
    assert np.abs(correlations).max() < 0.1
    again, other = draw_counts({"a": 4, "b": 4}, 2_000), draw_counts({"a": 4}, 2_000, seed=1)
    np.testing.assert_array_equal(again["b"], counts["b"])
    assert (other["a"] != counts["a"]).any()


@pytest.mark.parametrize("size", [1, 3, 4, 6])
def test_one_agent_has_no_spread(size: int) -> None:
    values = np.arange(size)[None] ** 2.0
    found = both({"a": values}, resamples=5)
    np.testing.assert_allclose(found, np.tile([values.mean(), iqm(values[0])], (5, 1)))


def test_percentiles() -> None:
    low, high = interval(np.arange(101.0)[:, None] * [1.0, 2.0])
    np.testing.assert_allclose((low, high), [[2.5, 5.0], [97.5, 195.0]])
    low, high = interval(np.arange(101.0), level=0.5)
    assert (low, high) == (25.0, 75.0)


def test_many_values_of_many_agents_at_once() -> None:
    """7 groups of 10 agents on 34 tasks: 50,000 resamples fit in memory and agree with theory."""
    rng = np.random.default_rng(5)
    tasks = (11, 6, 1, 1, 1, 13, 1)
    groups = {
        str(i): rng.normal(size=(10, 1)) + 0.1 * rng.normal(size=(10, size))
        for i, size in enumerate(tasks)
    }
    found = both(groups)
    means = [group.sum(axis=1) / 34 for group in groups.values()]
    variance = sum(group.var() / 10 for group in means)
    assert found[:, 0].std() == pytest.approx(np.sqrt(variance), rel=0.02)
    low, high = interval(found[:, 0])
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.03)
    pairs = itertools.pairwise((found[:, 1].min(), *interval(found[:, 1]), found[:, 1].max()))
    assert all(small < large for small, large in pairs)
