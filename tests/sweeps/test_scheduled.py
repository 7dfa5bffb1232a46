"""Settings of schedulers in a study file."""

import re

import pytest

from sweeps.asha import Asha
from sweeps.domains import StudyError
from sweeps.halving import Halving, Hyperband
from sweeps.pbt import Pbt
from sweeps.scheduled import parse


def test_settings():
    assert parse({"halving": None}) == Halving(3, None, "return", "max")
    assert parse({"halving": {"eta": 2, "min_updates": 4}}, "loss", "min") == Halving(
        2, 4, "loss", "min"
    )
    assert parse({"hyperband": {"min_updates": 5}}) == Hyperband(3, 5)
    assert parse({"asha": {"min_updates": 5, "slots": 8}}) == Asha(5, 8, 3)
    changed = {"interval": 5, "factors": [0.5, 2], "resample": 0.25, "exploit": "tournament"}
    assert parse({"pbt": changed}) == Pbt(5, "tournament", 0.2, (0.5, 2), 0.25)


@pytest.mark.parametrize(
    "data, error",
    [
        (
            "halving",
            "scheduler: got 'halving', allowed: one of halving hyperband asha pbt with its "
            "settings",
        ),
        (
            {"halving": {}, "pbt": {}},
            "scheduler: got {'halving': {}, 'pbt': {}}, allowed: one of halving hyperband asha "
            "pbt with its settings",
        ),
        ({"halfing": {}}, "scheduler.halfing: unknown key (did you mean halving?)"),
        ({"halving": 3}, "scheduler.halving: got 3, allowed: a mapping of settings"),
        ({"halving": {"eat": 3}}, "scheduler.halving.eat: unknown key (did you mean eta?)"),
        (
            {"halving": {"metric": "loss"}},
            "scheduler.halving.metric: unknown key, allowed: eta min_updates",
        ),
        (
            {"halving": {"eta": 1}},
            "scheduler.halving.eta: got 1, allowed: a whole number >= 2",
        ),
        (
            {"halving": {"min_updates": 0}},
            "scheduler.halving.min_updates: got 0, allowed: a whole number >= 1",
        ),
        (
            {"hyperband": {"eta": 2.5}},
            "scheduler.hyperband.eta: got 2.5, allowed: a whole number >= 2",
        ),
        (
            {"hyperband": {"min_updates": None}},
            "scheduler.hyperband.min_updates: got null, allowed: a whole number >= 1",
        ),
        ({"asha": {"slots": 4}}, "scheduler.asha.min_updates: missing, it has no default"),
        (
            {"asha": {"min_updates": 4, "slots": True}},
            "scheduler.asha.slots: got true, allowed: a whole number >= 1",
        ),
        ({"pbt": None}, "scheduler.pbt.interval: missing, it has no default"),
        (
            {"pbt": {"interval": "10"}},
            "scheduler.pbt.interval: got '10', allowed: a whole number >= 1",
        ),
        (
            {"pbt": {"interval": 10, "exploit": "turnament"}},
            "scheduler.pbt.exploit: got 'turnament', allowed: truncation tournament",
        ),
        (
            {"pbt": {"interval": 10, "fraction": 0.6}},
            "scheduler.pbt.fraction: got 0.6, allowed: a number above 0, at most 0.5",
        ),
        (
            {"pbt": {"interval": 10, "factors": [1.2, 0]}},
            "scheduler.pbt.factors: got [1.2, 0], allowed: a list of numbers above 0",
        ),
        (
            {"pbt": {"interval": 10, "factors": 1.2}},
            "scheduler.pbt.factors: got 1.2, allowed: a list of numbers above 0",
        ),
        (
            {"pbt": {"interval": 10, "resample": float("nan")}},
            "scheduler.pbt.resample: got nan, allowed: a number from 0 to 1",
        ),
        (
            {"pbt": {"interval": 10, "clip": 1}},
            "scheduler.pbt.clip: got 1, allowed: true or false",
        ),
        (
            {"pbt": {"interval": 10, "seed": -1}},
            "scheduler.pbt.seed: got -1, allowed: a whole number >= 0",
        ),
    ],
)
def test_malformed_settings(data, error):
    with pytest.raises(StudyError, match=f"^{re.escape(error)}$"):
        parse(data)


def test_malformed_objective():
    with pytest.raises(StudyError, match=r"^objective.mode: got 'best', allowed: max min$"):
        parse({"halving": {}}, mode="best")
