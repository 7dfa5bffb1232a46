"""Statistics against values computed by hand."""

import numpy as np
import pytest

from kagebench.stats import (
    bootstrap,
    iqm,
    mean,
    paired_gap,
    probability_of_improvement,
    ranks,
    sem,
    summarise,
    wins,
)


def test_standard_error():
    # Deviation of 1 2 3 4 with n - 1: sqrt(5 / 3); divided by sqrt(4).
    assert sem([1, 2, 3, 4]) == pytest.approx(np.sqrt(5 / 3) / 2)
    assert sem([7.0]) == 0.0
    np.testing.assert_allclose(sem([[1, 10], [3, 10]]), [1.0, 0.0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([8, 1, 7, 2, 6, 3, 5, 4], 4.5),  # 3 4 5 6
        ([100, 1, 2, 3, -50], 2.0),  # 5 // 4 = 1 dropped on either side
        ([1, 2, 6], 3.0),  # nothing dropped
    ],
)
def test_interquartile_mean(values, expected):
    assert iqm(values) == pytest.approx(expected)
    np.testing.assert_allclose(iqm(np.stack([values, values], axis=1)), [expected, expected])


def test_agents_are_resampled_as_clusters():
    """Two agents with constant values 0 and 1: a resample is 0, 1/2 or 1 as a whole."""
    values = np.repeat([[0.0], [1.0]], 50, axis=1)
    low, high = bootstrap(values)
    assert (low, high) == (0.0, 1.0)
    low, high = bootstrap(values, level=0.4)
    assert (low, high) == (0.5, 0.5)


def test_levels_are_resampled_for_all_agents_together():
    """Agents that only repeat each other do not narrow the interval."""
    levels = np.random.default_rng(1).normal(size=(1, 400))
    one = bootstrap(levels)
    ten = bootstrap(np.repeat(levels, 10, axis=0))
    width = 2 * 1.96 * levels.std() / np.sqrt(400)
    assert one[1] - one[0] == pytest.approx(width, rel=0.15)
    assert ten[1] - ten[0] == pytest.approx(width, rel=0.15)


def test_interval_about_the_given_levels():
    levels = np.random.default_rng(1).normal(size=(1, 30))
    low, high = bootstrap(levels, resample_levels=False)
    assert low == pytest.approx(levels.mean()) and high == pytest.approx(levels.mean())


def test_bootstrap_is_vectorised_and_reproducible():
    values = np.random.default_rng(2).normal(size=(3, 20, 2, 2))
    for statistic in (mean, iqm):
        low, high = bootstrap(values, statistic, resamples=300)
        assert low.shape == high.shape == (2, 2)
        single = bootstrap(values[:, :, 1, 0], statistic, resamples=300)
        np.testing.assert_allclose((low[1, 0], high[1, 0]), single)
        assert (low < high).all()


def test_gaps_are_paired():
    train, validation = np.array([[3.0, 5.0]]), np.array([[1.0, 5.0]])
    np.testing.assert_array_equal(paired_gap(train, validation), [[2.0, 0.0]])
    # The same shuffled differences: pairing removes what varies between levels.
    levels = np.random.default_rng(3).normal(size=(2, 200), scale=100.0)
    low, high = bootstrap(paired_gap(levels + 1.0, levels))
    assert low == pytest.approx(1.0) and high == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"shapes \(1, 2\) and \(2, 1\) differ"):
        paired_gap(train, validation.T)


def test_summary():
    found = summarise([[1.0, 3.0], [5.0, 7.0]])
    assert found["mean"] == 4.0
    assert found["sem"] == pytest.approx(2.0)  # of 2 and 6: sqrt(8) / sqrt(2)
    assert found["iqm"] == 4.0
    assert found["low"] < 4.0 < found["high"]


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([1.0, 2.0], {}),
        (np.zeros((0, 3)), {}),
        ([[1.0]], {"level": 1.0}),
        ([[1.0]], {"resamples": 0}),
    ],
)
def test_bad_arguments_of_the_bootstrap(values, options):
    with pytest.raises(ValueError, match="bootstrap: "):
        bootstrap(values, **options)


# 10 agents of one algorithm and 8 of another on 3 tasks, in percent.
A = [[81, 77, 90, 15, 66, 85, 72, 93, 60, 88], [12, 30, 5, 22, 41, 9, 18, 27, 33, 14]]
A = np.array([*A, [45, 44, 61, 58, 39, 70, 52, 47, 66, 35]]).T / 100
B = [[70, 62, 91, 55, 48, 73, 67, 80], [25, 37, 28, 30, 41, 19, 44, 35]]
B = np.array([*B, [45, 31, 40, 58, 20, 49, 38, 29]]).T / 100


def test_figures_of_other_libraries():
    """rliable 1.2.0: metrics.aggregate_iqm(A), metrics.probability_of_improvement(A, B), which is
    the mean over tasks of scipy 1.17.1's mannwhitneyu(A[:, i], B[:, i]).statistic / 80;
    scipy.stats.trim_mean(A, 0.25, axis=None), scipy.stats.sem(A, axis=0)."""
    assert iqm(A.ravel()) == pytest.approx(0.48375)
    assert iqm(B.ravel()) == pytest.approx(0.43416666666666676)
    np.testing.assert_allclose(sem(A), [0.0724193, 0.03652853, 0.037], rtol=1e-6)
    np.testing.assert_allclose(probability_of_improvement(A, B), [0.65, 0.2125, 0.775])
    assert probability_of_improvement(A, B).mean() == pytest.approx(0.5458333333333334)
    assert probability_of_improvement(B, A).mean() == pytest.approx(0.45416666666666666)


def test_probability_of_improvement():
    # 3 beats 1 and ties with 3; 2 beats 1 alone: (1 + 1/2 + 1) / 4.
    assert probability_of_improvement([3, 2], [1, 3]) == 0.625
    np.testing.assert_array_equal(wins([3, 2], [1, 3, 2]), [[1, 0.5, 1], [1, 0, 0.5]])


def test_ranks():
    """The largest is first; scipy 1.17.1: rankdata([-3, -7, -3, -1]) is 2.5 1 2.5 4."""
    np.testing.assert_array_equal(ranks([3, 7, 3, 1]), [2.5, 1, 2.5, 4])
    np.testing.assert_array_equal(ranks([[1, 5], [2, 5], [3, 4]]), [[3, 1.5], [2, 1.5], [1, 3]])
