"""Asynchronous successive halving against a hand-written sequence and known learning curves."""

import json
import math

import polars as pl
import pytest

from sweeps import driver, scheduled, store
from sweeps.asha import Asha, Slots, goes_on
from sweeps.scheduler import Source
from tests.sweeps import toy_curves, toy_runs

NAN = math.nan
NEW = Source(None)


def test_rungs():
    assert Asha(1, 4).rungs(27) == [1, 3, 9, 27]
    assert Asha(10, 4, eta=4).rungs(205) == [10, 40, 160, 200]  # 200 is a multiple of 10
    assert Asha(10, 4).rungs(19) == [10]


def test_the_top_goes_on():
    def top(recorded, eta, mode="max"):
        return [i for i in range(len(recorded)) if goes_on(recorded, i, eta, mode)]

    assert top([5.0], 3) == [0]
    assert top([5.0, 6.0], 3) == [1]
    assert top([5.0, 6.0, 7.0, 8.0, 9.0], 3) == [4]
    assert top([5.0, 6.0, 7.0, 8.0, 9.0, 1.0], 3) == [3, 4]
    assert top([5.0, 6.0, 7.0, 8.0], 2, "min") == [0, 1]
    assert top([5.0, 5.0, 5.0, 5.0], 2) == [0, 1]
    assert top([NAN, 5.0, NAN], 3) == [1]


def test_decisions_for_a_given_sequence_of_scores():
    """Seven points, two slots, eta 2, rungs at 1, 2 and 4 updates."""
    rules = Slots(Asha(1, slots=2, eta=2), toy_runs.curves(7, num_updates=4))
    # Scores of the two slots, what the rows are made of then, rows whose trials have finished,
    # clock of the next decision, and the trials (with the clock of their start) that run then.
    sequence = [
        # Of 3 and 5, which came at the same time, the better one goes on.
        ([3.0, 5.0], [NEW, Source(1)], [], 2, [(2, 1), (1, 0)]),
        # 4 is not in the top half of 3, 5, 4; 6 is the only one at its rung.
        ([4.0, 6.0], [NEW, Source(1)], [], 3, [(3, 2), (1, 0)]),
        # 5 is the second best of four; the other slot gets to no rung, whatever its score.
        ([5.0, 0.0], [Source(0), Source(1)], [], 4, [(3, 2), (1, 0)]),
        # 7 is the best of two at its rung; the other trial has come to its end.
        ([7.0, 8.0], [Source(0), NEW], [1], 5, [(3, 2), (4, 4)]),
        ([0.0, NAN], [Source(0), NEW], [], 6, [(3, 2), (5, 5)]),
        # One trial is left for two free slots: the program has one row from now on.
        ([9.0, 1.0], [NEW], [0], 7, [(6, 6)]),
    ]
    for scores, sources, ended, boundary, running in sequence:
        assert rules.window() == 1
        assert rules.decide(scores) == (sources, ended)
        assert rules.boundary() == boundary
        assert [(row.number, row.began) for row in rules.rows() if row.active] == running
        again = Slots(Asha(1, slots=2, eta=2), toy_runs.curves(7, num_updates=4))
        again.restore(json.loads(json.dumps(rules.known())))
        assert again.rows() == rules.rows()
        rules = again  # and go on as after a break
    assert rules.progress(6) == (6, 7)
    rules.decide([2.0])
    assert rules.boundary() is None
    assert rules.progress(7) == (7, 7)
    found = [(d["clock"], d["rung"], d["trial"], d["action"]) for d in rules.decisions]
    assert found == [
        *((1, 0, 0, "stopped"), (1, 0, 1, "kept"), (2, 0, 2, "stopped"), (2, 1, 1, "kept")),
        *((3, 0, 3, "kept"), (4, 1, 3, "kept"), (4, 2, 1, "finished"), (5, 0, 4, "stopped")),
        *((6, 2, 3, "finished"), (6, 0, 5, "stopped"), (7, 0, 6, "stopped")),
    ]


def test_seeds_of_a_point_go_on_together():
    rules = Slots(Asha(1, slots=2, eta=2, mode="min"), toy_runs.curves(3, 2, num_updates=4))
    # Means 2.5 and 2: the second point goes on, although the first has the best trial.
    assert rules.decide([0.0, 5.0, 2.0, 2.0]).sources == [NEW, NEW, Source(2), Source(3)]
    assert [row.number for row in rules.rows()] == [4, 5, 2, 3]
    assert [d["score"] for d in rules.decisions] == [2.5, 2.5, 2.0, 2.0]
    move = rules.decide([9.0, 9.0, 1.0, 1.0])
    assert move.sources == [Source(2), Source(3)]  # no point is left, and half the slots are free
    assert rules.decide([1.0, 1.0]) == ([Source(0), Source(1)], [0, 1])


def test_free_slots_wait_until_they_are_many():
    rules = Slots(Asha(1, slots=4, eta=3), toy_runs.curves(4, num_updates=9))
    move = rules.decide([1.0, 2.0, 3.0, 0.0])
    assert move.sources == [Source(2)]
    rules = Slots(Asha(1, slots=2, eta=3), toy_runs.curves(2, num_updates=9))
    assert rules.decide([1.0, 2.0]).sources == [Source(0), Source(1)]
    assert [row.active for row in rules.rows()] == [False, True]


def test_decisions_on_known_curves(tmp_path):
    """Three slots, nine points: one curve after the other gets to the first rung at 1 update."""
    plan = toy_runs.curves(9)
    scheduled.run(plan, tmp_path, Asha(1, slots=3, metric="level"), toy_curves.TASK, progress=False)
    decisions = driver.decisions(tmp_path)
    assert decisions.select("clock", "trial", "update", "action").rows() == [
        *((1, 0, 1, "stopped"), (1, 1, 1, "kept"), (1, 2, 1, "stopped")),
        *((2, 3, 1, "stopped"), (2, 4, 1, "stopped")),
        *((3, 5, 1, "stopped"), (3, 1, 3, "kept"), (3, 6, 1, "stopped")),
        *((4, 7, 1, "stopped"), (4, 8, 1, "stopped"), (9, 1, 9, "finished")),
    ]
    metrics = store.read_metrics(tmp_path).collect()
    assert len(metrics) == 8 * 1 + 9
    for trial, update, found in metrics.select("trial", "update", "level").iter_rows():
        expected = toy_runs.level(plan.trials[trial].config, update)
        assert found == pytest.approx(expected, rel=1e-5)
    best = decisions.filter(pl.col("action") == "finished")
    assert best["score"].item() == pytest.approx(1 - 0.5**9)
