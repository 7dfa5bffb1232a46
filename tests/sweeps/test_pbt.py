"""Population-based training: its rules, what is copied, and the toy of the paper."""

import dataclasses
import json
import math
import re

import jax
import numpy as np
import polars as pl
import pytest

from sweeps import driver, engine, pbt, scheduled, store
from sweeps.domains import StudyError, choice, conditional, loguniform, quantised, uniform
from sweeps.pbt import Pbt, Population, explore, tournament, truncation
from sweeps.plan import Plan, Trial
from sweeps.scheduler import Source
from sweeps.space import Space
from tests.sweeps import toy_curves, toy_masks, toy_runs

NAN = math.nan


def draws(function, *arguments, count=400):
    """Results of a rule for many seeds."""
    return [function(*arguments, np.random.default_rng(seed)) for seed in range(count)]


# --- Exploit --------------------------------------------------------------------------------------


def test_the_bottom_copies_the_top():
    """Of ten, the two worst (3 and 8) copy one of the two best (1 and 6), either as likely."""
    scores = [5.0, 9.0, 4.0, 1.0, 6.0, 5.0, 8.0, 3.0, 2.0, 7.0]
    found = draws(truncation, scores, 0.2, "max")
    same = [i for i in range(10) if i not in (3, 8)]
    assert all([sources[i] for i in same] == same for sources in found)
    pairs = [(sources[3], sources[8]) for sources in found]
    assert set(pairs) == {(1, 1), (1, 6), (6, 1), (6, 6)}
    assert 0.4 < np.mean(np.array(pairs) == 1) < 0.6
    lowest = draws(truncation, scores, 0.2, "min", count=20)
    assert {sources[1] for sources in lowest} == {3, 8}


@pytest.mark.parametrize(
    "members, fraction, copies",
    [(2, 0.2, 1), (4, 0.2, 1), (9, 0.2, 1), (10, 0.2, 2), (32, 0.2, 6), (100, 0.29, 29)],
)
def test_how_many_copy(members, fraction, copies):
    sources = truncation(range(members), fraction, "max", np.random.default_rng(0))
    assert sources[copies:] == list(range(copies, members))
    assert all(source >= members - copies for source in sources[:copies])


def test_nan_is_bottom_and_never_copied():
    assert set(map(tuple, draws(truncation, [NAN, 2.0, 1.0, 3.0, NAN], 0.4, "max"))) == {
        (3, 1, 2, 3, 3),
        (3, 1, 2, 3, 1),
        (1, 1, 2, 3, 3),
        (1, 1, 2, 3, 1),
    }
    assert {sources[0] for sources in draws(truncation, [NAN, NAN, NAN, NAN, 1.0], 0.4, "min")} == {
        0
    }
    assert draws(truncation, [NAN, NAN], 0.2, "max", count=3) == [[0, 1]] * 3


def test_tournament_copies_better_opponents():
    found = draws(tournament, [1.0, 3.0, 2.0, NAN], "max", count=1000)
    # Each opponent is drawn in a third of the cases.
    shares = [[np.mean([s[i] == j for s in found]) for j in range(4)] for i in range(4)]
    third = 1 / 3
    expected = [[third, third, third, 0], [0, 1, 0, 0], [0, third, 2 * third, 0], [third] * 3 + [0]]
    np.testing.assert_allclose(shares, expected, atol=0.05)
    assert {tuple(s) for s in draws(tournament, [2.0, 2.0], "min")} == {(0, 1)}
    assert {tuple(s) for s in draws(tournament, [2.0, 1.0], "min")} == {(1, 1)}


# --- Explore --------------------------------------------------------------------------------------


def test_perturbed_by_one_of_two_factors():
    found = draws(explore, 0.5, uniform(0.0, 1.0), Pbt(1))
    assert set(found) == {0.5 * 0.8, 0.5 * 1.2}
    assert 0.4 < np.mean(np.array(found) == 0.4) < 0.6
    assert set(draws(explore, 0.5, uniform(0.0, 1.0), Pbt(1, factors=(2.0,)))) == {1.0}


def test_perturbed_numbers_stay_within_the_domain_unless_told():
    assert set(draws(explore, 0.9, uniform(0.8, 1.0), Pbt(1))) == {0.8, 1.0}
    free = set(draws(explore, 0.9, uniform(0.8, 1.0), Pbt(1, clip=False)))
    assert free == {0.9 * 0.8, 0.9 * 1.2}


def test_resampled_from_the_prior():
    domain = loguniform(1e-4, 1e-2)
    found = np.array(draws(explore, 1.0, domain, Pbt(1, resample=1.0)))
    assert found.min() >= 1e-4 and found.max() <= 1e-2
    assert 0.4 < np.mean(found < 1e-3) < 0.6
    mixed = draws(explore, 0.5, uniform(0.0, 1.0), Pbt(1, resample=0.25))
    assert 0.15 < np.mean([value not in (0.4, 0.6) for value in mixed]) < 0.35


def test_choices_go_to_a_neighbour():
    domain = choice(0.0, 0.1, 5.0, 3.0)
    assert set(draws(explore, 0.1, domain, Pbt(1))) == {0.0, 5.0}
    assert set(draws(explore, 3.0, domain, Pbt(1))) == {5.0, 3.0}
    assert set(draws(explore, 0.0, domain, Pbt(1, resample=1.0))) == set(domain.values)


def test_quantised_numbers_move_by_whole_steps():
    assert set(draws(explore, 100, quantised(0, 200, 5), Pbt(1))) == {80, 120}
    assert set(draws(explore, 101, quantised(0, 200, 1), Pbt(1))) == {81, 121}
    assert set(draws(explore, 0.9, quantised(0.8, 1.0, 0.1), Pbt(1))) == {0.8, 1.0}
    assert set(draws(explore, 2, quantised(1, 9, 1), Pbt(1))) == {1, 3}  # 1.6 and 2.4 are 2


# --- The population -------------------------------------------------------------------------------


def population(space, settings=None, count=5, **changes):
    plan = toy_runs.curves(count, **changes)
    return Population(settings or Pbt(3, metric="level"), plan, Space(space))


def test_decisions_for_given_scores():
    rules = population({"speed": uniform(0.0, 1.0)})
    before = [row.trial.config for row in rules.rows()]
    assert (rules.boundary(), rules.window()) == (3, 3)
    move = rules.decide([3.0, 2.0, 5.0, 4.0, 1.0])
    stay = [Source(0), Source(1), Source(2), Source(3)]
    assert move == ([*stay, Source(2, copied=True)], [])
    after = [row.trial.config for row in rules.rows()]
    assert after[:4] == before[:4]
    # All of the config is copied, not only what is explored.
    assert after[4].ceiling == before[2].ceiling != before[4].ceiling
    assert after[4].speed in (before[2].speed * 0.8, before[2].speed * 1.2)
    assert [row.trial.seed for row in rules.rows()] == [0] * 5
    last = rules.decisions[-1]
    assert last == {
        **{"clock": 3, "trial": 4, "score": 1.0, "action": "copied", "source": 2},
        "speed": after[4].speed,
    }

    again = population({"speed": uniform(0.0, 1.0)})
    again.restore(json.loads(json.dumps(rules.known())))
    assert again.rows() == rules.rows() and again.boundary() == 6
    for one in (rules, again):
        one.decide([1.0, 2.0, 3.0, 4.0, 5.0])
    assert again.decisions[5:] == rules.decisions[5:]  # those before have no score
    assert again.rows() == rules.rows()
    # A copy of a copy.
    assert rules.decisions[-5]["source"] == 4
    assert rules.rows()[0].trial.config.ceiling == before[2].ceiling
    assert rules.boundary() == 9
    assert rules.decide([NAN] * 5) == ([], [0, 1, 2, 3, 4])
    assert rules.boundary() is None
    assert [d["action"] for d in rules.decisions[-5:]] == ["finished"] * 5


def test_a_last_interval_may_be_shorter():
    rules = population({"speed": uniform(0.0, 1.0)}, Pbt(5))
    rules.decide([1.0] * 5)
    assert rules.boundary() == 9


def test_values_keep_the_types_of_their_fields():
    configs = [toy_curves.Config(speed=1 + i % 2, whole=9 * i + 9, flag=i > 2) for i in range(5)]
    plan = Plan(toy_runs.TOY, {"env": "toy"}, tuple(Trial(0, config) for config in configs))
    space = {"speed": choice(1, 2), "whole": uniform(1, 99), "flag": choice(False, True)}
    rules = Population(Pbt(1, resample=0.3), plan, Space(space))
    for clock in range(8):
        rules.decide([float(clock * i % 5) for i in range(5)])
        for row in rules.rows():
            config = row.trial.config
            types = [type(value) for value in (config.speed, config.whole, config.flag)]
            assert types == [float, int, bool]
    assert len({d["whole"] for d in rules.decisions}) > 5


@pytest.mark.parametrize(
    "space, changes, error",
    [
        (
            {"num_updates": choice(9, 18)},
            {},
            "space.num_updates: a static field of toy_curves.Config, allowed under pbt: speed "
            "ceiling noise fails_at whole flag",
        ),
        (
            {"env.gravity": uniform(1.0, 9.0)},
            {},
            "space.env.gravity: no field of toy_curves.Config, allowed under pbt: speed ceiling "
            "noise fails_at whole flag",
        ),
        (
            {"flag": choice(False, True), "noise": conditional(uniform(0, 1), {"flag": [True]})},
            {},
            "space.noise.when: got {'flag': (True,)}, allowed: no condition under pbt",
        ),
        ({"noise": choice(0.5, 1.0)}, {}, "space.noise: got 0.0, allowed: 0.5 1.0"),
        ({}, {}, "space: got {}, allowed: at least 1 parameter under pbt"),
        (
            {"speed": uniform(0, 1)},
            {"count": 1},
            "search.points: got 1, allowed: at least 2 under pbt",
        ),
    ],
)
def test_populations_that_cannot_be(space, changes, error):
    with pytest.raises(StudyError, match=f"^{re.escape(error)}$"):
        population(space, **changes)


def test_members_share_an_environment():
    plan = toy_runs.curves(2)
    trials = (plan.trials[0], dataclasses.replace(plan.trials[1], env=1))
    with pytest.raises(StudyError, match=r"^env: got 2, allowed: 1 environment under pbt$"):
        Population(
            Pbt(1), dataclasses.replace(plan, trials=trials), Space({"speed": uniform(0, 1)})
        )


# --- Running --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exploit", ["truncation", "tournament"])
def test_copies_go_on_from_the_state_of_another(tmp_path, exploit):
    """All levels, recomputed from the recorded lineage."""
    plan = toy_runs.curves(6, num_updates=13)
    plan = dataclasses.replace(
        plan, trials=tuple(dataclasses.replace(t, seed=i) for i, t in enumerate(plan.trials))
    )
    settings = Pbt(3, exploit, fraction=0.34, resample=0.3, metric="level")
    space = Space({"speed": uniform(0.0, 1.0)})
    options = {"space": space, "progress": False}
    scheduled.run(plan, tmp_path, settings, toy_curves.TASK, **options)
    table = driver.decisions(tmp_path)
    lineage = {clock: rows for (clock,), rows in table.group_by("clock", maintain_order=True)}
    assert list(lineage) == [0, 3, 6, 9, 12, 13]
    metrics = store.read_metrics(tmp_path).collect()
    assert metrics["trial"].to_list() == list(range(6)) * 13

    ceiling = np.array([trial.config.ceiling for trial in plan.trials])
    levels, since = np.zeros(6), []
    for update in range(1, 14):
        if update - 1 in lineage:
            sources = lineage[update - 1]["source"].to_numpy()
            speed = lineage[update - 1]["speed"].to_numpy()
            levels, ceiling, since = levels[sources], ceiling[sources], []
        levels = levels + speed * (ceiling - levels)
        since.append(levels)
        found = metrics.filter(pl.col("update") == update)["level"].to_numpy()
        np.testing.assert_allclose(found, levels, rtol=1e-4)
        if update in lineage:
            np.testing.assert_allclose(lineage[update]["score"], np.mean(since, 0), rtol=1e-4)
    copied = table.filter(pl.col("action") == "copied")
    assert len(copied) >= 8
    if exploit == "truncation":
        assert set(copied.group_by("clock").len()["len"]) == {2}

    # A copy has random numbers of its own; a member that is itself throughout keeps those it had.
    states = engine.load(driver.find_agent(tmp_path, 0)[0], task=toy_curves.TASK).state
    keys = jax.random.key_data(states.key).tolist()
    assert len({tuple(key) for key in keys}) == 6
    for member in set(range(6)) - set(copied["trial"]):
        key = jax.random.key(member)
        for _ in range(13):
            key = jax.random.split(key)[0]
        assert jax.random.key_data(key).tolist() == keys[member]


# --- The toy of the paper -------------------------------------------------------------------------


def best_of_masks(folder, settings=None):
    """The final Q of two workers that each see one of two parameters, the better one."""
    masks = ((1.0, 0.0), (0.0, 1.0))
    configs = [toy_masks.Config(h0=h0, h1=h1) for h0, h1 in masks]
    plan = Plan("tests.sweeps.toy_masks", {"env": "toy"}, tuple(Trial(0, c) for c in configs))
    settings = settings or Pbt(5, resample=0.5, metric="q")
    space = Space({"h0": uniform(0.0, 1.0), "h1": uniform(0.0, 1.0)})
    scheduled.run(plan, folder, settings, toy_curves.TASK, space=space, progress=False)
    return store.read_metrics(folder).collect().tail(2)["q"].max()


def test_pbt_gets_to_the_optimum(tmp_path):
    for seed in range(3):
        settings = Pbt(5, resample=0.5, metric="q", seed=seed)
        assert best_of_masks(tmp_path / str(seed), settings) > 1.195


def test_it_takes_both_exploit_and_explore(tmp_path, monkeypatch):
    """Without one of them, a parameter stays at 0.9: Q = 1.2 - 0.81 at most."""
    with monkeypatch.context() as patch:
        patch.setattr(pbt, "explore", lambda value, *_: value)
        assert best_of_masks(tmp_path / "exploit") == pytest.approx(0.39, abs=1e-3)
    # Nobody copies: every worker keeps its mask, as in a grid search.
    monkeypatch.setattr(pbt, "truncation", lambda scores, *_: list(range(len(scores))))
    assert best_of_masks(tmp_path / "grid") == pytest.approx(0.39, abs=1e-3)
