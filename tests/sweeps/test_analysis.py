"""Statistics of finished studies: closed forms against enumeration, and what counts as a score."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sweeps import analysis, space
from sweeps.search import Grid, Random
from sweeps.store import FolderError
from sweeps.study import Objective
from tests.sweeps import made_studies

VALUES = np.array([-3.0, -1.0, -1.0, 0.5, 2.0, 7.0])
RATES = {"learning_rate": space.choice(1e-4, 1e-3, 1e-2)}


def by_rate(**scores):
    """A score function from lists of scores of the seeds: of the rates 1e-4, 1e-3, 1e-2."""
    table = dict(zip((1e-4, 1e-3, 1e-2), scores.values(), strict=True))
    return lambda point, seed: table[point["learning_rate"]][seed]


def read(folder: Path, a, b, c, **options) -> analysis.Results:
    """A study of three points with the given scores of their seeds."""
    options = {"seeds": len(a), "search": Grid()} | options
    study = made_studies.make(RATES, **options)
    return analysis.read(made_studies.write(folder, study, by_rate(a=a, b=b, c=c)))


# --- Order statistics -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 6])
def test_expected_best_is_the_mean_over_all_subsets(size):
    values = VALUES[-size:]
    expected = [
        np.mean([max(chosen) for chosen in combinations(values, k)]) for k in range(1, size + 1)
    ]
    np.testing.assert_allclose(analysis.expected_best(values), expected)


def test_expected_best_of_values_that_are_not_in_order():
    """What is chosen is the last one, whatever its value: as for values on other seeds."""
    values = np.array([5.0, 1.0, 3.0])
    np.testing.assert_allclose(analysis.expected_best(values), [3.0, (1.0 + 3.0 + 3.0) / 3, 3.0])


def test_expected_best_of_many_is_finite_and_grows():
    found = analysis.expected_best(np.arange(3000.0))
    assert (np.diff(found) > 0).all()
    # Expected maximum of k of 0 ... n-1 is k (n + 1) / (k + 1) - 1.
    k = np.arange(1, 3001)
    np.testing.assert_allclose(found, k * 3001 / (k + 1) - 1, rtol=1e-9)


@pytest.mark.parametrize("level", [0.025, 0.5, 0.975])
def test_quantiles_of_the_best(level):
    size = len(VALUES)
    (found,) = analysis.best_quantiles(size, [level])
    for k in range(1, size + 1):
        positions = sorted(max(chosen) for chosen in combinations(range(size), k))
        assert found[k - 1] == positions[int(np.ceil(level * len(positions) - 1e-9)) - 1]


# --- Seeds ----------------------------------------------------------------------------------------


def test_interval_of_two_seeds_is_their_range():
    scores = np.array([[1.0, 3.0], [5.0, 4.0]])
    low, high = analysis.seed_intervals(scores)
    assert low.tolist() == [1.0, 4.0] and high.tolist() == [3.0, 5.0]


def test_interval_agrees_with_all_resamples():
    scores = np.array([[0.0, 1.0, 5.0, 6.0, 20.0], [3.0, 3.0, 3.0, 3.0, 3.0]])
    low, high = analysis.seed_intervals(scores)
    means = np.round([np.mean(drawn) for drawn in product(scores[0], repeat=5)], 9)
    ends = np.round([low[0], high[0]], 9)
    assert np.quantile(means, 0.02) <= ends[0] <= np.quantile(means, 0.03)
    assert np.quantile(means, 0.97) <= ends[1] <= np.quantile(means, 0.98)
    np.testing.assert_allclose([low[1], high[1]], 3.0)


def test_one_seed_has_no_interval():
    assert np.isnan(analysis.seed_intervals(np.ones((2, 1)))).all()


def test_intervals_in_blocks_are_the_same(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(7, 3))
    whole = analysis.seed_intervals(scores, 500)
    monkeypatch.setattr(analysis, "_BLOCK", 3)
    np.testing.assert_allclose(analysis.seed_intervals(scores, 500), whole, rtol=1e-12)


def test_halves_of_the_seeds():
    assert len(list(analysis.splits(4))) == 6 and len(list(analysis.splits(5))) == 10
    for seeds in (4, 5, 30):
        found = list(analysis.splits(seeds))
        for select, report in found:
            assert len(select) == seeds // 2 and sorted([*select, *report]) == list(range(seeds))
    assert len(found) == 252 and len({tuple(select) for select, _ in found}) == 252


def test_reestimates_agree_with_drawing_lots():
    """Every order that ranks by one half, ties in every order, judged on the other half."""
    scores = np.array([[1.0, 2.0, 3.0, 9.0], [2.0, 1.0, 8.0, 3.0], [0.0, 0.0, 5.0, 5.0]])
    found = analysis.reestimates(scores, 1.0)
    assert found is not None
    for row, (select, report) in zip(found, combinations_with_rest(4)):
        ranks, values = scores[:, select].mean(axis=1), scores[:, report].mean(axis=1)
        expected = [values[ranks == rank].mean() for rank in sorted(ranks)]
        np.testing.assert_allclose(row, expected)
    # Choosing on seeds 0 and 1 ties the first two points.
    np.testing.assert_allclose(found[0], [5.0, (6.0 + 5.5) / 2, (6.0 + 5.5) / 2])


def combinations_with_rest(seeds):
    for select in combinations(range(seeds), seeds // 2):
        yield list(select), [seed for seed in range(seeds) if seed not in select]


def test_ties_by_rounding_are_ties():
    thirds = np.array([[0.1, 0.2, 0.0, 0.0], [0.3, 0.0, 1.0, 1.0]])
    assert thirds[0, :2].mean() != thirds[1, :2].mean()
    found = analysis.reestimates(thirds, 1.0)
    assert found is not None
    np.testing.assert_allclose(found[0], [0.5, 0.5])


def test_few_seeds_have_no_reestimate():
    assert analysis.reestimates(np.ones((2, 3)), 1.0) is None
    assert analysis.first_shares(np.ones((2, 3)), 1.0) is None


def test_who_comes_first_in_how_many_halves():
    scores = np.array([[4.0, 4.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 3.0, 3.0]])
    # Halves: 01 -> first, 23 -> third, the four mixed ones -> first (2 against 1 and 1.5).
    np.testing.assert_allclose(analysis.first_shares(scores, 1.0), [5 / 6, 0.0, 1 / 6])
    np.testing.assert_allclose(analysis.first_shares(-scores, -1.0), [5 / 6, 0.0, 1 / 6])
    np.testing.assert_allclose(analysis.first_shares(np.ones((2, 4)), 1.0), [0.5, 0.5])


def test_selection_flatters_and_other_seeds_do_not():
    """Points that are all alike: the best one seems better than 0, and is not."""
    rng = np.random.default_rng(0)
    apparent, fair = [], []
    for _ in range(300):
        scores = rng.normal(size=(20, 4))
        apparent.append(scores.mean(axis=1).max())
        again = analysis.reestimates(scores, 1.0)
        assert again is not None
        fair.append(again[:, -1].mean())
    assert np.mean(apparent) > 0.8
    assert abs(np.mean(fair)) < 3 * np.std(fair) / np.sqrt(300)


# --- Studies --------------------------------------------------------------------------------------


def test_points_and_their_status(tmp_path):
    results = read(tmp_path, (1.0, 2.0, 6.0), (4.0, None, 5.0), (np.nan, 7.0, "waiting"))
    found = results.points.drop("low", "high").rows()
    assert found == [
        (0, "finished", 3.0, 1.0, 6.0, 3, 0, 0, 0, 0, 1e-4),
        (1, "failed", 4.5, 4.0, 5.0, 2, 1, 0, 0, 0, 1e-3),
        (2, "missing", 7.0, 7.0, 7.0, 1, 0, 1, 0, 1, 1e-2),
    ]
    assert results.numbers.tolist() == [0] and results.scores.tolist() == [[1.0, 2.0, 6.0]]
    low, high = results.points["low"], results.points["high"]
    assert low.to_list() == [1.0, None, None] and high.to_list() == [6.0, None, None]
    assert results.num_failed == 1 and not results.exact


def test_a_point_without_score_is_no_failure(tmp_path):
    results = read(tmp_path, (1.0, 2.0), (np.nan, 2.0), (0.0, 0.0))
    assert results.points["status"].to_list() == ["finished", "unscored", "finished"]
    assert results.num_failed == 0 and analysis.tuning(results).height == 2
    assert analysis.share_within(results, 0.05) == (1, 2)


def test_order_of_seeds_in_the_file_does_not_matter(tmp_path):
    results = read(tmp_path, (1.0, 2.0), (3.0, 4.0), (5.0, 6.0))
    path = tmp_path / "trials.parquet"
    pl.read_parquet(path).reverse().write_parquet(path)
    again = analysis.read(tmp_path)
    assert again.points.equals(results.points) and (again.scores == results.scores).all()


def test_ranking_keeps_ties_in_order(tmp_path):
    results = read(tmp_path / "max", (1.0, 1.0), (2.0, 2.0), (2.0, 2.0))
    assert results.ranking.tolist() == [1, 2, 0]
    low = Objective(mode="min")
    results = read(tmp_path / "min", (1.0, 1.0), (2.0, 2.0), (1.0, 1.0), objective=low)
    assert results.ranking.tolist() == [0, 2, 1]


def test_minimising_is_maximising_the_negative(tmp_path):
    scores = [(1.0, 5.0, 2.0, 2.0), (3.0, 3.0, 4.0, 0.0), (9.0, 2.0, 2.0, 1.0)]
    high = read(tmp_path / "max", *scores)
    negative = [tuple(-value for value in values) for values in scores]
    low = read(tmp_path / "min", *negative, objective=Objective(mode="min"))
    a, b = analysis.tuning(high), analysis.tuning(low)
    for name, other in (("expected",) * 2, ("low", "high"), ("high", "low"), ("reestimate",) * 2):
        np.testing.assert_allclose(a[name], -b[other])
    assert (a["low"] <= a["high"]).all() and (b["low"] <= b["high"]).all()
    assert a["expected"].is_sorted() and b["expected"].is_sorted(descending=True)
    assert analysis.share_within(high, 0.1) == analysis.share_within(low, 0.1)
    assert (high.ranking == low.ranking).all()


def test_tuning(tmp_path):
    results = read(tmp_path, (1.0, 3.0), (8.0, 8.0), (5.0, 5.0))
    frame = analysis.tuning(results)
    np.testing.assert_allclose(frame["expected"], [5.0, (5 + 8 + 8) / 3, 8.0])
    assert frame["low"].to_list() == [2.0, 5.0, 8.0] and frame["high"].to_list() == [8.0] * 3
    assert frame["k"].to_list() == [1, 2, 3] and frame["reestimate"].null_count() == 3


def test_the_reestimate_of_all_points_is_that_of_the_best(tmp_path):
    scores = [(1.0, 5.0, 2.0, 2.0), (3.0, 3.0, 4.0, 0.0), (9.0, 2.0, 2.0, 1.0)]
    frame = analysis.tuning(read(tmp_path, *scores))
    again = analysis.reestimates(np.array(scores), 1.0)
    assert again is not None
    assert frame["reestimate"][-1] == pytest.approx(again[:, -1].mean())
    assert frame["reestimate"][0] == pytest.approx(np.mean(scores))
    assert frame["expected"][-1] == pytest.approx(3.5)


def test_a_failed_point_counts_as_the_worst(tmp_path):
    failed = read(tmp_path / "a", (1.0, 3.0, 1.0, 3.0), (8.0,) * 4, (None, 9.0, 9.0, 9.0))
    worst = read(tmp_path / "b", (1.0, 3.0, 1.0, 3.0), (8.0,) * 4, (1.0, 3.0, 1.0, 3.0))
    assert analysis.tuning(failed).equals(analysis.tuning(worst))
    assert analysis.share_within(failed, 0.5) == (1, 3)


@pytest.mark.parametrize(
    ("scores", "tolerance", "near"),
    [
        ([100.0, 95.0, 94.9], 0.05, 2),
        ([-100.0, -105.0, -105.1], 0.05, 2),
        ([0.0, -0.1, 0.0], 0.05, 2),
    ],
)
def test_share_near_the_best(tmp_path, scores, tolerance, near):
    results = read(tmp_path, *[(score, score) for score in scores])
    assert analysis.share_within(results, tolerance) == (near, 3)


def test_only_a_whole_grid_without_conditions_is_exact(tmp_path):
    assert read(tmp_path / "a", (1.0,), (2.0,), (3.0,)).exact
    assert not read(tmp_path / "b", (1.0,), (2.0,), (None,)).exact
    study = made_studies.make(RATES, search=Random(3), seeds=1)
    folder = made_studies.write(tmp_path / "c", study, lambda point, seed: 1.0)
    assert not analysis.read(folder).exact
    study = made_studies.make(
        {
            "clip_vloss": space.choice(False, True),
            "vf_coef": space.conditional(space.choice(0.1, 1.0), {"clip_vloss": [True]}),
        },
        search=Grid(),
        seeds=1,
    )
    points = study.space.grid()
    folder = made_studies.write(tmp_path / "d", study, lambda point, seed: 1.0, points)
    assert not analysis.read(folder).exact


# --- Learning curves ------------------------------------------------------------------------------


def test_curves_are_means_over_seeds_without_nan(tmp_path):
    results = read(tmp_path, (1.0, 3.0), (8.0, 8.0), (None, 4.0))
    frame = analysis.curves(results, analysis.read_metrics(results))
    first = frame.filter(point=0)
    # The first of twelve updates is NaN; each of the others is a part of its own.
    assert first["step"].to_list() == [100.0 * update for update in range(2, 13)]
    assert first.row(-1) == (0, 1200.0, 2.0, 1.0, 3.0)
    assert first.row(0)[2:] == pytest.approx([share * 0.75 / (1 - 0.5**12) for share in (2, 1, 3)])
    # Of a failed seed there is nothing.
    assert frame.filter(point=2).row(-1) == (2, 1200.0, 4.0, 4.0, 4.0)


def test_curves_average_within_sixtieths(tmp_path):
    results = read(tmp_path, (1.0,), (2.0,), (3.0,))
    update = np.arange(1, 121)
    metrics = pl.DataFrame(
        {"trial": [0] * 120, "update": update, "step": 10 * update, "return": 1.0 * update}
    )
    metrics.write_parquet(tmp_path / "metrics.parquet")
    frame = analysis.curves(results, analysis.read_metrics(results))
    assert frame["step"].to_list() == [10.0 * (2 * part + 1.5) for part in range(60)]
    assert frame["mean"].to_list() == [2 * part + 1.5 for part in range(60)]


def test_lengths_of_points_that_were_stopped(tmp_path):
    results = read(tmp_path, (1.0, 3.0), (8.0, 8.0), (None, 4.0))
    metrics = analysis.read_metrics(results)
    assert analysis.lengths(metrics).rows() == [(0, 12, 3)]
    cut = metrics.filter((pl.col("point") != 1) | (pl.col("update") <= 5))
    assert analysis.lengths(cut).rows() == [(0, 5, 1), (0, 12, 2)]


# --- Schedulers -----------------------------------------------------------------------------------


def test_scores_before_the_first_decision(tmp_path):
    """All points that ran until then count, by the same updates of theirs."""
    stop = made_studies.Stopped
    results = read(
        tmp_path,
        (10.0, 30.0),
        (stop(20.0, 4), stop(40.0, 4)),
        (None, 1.0),
        scheduler={"halving": {"eta": 3}},
        objective=Objective(last=0.5),
    )
    assert results.scheduler == "halving" and results.numbers.tolist() == [0]
    assert results.points["status"].to_list() == ["finished", "stopped", "failed"]
    early = analysis.before_first_decision(results, analysis.read_metrics(results))
    assert early.numbers.tolist() == [0, 1]
    # Half of four updates: the third and the fourth.
    share = np.mean([1 - 0.5**3, 1 - 0.5**4]) / (1 - 0.5**12)
    np.testing.assert_allclose(early.scores, share * np.array([[10, 30], [20, 40]]), rtol=1e-6)
    assert early.points["status"].to_list() == ["finished", "finished", "failed"]
    assert read(tmp_path / "free", (1.0,), (2.0,), (3.0,)).scheduler is None


def test_a_decision_before_there_are_scores(tmp_path):
    """The first value of every curve is NaN."""
    stop = made_studies.Stopped
    rules = {"halving": {"eta": 3}}
    results = read(tmp_path, (10.0,), (stop(2.0, 1),), (stop(3.0, 1),), scheduler=rules)
    early = analysis.before_first_decision(results, analysis.read_metrics(results))
    assert early.scores.shape == (0, 1) and set(early.points["status"]) == {"unscored"}


# --- Errors ---------------------------------------------------------------------------------------


def test_folders_without_results(tmp_path):
    study = made_studies.make(RATES, search=Grid(), seeds=2)
    with pytest.raises(FolderError) as error:
        analysis.read(tmp_path / "none")
    assert str(error.value) == f"{tmp_path}/none: holds no study (study.yaml not found)"

    folder = made_studies.write(
        tmp_path / "x", study, by_rate(a=["waiting"] * 2, b=[None] * 2, c=[1.0, None])
    )
    table = pl.read_parquet(folder / "trials.parquet")
    none = table.with_columns(
        score=pl.when(trial=4).then(1.0), status=pl.Series([*["waiting"] * 2, *["failed"] * 4])
    )
    none.write_parquet(folder / "trials.parquet")
    with pytest.raises(FolderError) as error:
        analysis.read(folder)
    assert str(error.value) == (
        f"{folder}: no point has a score of all its 2 seeds, allowed: one or more "
        "(2 waiting, 4 failed; 1 with a score)"
    )

    for name in ("score", "learning_rate"):
        table.drop(name).write_parquet(folder / "trials.parquet")
        with pytest.raises(FolderError) as error:
            analysis.read(folder)
        assert str(error.value) == f"{folder}/trials.parquet: column {name} not found"

    for wrong in (table.head(5), table.clear()):
        wrong.write_parquet(folder / "trials.parquet")
        with pytest.raises(FolderError) as error:
            analysis.read(folder)
        assert str(error.value) == (
            f"{folder}/trials.parquet: got other numbers of seeds, allowed: 2 a point"
        )

    (folder / "trials.parquet").write_text("not a table")
    with pytest.raises(FolderError, match=rf"^{folder}/trials.parquet: cannot be read \([^\n]+\)$"):
        analysis.read(folder)
    (folder / "trials.parquet").unlink()
    with pytest.raises(FolderError) as error:
        analysis.read(folder)
    assert str(error.value) == f"{folder}: nothing has been run (trials.parquet not found)"


def test_metrics_that_cannot_be_read(tmp_path):
    results = read(tmp_path, (1.0,), (2.0,), (3.0,))
    path = tmp_path / "metrics.parquet"
    pl.read_parquet(path).drop("return").write_parquet(path)
    with pytest.raises(FolderError) as error:
        analysis.read_metrics(results)
    assert str(error.value) == f"{path}: column return not found"
    path.write_text("not a table")
    with pytest.raises(FolderError, match=r"metrics.parquet: cannot be read"):
        analysis.read_metrics(results)
    path.unlink()
    with pytest.raises(FolderError, match=r"metrics.parquet not found"):
        analysis.read_metrics(results)
