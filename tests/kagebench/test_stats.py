"""Statistics against values computed by hand."""

import numpy as np
import pytest

from kagebench.stats import bootstrap, iqm, mean, paired_gap, sem, summarise


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
