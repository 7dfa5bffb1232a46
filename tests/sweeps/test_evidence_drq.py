"""Differences of gaps between two agents on the benchmark's pairs."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kagebench.benchmark.scores import PairScores
from sweeps.evidence import drq
from sweeps.evidence.spec import interval


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


def test_an_interval_counts_agents_and_not_their_pairs():
    # Totals 3 of 3 pairs and 4 of 1: deviations from 7/4 per pair are -9/4 and 9/4, in means of two
    # pairs per agent 9/8; t of one degree of freedom is 12.706.
    first = {("base-a", 1): np.full(3, 1.0)}
    second = {("base-b", 1): np.full(3, 4.0)}
    row = drq.summary([first, first, first, second])
    assert (row["agents"], row["pairs"]) == (2, 4)
    assert row["gap"] == pytest.approx(7.0 / 4.0)
    half = 12.7062 * 9.0 / 8.0
    assert (row["gap_low"], row["gap_high"]) == pytest.approx((1.75 - half, 1.75 + half), abs=1e-3)
    assert drq.in_short(row, 1).endswith("gap +1.8 [-12.5, +16.0]")
    # With as many pairs each, it is the interval of the agents' means.
    equal = drq.summary([{("a", s): np.full(3, x) for s, x in ((1, 1.0), (2, 4.0), (3, 5.0))}] * 4)
    low, high = interval(np.array([1.0, 4.0, 5.0]))
    assert (equal["gap_low"], equal["gap_high"]) == pytest.approx((low, high), abs=1e-3)
    alone = drq.summary([first, first])
    assert alone["gap"] == 1.0 and "gap_low" not in alone
    assert drq.in_short(alone, 1) == "train +1.0, validation +1.0, gap +1.0"


def test_gaps_are_compared_on_common_pairs(monkeypatch):
    def pairs_of(folder):
        gain = 1.0 if folder == "with" else 0.0
        seeds = (1, 2, 3)
        train = [10.0, 20.0, 30.0]
        common = both(seeds, train, [9.0 + 2.0 * gain, 8.0 + 2.1 * gain, 7.0 + 1.9 * gain])
        alone = both((1,) if gain else (2,), [0.0], [0.0])
        return {"filters-1": common, "filters-2": common, "layout-1": alone}

    def both(seeds, train, validation):
        train, validation = np.array(train), np.array(validation)
        sides = [dict.fromkeys(drq.METRICS, x) for x in (train, validation, train - validation)]
        return PairScores("base-f", tuple(seeds), *sides)

    monkeypatch.setattr(drq, "read", lambda path: path.parent.name)
    monkeypatch.setattr(drq, "collect", lambda name: SimpleNamespace(pairs=pairs_of(name)))
    rows, verdict = drq.gaps(Path("with"), Path("without"))
    places = [row.get("suite", row.get("pair")) for row in rows[: len(rows) // 2]]
    assert places == ["filters", "overall", "filters-1", "filters-2"]
    assert rows[1]["agents"] == 3 and rows[1]["pairs"] == 2
    assert rows[1]["gap"] == pytest.approx(-2.0) and rows[1]["train"] == 0.0
    assert "gap -2.000 [-2.248, -1.752], gap smaller in 2 of 2 pairs" in verdict.summary
    assert drq.smaller([{"gap_high": 0.1}, {"gap_high": -0.1}]) == "gap smaller in 1 of 2 pairs"
    assert drq.smaller([{"gap": -2.0}]).startswith("one agent per pair")
    monkeypatch.setattr(drq, "collect", lambda name: SimpleNamespace(pairs={name: None}))
    with pytest.raises(ValueError, match="with and without have no pair with a common seed"):
        drq.gaps(Path("with"), Path("without"))
