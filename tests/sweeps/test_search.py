"""Which points a search chooses."""

import collections
import math
import sys

import numpy as np
import pytest

from sweeps import search, space
from sweeps.space import Space, StudyError

MIXED = Space(
    {
        "rate": space.loguniform(1e-4, 1e-1),
        "share": space.uniform(-1.0, 3.0),
        "size": space.choice(16, 32, 64, 128),
        "decay": space.quantised(0.8, 0.95, 0.05),
        "clip": space.choice(True, False),
        "eps": space.conditional(space.uniform(0.1, 0.3), {"clip": [True]}),
    }
)


def test_sobol_fills_every_range_evenly():
    """Each parameter has one of 2^k points in each 2^k-th part of its range."""
    for seed in range(3):
        points = search.Sobol(256, seed).draw(MIXED)
        logs = [math.log10(point["rate"]) for point in points]
        assert sorted(int((log + 4) / 3 * 256) for log in logs) == [*range(256)]
        shares = sorted(int((point["share"] + 1) / 4 * 256) for point in points)
        assert shares == [*range(256)]
        for name, values in (("size", (16, 32, 64, 128)), ("decay", (0.8, 0.85, 0.9, 0.95))):
            counts = collections.Counter(point[name] for point in points)
            assert counts == dict.fromkeys(values, 64)
        # Two parameters together: 4 x 4 boxes with as many points each.
        boxes = collections.Counter((point["size"], point["decay"]) for point in points)
        assert set(boxes.values()) == {16} and len(boxes) == 16
        assert sum("eps" in point for point in points) == 128
        assert all(("eps" in point) == point["clip"] for point in points)


def test_random_points_are_independent_and_even():
    points = search.Random(4096, seed=1).draw(MIXED)
    # Counts of 8 equally likely cells of 4096 points have a standard deviation of 21.
    cells = collections.Counter(int((math.log10(point["rate"]) + 4) / 3 * 8) for point in points)
    assert sorted(cells) == [*range(8)] and all(abs(n - 512) < 110 for n in cells.values())
    decays = collections.Counter(point["decay"] for point in points)
    assert sorted(decays) == [0.8, 0.85, 0.9, 0.95]
    assert all(abs(n - 1024) < 140 for n in decays.values())
    shares = np.array([point["share"] for point in points])
    sizes = np.array([point["size"] for point in points])
    assert abs(np.corrcoef(shares, sizes)[0, 1]) < 0.08


@pytest.mark.parametrize("method", [search.Random, search.Sobol])
def test_seeds_decide_and_more_points_begin_with_the_same(method):
    few, many = method(5, seed=3).draw(MIXED), method(40, seed=3).draw(MIXED)
    assert many[:5] == few and len(many) == 40
    assert method(5, seed=4).draw(MIXED) != few


def test_a_grid_is_that_of_the_space():
    two = Space({"a": space.choice(1, 2), "b": space.uniform(0, 1, points=3)})
    assert search.Grid().draw(two) == two.grid()


def test_plain_data_and_back():
    for one in (search.Grid(), search.Random(3), search.Sobol(4, 1), search.Optuna(9, batch=3)):
        assert search.parse(search.to_data(one)) == one


# --- Optuna ---------------------------------------------------------------------------------------

SMALL = Space({name: MIXED[name] for name in ("rate", "decay", "clip", "eps")})


def score(point):
    """Best at rate = 1e-2."""
    return -((math.log10(point["rate"]) + 2) ** 2)


def run(settings, searcher, sign=1):
    """Batches of points with their scores, to the end."""
    batches = []
    while points := searcher.ask(settings.batch):
        scores = [sign * score(point) for point in points]
        searcher.tell(points, scores)
        batches.append((points, scores))
    return batches


def test_optuna_is_told_and_improves():
    pytest.importorskip("optuna")
    settings = search.Optuna(36, batch=8, seed=0)
    batches = run(settings, settings.start(SMALL, "max"))
    assert [len(points) for points, _ in batches] == [8] * 4 + [4]
    points = [point for batch, _ in batches for point in batch]
    assert all(("eps" in point) == point["clip"] for point in points)
    assert all(list(point) == [name for name in SMALL if name in point] for point in points)
    assert {point["decay"] for point in points} <= {0.8, 0.85, 0.9, 0.95}
    assert all(1e-4 <= point["rate"] <= 1e-1 for point in points)
    # Random points score -1 on average.
    assert all(np.mean(scores) > -0.4 for _, scores in batches[3:])
    # A loss that is low where the score is high leads to the same points.
    losses = run(settings, settings.start(SMALL, "min"), sign=-1)
    assert [batch for batch, _ in losses] == [batch for batch, _ in batches]


def test_optuna_is_deterministic_and_goes_on_after_replay():
    pytest.importorskip("optuna")
    settings = search.Optuna(18, batch=6, seed=5)
    whole = run(settings, settings.start(SMALL, "max"))
    other = search.Optuna(18, batch=6, seed=6)
    assert other.start(SMALL, "max").ask(6) != whole[0][0]
    resumed = settings.start(SMALL, "max")
    resumed.replay(whole[:2])
    assert run(settings, resumed) == whole[2:]
    with pytest.raises(StudyError, match=r"^optuna: batch 0 comes out differently now"):
        settings.start(SMALL, "max").replay(whole[1:])


def test_optuna_lives_with_failed_points():
    pytest.importorskip("optuna")
    searcher = search.Optuna(12, seed=0).start(SMALL, "max")
    points = searcher.ask(4)
    searcher.tell(points[::-1], [math.nan, 1.0, math.nan, 2.0])  # in any order
    found = [(trial.state.name, trial.value) for trial in searcher._study.trials]
    assert found == [("COMPLETE", 2.0), ("FAIL", None), ("COMPLETE", 1.0), ("FAIL", None)]
    with pytest.raises(StudyError, match=r"which it is not waiting for$"):
        searcher.tell(points[:1], [1.0])
    assert len(searcher.ask(100)) == 8 and searcher.ask(1) == []


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(StudyError, match=r"pip install 'kagebench\[optuna\]'$"):
        search.Optuna(3).start(MIXED, "max")
