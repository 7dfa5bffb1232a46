"""Effects and importance of parameters on functions whose decomposition is known."""

from itertools import product

import numpy as np
import polars as pl
import pytest

from sweeps import anova, scales, space
from sweeps.scales import Scale
from sweeps.search import Grid, Random
from tests.sweeps import made_studies

LEVELS = {
    "a": Scale("a", (0.0, 1.0, 2.0)),
    "b": Scale("b", ("x", "y"), ordered=False),
    "c": Scale("c", (0, 1, 2, 3)),
}
UNIT = {name: Scale(name) for name in "abcd"}


def grid():
    """Places of the full grid of `LEVELS`."""
    sizes = [range(len(scale.levels)) for scale in LEVELS.values()]
    rows = np.array(list(product(*sizes)), float)
    return dict(zip(LEVELS, rows.T))


def drawn(count, seed=0, names="abcd"):
    """Places of points at random in the unit cube."""
    rows = np.random.default_rng(seed).random((len(names), count))
    return dict(zip(names, rows))


def shares(frame):
    """(parameter, other or None) -> share."""
    return {(row["parameter"], row["other"]): row["share"] for row in frame.iter_rows(named=True)}


def hoeffding(values):
    """Main effects and pairs of a function on a grid [a, b, c], by the definition."""
    mean, variance = values.mean(), values.var()
    main, found = {}, {}
    for axis, name in enumerate("abc"):
        rest = tuple(other for other in range(3) if other != axis)
        main[name] = values.mean(axis=rest) - mean
        found[name, None] = (main[name] ** 2).mean() / variance
    for one, two in ((0, 1), (0, 2), (1, 2)):
        both = values.mean(axis=3 - one - two) - mean
        both = both - main["abc"[one]][:, None] - main["abc"[two]][None, :]
        found["abc"[one], "abc"[two]] = (both**2).mean() / variance
    return found


# --- Full grids -----------------------------------------------------------------------------------


def test_a_grid_is_decomposed_exactly():
    values = np.random.default_rng(0).normal(size=(3, 2, 4))
    found = shares(anova.importance(LEVELS, grid(), values.reshape(-1, 1), exact=True))
    expected = hoeffding(values)
    assert found.keys() == expected.keys()
    for term, share in found.items():
        assert share == pytest.approx(expected[term], abs=1e-10)


def test_an_additive_function_has_no_interactions():
    places = grid()
    values = 3.0 * places["a"] + places["b"]
    found = shares(anova.importance(LEVELS, places, values[:, None], exact=True))
    whole = 9 * 2 / 3 + 1 / 4
    assert found["a", None] == pytest.approx(6 / whole)
    assert found["b", None] == pytest.approx(0.25 / whole)
    assert all(abs(found[term]) < 1e-12 for term in found if term[1] or term[0] == "c")


def test_a_pure_interaction_has_no_main_effects():
    places = grid()
    values = (places["a"] - 1.0) * (places["b"] - 0.5)
    found = shares(anova.importance(LEVELS, places, values[:, None], exact=True))
    assert found.pop(("a", "b")) == pytest.approx(1.0)
    assert all(abs(share) < 1e-12 for share in found.values())


def test_order_is_main_effects_then_pairs_by_share():
    places = grid()
    values = places["a"] + 2.0 * places["c"] + places["a"] * places["c"]
    frame = anova.importance(LEVELS, places, values[:, None], exact=True)
    assert frame["parameter"].to_list()[:3] == ["c", "a", "b"]
    assert frame.row(3)[:2] == ("a", "c") and frame["other"].null_count() == 3
    assert frame["points"].to_list() == [24] * 6


def test_what_seeds_cause_is_subtracted():
    """Shares on a grid with noise are right on average; without the correction they are not."""
    places, rng = grid(), np.random.default_rng(0)
    truth = (places["a"] - 1.0) + (places["b"] - 0.5)
    found, noise = [], []
    for _ in range(200):
        scores = truth[:, None] + rng.normal(size=(24, 3)) + rng.normal(size=3)
        found.append(shares(anova.importance(LEVELS, places, scores, exact=True)))
        noise.append(anova.seed_noise(scores))
    assert np.mean(noise) == pytest.approx(1 / 3, rel=0.03)
    whole = 2 / 3 + 1 / 4 + 1 / 3
    for term, expected in (("a", 2 / 3), ("b", 1 / 4), ("c", 0.0)):
        values = [one[term, None] for one in found]
        margin = 3 * np.std(values) / np.sqrt(200) + 0.01
        assert np.mean(values) == pytest.approx(expected / whole, abs=margin)
    pairs = [one["a", "c"] for one in found]
    assert abs(np.mean(pairs)) < 3 * np.std(pairs) / np.sqrt(200)


def test_errors_of_a_grid_are_about_seeds():
    places, rng = grid(), np.random.default_rng(0)
    errors, found = [], []
    for _ in range(60):
        scores = places["a"][:, None] + rng.normal(size=(24, 5))
        row = anova.importance(LEVELS, places, scores, exact=True).row(0, named=True)
        found.append(row["share"])
        errors.append(row["error"])
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.5)
    frame = anova.importance(LEVELS, places, scores[:, :2], exact=True)
    assert frame["error"].null_count() == 6


# --- Points at random -----------------------------------------------------------------------------


def test_the_function_of_ishigami():
    """Ishigami and Homma 1990: known shares, one parameter acts through an interaction alone."""
    places = drawn(2048)
    a, b, c = (np.pi * (2.0 * places[name] - 1.0) for name in "abc")
    values = np.sin(a) + 7.0 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)
    found = shares(anova.importance(UNIT, places, values[:, None], exact=False))
    assert found["a", None] == pytest.approx(0.314, abs=0.04)
    assert found["b", None] == pytest.approx(0.442, abs=0.06)
    assert found["c", None] == pytest.approx(0.0, abs=0.02)
    assert found["d", None] == pytest.approx(0.0, abs=0.01)
    # Coarse bins do not see all of it.
    assert 0.15 < found["a", "c"] < 0.26
    assert all(abs(found[pair]) < 0.03 for pair in (("a", "b"), ("b", "c"), ("a", "d")))


REPLICATES = 100


@pytest.mark.parametrize("count", [16, 40, 128])
def test_shares_are_right_on_average(count):
    """Two steps and their product; a third parameter does nothing; few and many points."""
    found = []
    for seed in range(REPLICATES):
        places = drawn(count, seed, "abc")
        one, two = (np.where(places[name] > 0.5, 1.0, -1.0) for name in "ab")
        noise = np.random.default_rng(10_000 + seed).normal(size=count)
        values = one + 0.5 * two + one * two + 0.5 * noise
        scales_ = {name: UNIT[name] for name in "abc"}
        found.append(shares(anova.importance(scales_, places, values[:, None], exact=False)))
    whole = 1 + 0.25 + 1 + 0.25
    for term, expected in ((("a", None), 1.0), (("b", None), 0.25), (("c", None), 0.0)):
        values = [one[term] for one in found]
        # Bins do not end at the step, which costs a part of the share.
        low = 0.85 * expected / whole - 3 * np.std(values) / np.sqrt(REPLICATES)
        assert low < np.mean(values) < expected / whole + 3 * np.std(values) / np.sqrt(REPLICATES)
    for pair, expected in ((("a", "b"), 1.0), (("a", "c"), 0.0), (("b", "c"), 0.0)):
        values = [one[pair] for one in found]
        low = 0.6 * expected / whole - 3 * np.std(values) / np.sqrt(REPLICATES)
        assert low < np.mean(values) < expected / whole + 3 * np.std(values) / np.sqrt(REPLICATES)


def test_errors_are_those_of_other_draws():
    """The jackknife error of a share is about its spread over studies."""
    found, errors = [], []
    for seed in range(60):
        places = drawn(100, seed, "ab")
        values = places["a"] + places["b"] ** 2
        scales_ = {name: UNIT[name] for name in "ab"}
        row = anova.importance(scales_, places, values[:, None], exact=False)
        row = row.filter(parameter="a").row(0, named=True)
        found.append(row["share"])
        errors.append(row["error"])
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.5)


def test_the_axis_may_be_stretched():
    """Only the order of values counts: shares of a logarithmic axis are those of its logarithm."""
    places = drawn(200, 1, "ab")
    values = np.sin(5 * places["a"]) + places["b"]
    axes = {"a": Scale("a", low=1e-4, high=1.0, log=True), "b": UNIT["b"]}
    plain = anova.importance({name: UNIT[name] for name in "ab"}, places, values[:, None], False)
    stretched = places | {"a": 10.0 ** (4.0 * places["a"] - 4.0)}
    log = anova.importance(axes, stretched, values[:, None], False)
    assert plain.equals(log)


def test_a_parameter_that_exists_at_some_points():
    """Its share is one among the points where it exists."""
    rng = np.random.default_rng(0)
    switch = rng.integers(2, size=400).astype(float)
    child = np.where(switch == 1, rng.random(400), np.nan)
    values = 10.0 * switch + np.where(switch == 1, 2.0 * child, 0.0)
    axes = {"s": Scale("s", (False, True), False), "c": Scale("c", conditional=True)}
    frame = anova.importance(axes, {"s": switch, "c": child}, values[:, None], exact=False)
    main = frame.filter(pl.col("other").is_null())
    found = {row["parameter"]: row for row in main.iter_rows(named=True)}
    assert found["s"]["share"] > 0.95 and found["s"]["points"] == 400
    assert found["c"]["share"] > 0.95 and found["c"]["points"] == int(switch.sum())
    # Where the child exists, the switch is on: there is no pair.
    assert frame.filter(pl.col("other").is_not_null())["share"].to_list() == [None]


def test_where_nothing_can_be_said():
    places = drawn(7, 0, "ab")
    axes = {name: UNIT[name] for name in "ab"}
    frame = anova.importance(axes, places, places["a"][:, None], exact=False)
    assert frame["share"].null_count() == 3 and frame["error"].null_count() == 3
    places = drawn(64, 0, "ab")
    equal = np.full((64, 3), 0.1)
    assert anova.importance(axes, places, equal, exact=False)["share"].null_count() == 3
    # As many levels as points.
    many = {"a": Scale("a", tuple(map(str, range(64))), ordered=False), "b": UNIT["b"]}
    frame = anova.importance(many, places | {"a": np.arange(64.0)}, places["b"][:, None], False)
    assert shares(frame)["a", None] is None and shares(frame)["b", None] > 0.9


def test_noise_of_seeds():
    scores = np.random.default_rng(0).normal(size=(2000, 4))
    assert anova.seed_noise(scores) == pytest.approx(0.25, rel=0.05)
    assert anova.noise_share(scores) == pytest.approx(1.0, abs=0.06)
    # What a seed does to all points alike is no noise of a comparison.
    offset = scores + np.array([0.0, 100.0, 0.0, -50.0])
    assert anova.seed_noise(offset) == pytest.approx(anova.seed_noise(scores))
    assert np.isnan(anova.seed_noise(scores[:, :1])) and np.isnan(anova.seed_noise(scores[:1]))
    assert np.isnan(anova.noise_share(np.ones((3, 2))))


# --- Effects and bins -----------------------------------------------------------------------------


def test_effects_are_means_of_bins():
    places = drawn(100, 3, "ab") | {"b": np.random.default_rng(1).integers(3, size=100) * 1.0}
    axes = {"a": UNIT["a"], "b": Scale("b", ("x", "y", "z"), ordered=False)}
    scores = np.random.default_rng(2).normal(size=(100, 2)) + places["a"][:, None]
    frame = anova.effects(axes, places, scores, exact=False, resamples=200)
    order = np.argsort(places["a"]).reshape(10, 10)
    first = frame.filter(parameter="a")
    np.testing.assert_allclose(first["mean"], scores[order].mean(axis=(1, 2)))
    np.testing.assert_allclose(first["first"], places["a"][order].min(axis=1))
    np.testing.assert_allclose(first["last"], places["a"][order].max(axis=1))
    np.testing.assert_allclose(first["place"], np.median(places["a"][order], axis=1))
    assert first["points"].to_list() == [10] * 10
    second = frame.filter(parameter="b")
    assert second["label"].to_list() == ["x", "y", "z"]
    for level, mean, count in second.select("place", "mean", "points").iter_rows():
        here = places["b"] == level
        assert mean == pytest.approx(scores[here].mean()) and count == here.sum()
    assert (frame["low"] < frame["mean"]).all() and (frame["mean"] < frame["high"]).all()


def test_intervals_of_effects():
    """Points and seeds are drawn; of a grid, which has no other points, seeds alone."""
    axes, places = {"a": Scale("a", (0, 1))}, {"a": np.repeat([0.0, 1.0], 50)}
    points = np.random.default_rng(0).normal(size=(100, 1))
    same = np.repeat(points, 4, axis=1)  # seeds make no difference
    frame = anova.effects(axes, places, same, exact=False)
    width = (frame["high"] - frame["low"]).to_numpy()
    np.testing.assert_allclose(width, 2 * 1.96 / np.sqrt(50), rtol=0.3)
    frame = anova.effects(axes, places, same, exact=True)
    np.testing.assert_allclose(frame["high"], frame["low"], atol=1e-12)
    seeds = np.zeros((100, 4)) + np.array([0.0, 1.0, 2.0, 3.0])  # points make no difference
    for exact in (False, True):
        frame = anova.effects(axes, places, seeds, exact=exact)
        assert (frame["low"] < 0.8).all() and (frame["high"] > 2.2).all()
    assert anova.effects(axes, places, points, exact=True)["low"].is_nan().all()
    lonely = anova.effects(axes, {"a": np.array([0.0, 1.0])}, np.ones((2, 1)), exact=False)
    assert lonely["low"].is_nan().all() and lonely["mean"].to_list() == [1.0, 1.0]


def test_bins_keep_equal_values_together():
    scale = Scale("a", low=0.0, high=9.0)
    places = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, np.nan])
    codes = anova.bins(scale, places, 3)
    assert codes.tolist() == [0, 1, 1, 1, 1, 1, 2, 2, -1]
    assert anova.bins(scale, places, 4).tolist() == [0, 1, 1, 1, 1, 1, 2, 3, -1]
    levels = Scale("a", tuple("uvwxyz"), ordered=False)
    assert anova.bins(levels, np.arange(6.0), 2).tolist() == list(range(6))
    assert anova.bins(Scale("a", tuple(range(6))), np.arange(6.0), 2).tolist() == [0] * 3 + [1] * 3
    assert anova.bins(scale, np.full(3, np.nan), 2).tolist() == [-1] * 3


def test_means_of_two_parameters_together():
    places = drawn(96, 0, "ab") | {"b": np.tile([0.0, 1.0], 48)}
    axes = {"a": UNIT["a"], "b": Scale("b", ("x", "y"), ordered=False)}
    scores = np.random.default_rng(0).normal(size=(96, 2))
    frame = anova.pair_means(axes, places, scores, "a", "b", exact=False)
    assert frame["points"].sum() == 96 and set(frame["label_b"]) == {"x", "y"}
    codes = anova.bins(UNIT["a"], places["a"], anova.num_coarse_bins(96))
    for row in frame.iter_rows(named=True):
        here = (codes == row["a"]) & (places["b"] == row["b"])
        assert row["mean"] == pytest.approx(scores[here].mean())
        assert row["points"] == here.sum()
    assert frame.row(0, named=True)["label_a"].startswith(scales.short(places["a"].min()))


# --- Axes -----------------------------------------------------------------------------------------


def test_axes_of_a_study():
    study = made_studies.make(
        {
            "learning_rate": space.loguniform(1e-4, 1e-1),
            "ent_coef": space.choice(0.1, 0.0, 0.01),
            "gae_lambda": space.quantised(0.8, 1.0, 0.1),
            "gamma": space.quantised(0.9, 0.99, 0.001),
            "clip_vloss": space.choice(True, False),
            "num_envs": space.choice(64),
            "vf_coef": space.conditional(space.uniform(0.1, 1.0), {"clip_vloss": [True]}),
        },
        search=Random(4),
    )
    found = scales.of_study(study)
    assert "num_envs" not in found
    assert found["learning_rate"].log and found["learning_rate"].levels == ()
    assert found["ent_coef"].labels == ("0.0", "0.01", "0.1")
    assert found["gae_lambda"].levels == (0.8, 0.9, 1.0)
    assert found["gamma"].levels == () and found["gamma"].high == 0.99
    assert found["clip_vloss"].levels == (True, False) and not found["clip_vloss"].ordered
    assert found["vf_coef"].conditional and not found["gamma"].conditional
    rate = found["learning_rate"]
    np.testing.assert_allclose(rate.unit(np.array([1e-4, 1e-2, 1e-1])), [0.0, 2 / 3, 1.0])
    assert [label for _, label in rate.ticks()] == ["1e-4", "0.001", "0.01", "0.1"]
    assert found["ent_coef"].ticks() == [(0.0, "0.0"), (0.5, "0.01"), (1.0, "0.1")]


def test_a_grid_has_levels_only():
    study = made_studies.make(
        {
            "learning_rate": space.loguniform(1e-4, 1e-2, points=3),
            "gamma": space.quantised(0.9, 0.99, 0.001),
        },
        search=Grid(),
    )
    found = scales.of_study(study)
    np.testing.assert_allclose(found["learning_rate"].levels, [1e-4, 1e-3, 1e-2])
    assert len(found["gamma"].levels) == 91 and found["gamma"].labels[1] == "0.901"
    odd = Scale("a", (1e-4, 10**-3.5, 0.0316227766, 100.0))
    assert odd.labels == ("1e-4", "3.16e-4", "0.0316", "100")
    near = Scale("a", (0.12345678, 0.12345679))
    assert near.labels == ("0.12345678", "0.12345679")


@pytest.mark.parametrize(
    ("levels", "cells", "expected"),
    [
        ((True, False), [True, None, False], [0, np.nan, 1]),
        ((0, 1, 2.5), [2.5, 0.0, 1.0], [2, 0, 1]),
        (("tanh", "relu"), ["relu", "tanh"], [1, 0]),
        ((1, True, "1"), ['"1"', "1", "true"], [2, 0, 1]),
        (((64, 64), (32,)), ["[32]", "[64, 64]"], [1, 0]),
    ],
)
def test_cells_of_a_column_are_levels(levels, cells, expected):
    places = Scale("a", levels).places(pl.Series(cells))
    np.testing.assert_array_equal(places, expected)


def test_a_value_of_another_study():
    with pytest.raises(ValueError, match=r"^a: got 3, allowed: 1 2$"):
        Scale("a", (1, 2)).places(pl.Series([1, 3]))


def test_numbers_in_short():
    assert [scales.short(x) for x in (0.0, 1e-4, 2.54e-5, 0.00135, 0.8, 12.0, 131072.0)] == (
        ["0", "1e-4", "2.5e-5", "0.0014", "0.8", "12", "131072"]
    )
    assert [scales.short(x, 3) for x in (2.54e-5, 0.123456, 123.4)] == ["2.54e-5", "0.123", "123"]
