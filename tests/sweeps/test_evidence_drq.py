"""Differences of gaps between two agents on the benchmark's pairs."""

import numpy as np
import pytest

from kagebench.benchmark.scores import PairScores
from sweeps.evidence import drq


def scores(seeds, train, validation):
    train, validation = np.array(train), np.array(validation)
    sides = ({"distance": side} for side in (train, validation, train - validation))
    return PairScores("base-a", tuple(seeds), *sides)


def test_agents_are_paired_by_their_seeds():
    one = scores((1, 2, 5), [10.0, 20.0, 7.0], [4.0, 2.0, 7.0])
    other = scores((2, 3, 1), [18.0, 0.0, 11.0], [1.0, 0.0, 1.0])
    changes = drq.change(one, other, "distance")
    assert list(changes) == [("base-a", 1), ("base-a", 2)]
    np.testing.assert_array_equal(changes["base-a", 1], [-1.0, 3.0, -4.0])
    np.testing.assert_array_equal(changes["base-a", 2], [2.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"seeds of base-a: \(1, 2, 5\) and \(3,\), need a common"):
        drq.change(one, scores((3,), [0.0], [0.0]), "distance")


def test_an_interval_resamples_agents_with_all_their_pairs():
    # Two agents of bases with three pairs and one: a resample has the mean 1, 4, or that of all.
    first = {("base-a", 1): np.full(3, 1.0)}
    second = {("base-b", 1): np.full(3, 4.0)}
    row = drq.summary([first, first, first, second])
    assert (row["agents"], row["pairs"]) == (2, 4)
    assert row["gap"] == pytest.approx(7.0 / 4.0)
    assert (row["gap_low"], row["gap_high"]) == (1.0, 4.0)
    assert drq.in_short(row, 1).endswith("gap +1.8 [+1.0, +4.0]")
    # The pairs of an agent are one draw, however many there are.
    alone = drq.summary([first, first])
    assert alone["gap"] == 1.0 and "gap_low" not in alone
    assert drq.in_short(alone, 1) == "train +1.0, validation +1.0, gap +1.0"
