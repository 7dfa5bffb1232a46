"""Comparisons of algorithms against figures computed by hand and with rliable."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from kagebench.benchmark import compare
from kagebench.benchmark.scores import PairScores, Scores
from kagebench.suites import PAIRS
from tests.kagebench.test_stats import A, B

Values = Mapping[str, Sequence[float]]


def scores(algorithm: str, values: Values, metric: str = "success") -> Scores:
    """Scores with the given validation values of one metric, {pair: [agents]}."""
    pairs = {}
    for name, own in values.items():
        found = {metric: np.asarray(own, float)}
        pairs[name] = PairScores(PAIRS[name].base, tuple(range(len(own))), found, found, found)
    return Scores(algorithm, "paired", "last", pairs)


def test_probability_of_improvement() -> None:
    a = scores("a", {"background-5": [0.5, 0.9], "layout-1": [0.0, 0.0], "filters-1": [1.0]})
    b = scores("b", {"background-5": [0.5, 0.7, 0.1], "layout-1": [1.0, 1.0, 1.0]})
    found = {row.name: row for row in compare.improvement(a, b, "success", resamples=2_000)}
    assert list(found) == ["background", "layout", "overall"]
    # 0.5 ties, loses and wins, 0.9 wins three times: (0.5 + 1 + 3) / 6.
    assert found["background"].probability == pytest.approx(0.75)
    assert (found["layout"].low, found["layout"].high) == (0.0, 0.0)
    assert found["overall"].probability == pytest.approx(0.375)
    assert [row.num_pairs for row in found.values()] == [1, 1, 2]
    # 0.5 twice against one 0.5 and two 0.7: 1/6. This or less has probability 4/108 = 3.7 %.
    assert found["background"].low == pytest.approx(1 / 6) and found["background"].high == 1.0
    back = compare.improvement(b, a, "success", resamples=2_000)[-1]
    assert back.probability == pytest.approx(0.625)


def test_interval_of_the_improvement() -> None:
    """Three pairs with agents of their own.

    rliable 1.2.0: get_interval_estimates({"ab": (A, B)}, metrics.probability_of_improvement,
    reps=4000, random_state=RandomState(1)).
    """
    names = ("background-4", "background-6", "background-7")
    a, b = (scores("", {name: own[:, i] for i, name in enumerate(names)}) for own in (A, B))
    row = compare.improvement(a, b, "success")[0]
    assert row.probability == pytest.approx(0.5458333333333334)
    assert (row.low, row.high) == pytest.approx((0.40828125, 0.67505208), abs=0.01)
    # With the same agents on all of them, copies of a pair are no more evidence than one.
    copies = ("background-1", "background-2", "background-5")
    a, b = (scores("", {name: own[:, 0] for name in copies}) for own in (A, B))
    one = [scores("", {"background-1": own[:, 0]}) for own in (A, B)]
    rows = compare.improvement(a, b, "success")[0], compare.improvement(*one, "success")[0]
    assert (rows[0].low, rows[0].high) == pytest.approx((rows[1].low, rows[1].high))
    assert rows[0].high - rows[0].low > 0.4


def test_ranks() -> None:
    low = scores("low", {"layout-1": [0.1, 0.2], "background-5": [0.5, 0.5]})
    high = scores("high", {"layout-1": [0.8, 0.9], "background-5": [0.5, 0.5]})
    wide = scores("wide", {"layout-1": [0.0, 1.0], "background-5": [0.2, 0.2], "effects-1": [1.0]})
    found = compare.ranks([low, high, wide], "success")
    assert [(row.name, row.algorithm) for row in found[:4]] == [
        ("background", "low"),
        ("background", "high"),
        ("background", "wide"),
        ("layout", "low"),
    ]
    places = {(row.name, row.algorithm): (row.rank, row.low, row.high) for row in found}
    assert places["background", "low"] == places["background", "high"] == (1.5, 1.5, 1.5)
    assert places["background", "wide"] == (3.0, 3.0, 3.0)
    assert places["layout", "high"] == (1.0, 1.0, 2.0)  # behind if wide is drawn as its best
    assert places["layout", "wide"] == (2.0, 1.0, 3.0)
    assert places["layout", "low"] == (3.0, 2.0, 3.0)
    means = {(row.name, row.algorithm): row.mean for row in found}
    assert means["overall", "high"] == pytest.approx(0.675)
    assert {row.num_pairs for row in found if row.name == "overall"} == {2}


def test_fewer_jumps_are_better() -> None:
    a, b = (scores(str(n), {"layout-1": [n]}, "jump_count") for n in (5, 20))
    assert compare.improvement(a, b, "jump_count", resamples=10)[0].probability == 1.0
    found = compare.ranks([a, b], "jump_count", resamples=10)
    assert [(row.mean, row.rank) for row in found[:2]] == [(5.0, 1.0), (20.0, 2.0)]


def test_algorithms_are_resampled_independently() -> None:
    """Two with the same scores: either is ahead in part of the resamples."""
    a, b = (scores(name, {"layout-1": [0.0, 1.0, 2.0]}) for name in "ab")
    first, second, *_ = compare.ranks([a, b], "success")
    assert (first.rank, first.low, first.high) == (second.rank, second.low, second.high)
    assert (first.rank, first.low, first.high) == (1.5, 1.0, 2.0)
    row = compare.improvement(a, b, "success")[0]
    assert row.low < 0.4 < row.probability == 0.5 < 0.6 < row.high


def test_what_cannot_be_compared() -> None:
    a, b = scores("a", {"layout-1": [1.0]}), scores("b", {"filters-1": [1.0]})
    with pytest.raises(ValueError, match="compare: no pair was evaluated by all of: a, b"):
        compare.ranks([a, b], "success")
    with pytest.raises(ValueError, match="compare: no pair was evaluated by all of: no algorithm"):
        compare.ranks([], "success")
    with pytest.raises(
        ValueError, match="metric: got 'sucess', allowed: distance progress success"
    ):
        compare.improvement(a, a, "sucess")
