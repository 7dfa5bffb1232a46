"""The page of a study: its numbers are those of the files beside it, its texts are only texts, and
what it says when there is little to say."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from kagebench import cli
from kagebench.commands import _sweep_report
from kagebench.report import study_page, study_summary
from kagebench.report import study_words as say
from kagebench.report.study_words import Findings
from sweeps import analysis, space
from sweeps.search import Grid, Random
from sweeps.study import Objective
from tests.kagebench.page_reader import Page
from tests.kagebench.test_benchmark_page import check_self_contained
from tests.sweeps import made_studies

EVIL = '<script>alert(1)</script> & "x" | *y*'
NAMES = {"index.html", "report.json", "summary.md", *_sweep_report.FILES}
PLOTS = {f"{name}.png" for name in study_page.PLOTS}
ONE = {"learning_rate": space.choice(1e-4, 1e-3)}


def score(point, seed):
    """`made_studies.rugged`, but the highest learning rates fail under one seed."""
    return None if point["learning_rate"] > 0.04 and seed == 1 else made_studies.rugged(point, seed)


def make(folder: Path, **options) -> tuple[Page, Path]:
    """The page of a study, and its folder."""
    _sweep_report.run(_sweep_report.Args(folder, **options))
    out = options.get("out") or folder / "report"
    return Page((out / "index.html").read_text()), out


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with parameters of all kinds and with failures."""
    study = made_studies.make(made_studies.SPACE, search=Random(40))
    folder = made_studies.write(tmp_path_factory.mktemp("studies") / "ridge", study, score)
    (folder / "env.json").write_text(json.dumps({"cpu": "a processor", "jax": "0.1"}))
    return folder


@pytest.fixture(scope="module")
def report(study_folder: Path) -> tuple[Page, Path]:
    return make(study_folder)


@pytest.fixture(scope="module")
def findings(study_folder: Path) -> Findings:
    return find(study_folder)


def find(folder: Path) -> Findings:
    results = analysis.read(folder)
    metrics = analysis.read_metrics(results)
    compared = _sweep_report.comparable(results, metrics)
    return _sweep_report.find(results, compared, analysis.lengths(metrics))


def number(value: str | None) -> float:
    return float(value or "nan")


# --- The whole page -------------------------------------------------------------------------------


def test_the_page_and_what_lies_beside_it(report):
    page, folder = report
    check_self_contained(page, folder)
    assert {path.name for path in folder.iterdir()} == NAMES | PLOTS
    assert len([link for link in page.links if link.startswith("data:image/png")]) == len(PLOTS)
    for name in PLOTS:
        with Image.open(folder / name) as image:
            assert image.width >= 1400
        assert 5_000 < (folder / name).stat().st_size < 250_000
    for expected in (
        "Study: ridge",
        "ppo on gymnax/CartPole-v1: 40 points (random search), 4 seeds each.",
        "mean return over the last 10 % of a trial's updates; high scores are good",
        "rather too good, as it was selected",
        "the same on seeds that did not choose it",
        "Chosen on one half of the seeds and judged on the other",
        "Of 4 seeds such an interval is too narrow",
        "Dodge et al. 2019",
        "Hutter et al. 2014",
        "a processor",
        "loguniform 0.0001 0.1",
        "only with clip_vloss = true",
    ):
        assert expected in page.text
    for absent in ("Unfinished", "left out, although", "A scheduler", "Optuna", "One seed:"):
        assert absent not in page.text


def test_every_best_point_is_that_of_the_file(report):
    page, folder = report
    frame = pl.read_csv(folder / "points.csv")
    best = frame.filter(status="finished").sort("score", descending=True).head(study_page.SHOWN)
    _, headings, *lines = page.tables["best points"]
    names = [text for text, _ in headings]
    assert names[-6:] == list(made_studies.SPACE)
    assert len(lines) == best.height
    for rank, (line, row) in enumerate(zip(lines, best.iter_rows(named=True)), 1):
        cells = dict(zip(names, line))
        assert cells["rank"][0] == str(rank) and number(cells["point"][1]) == row["point"]
        ends = say.interval(row["low"], row["high"])
        assert cells["return"][0] == f"{say.number(row['score'])} {ends}"
        for name, column in (("return", "score"), *(("lowest",) * 2, ("highest",) * 2)):
            assert number(cells[name][1]) == pytest.approx(row[column])
        for name in made_studies.SPACE:
            text, value = cells[name]
            expected = row[name]
            if expected is None:
                assert text == "–" and value is None
            elif isinstance(expected, bool):
                assert text == str(expected).lower()
            else:
                assert number(value) == expected and float(text) == pytest.approx(expected, 1e-3)


def test_points_are_exported_twice(report, study_folder):
    _, folder = report
    frame = pl.read_parquet(folder / "points.parquet")
    assert frame.height == 40 and frame["status"].value_counts().height == 2
    assert pl.read_csv(folder / "points.csv").columns == frame.columns
    trials = pl.read_parquet(study_folder / "trials.parquet")
    means = trials.group_by("point").agg(pl.col("score").mean()).sort("point")["score"]
    np.testing.assert_allclose(frame["score"], means)


def test_shares_and_effects_are_those_of_the_files(report):
    page, folder = report
    frame = pl.read_csv(folder / "importance.csv")
    effects = pl.read_csv(folder / "effects.csv")
    _, *lines = page.tables["parameters"]
    main = frame.filter(pl.col("other").is_null())
    assert [line[0][0] for line in lines] == main["parameter"].to_list()
    assert main["parameter"][0] == "learning_rate" and main["share"][0] > 0.4
    for line, row in zip(lines, main.iter_rows(named=True)):
        assert number(line[1][1]) == pytest.approx(row["share"])
        bins = effects.filter(parameter=row["parameter"]).sort("mean")
        assert line[3][0] == bins["label"][-1] and line[5][0] == bins["label"][0]
        assert number(line[2][1]) == pytest.approx(bins["mean"][-1] - bins["mean"][0])
        assert number(line[4][1]) == pytest.approx(bins["mean"][-1])
    known = frame.filter(pl.col("other").is_not_null() & pl.col("share").is_not_null())
    _, *pairs = page.tables["pairs of parameters"]
    assert [(a[0], b[0]) for a, b, *_ in pairs] == known.select("parameter", "other").rows()


def test_failed_trials_are_listed(report):
    page, folder = report
    frame = pl.read_csv(folder / "incomplete.csv")
    assert frame.height > 3 and (frame["learning_rate"] > 0.04).all()
    _, _, *lines = page.tables["trials without a score"]
    assert [number(line[0][0]) for line in lines] == frame["trial"].to_list()
    assert {line[3][0] for line in lines} == {"failed"} and {line[2][0] for line in lines} == {"1"}
    assert f"The {frame.height} failed points count as the worst score" in page.text
    assert "Red crosses" in page.text


def test_the_best_of_k_is_that_of_the_file(report, findings):
    page, folder = report
    frame = pl.read_csv(folder / "tuning.csv")
    assert frame["expected"][-1] == pytest.approx(findings.best["score"])
    reach = 0.95 * findings.best["score"]
    needed = frame.filter(pl.col("expected") >= reach)["k"][0]
    assert f"The best of {needed} points at random comes within" in page.text
    fair = say.number(frame["reestimate"][-1])
    assert f"scores {fair} instead of {say.number(findings.best['score'])}" in page.text


def test_the_summary(report):
    page, folder = report
    text = (folder / "summary.md").read_text()
    for name in study_page.PLOTS:
        assert f"]({name}.png)" in text
    assert "| learning\\_rate | " in text and "# Study: ridge" in text
    assert text.count("\n| ") == 2 * 2 + study_summary.SHOWN * 2 + 6
    sentences = say.selection(find(folder.parent))
    assert study_summary.plain(sentences) in text and sentences in page.text


def test_an_earlier_page_is_replaced(study_folder, tmp_path):
    out = tmp_path / "out"
    make(study_folder, out=out)
    (out / "more.txt").write_text("left over")
    _, folder = make(study_folder, out=out)
    assert {path.name for path in folder.iterdir()} == NAMES | PLOTS
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    command = json.loads((out / "report.json").read_text())["command"]
    assert command == f"kagebench sweep report {study_folder} --out {out}"


# --- Studies of other kinds -----------------------------------------------------------------------


def test_low_scores_may_be_good(tmp_path):
    study = made_studies.make(
        {"learning_rate": space.loguniform(1e-4, 1e-1)},
        search=Random(12),
        objective=Objective(metric="loss", mode="min"),
    )
    folder = made_studies.write(tmp_path / "x", study, lambda p, s: 1.0 + p["learning_rate"] + s)
    page, out = make(folder)
    frame = pl.read_csv(out / "points.csv")
    _, _, first, second, *_ = page.tables["best points"]
    assert number(first[2][1]) == pytest.approx(frame["score"].min())
    assert number(second[2][1]) > number(first[2][1])
    assert "low scores are good" in page.text
    tuning = pl.read_csv(out / "tuning.csv")
    assert tuning["expected"].is_sorted(descending=True)
    _, line = page.tables["parameters"]
    bins = pl.read_csv(out / "effects.csv").sort("mean")
    assert line[3][0] == bins["label"][0] and number(line[2][1]) > 0.0


def test_a_grid_with_one_seed(tmp_path):
    study = made_studies.make(
        {"learning_rate": space.choice(1e-4, 1e-3, 1e-2), "num_envs": space.choice(64, 128)},
        search=Grid(),
        seeds=1,
    )
    folder = made_studies.write(
        tmp_path / "x", study, lambda p, s: 1e4 * p["learning_rate"], study.space.grid()
    )
    page, out = make(folder)
    assert "One seed: nothing here can be told from luck." in page.text
    assert "6 points (all combinations), 1 seed each" in page.text
    assert "of the full grid, exact" in page.text and "interval over seeds." in page.text
    frame = pl.read_csv(out / "importance.csv")
    assert frame["share"].to_list() == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)
    _, _, first, *_ = page.tables["best points"]
    assert first[2][0] == "100"


def test_a_single_point(tmp_path):
    study = made_studies.make({}, search=Grid(), seeds=2)
    folder = made_studies.write(tmp_path / "x", study, lambda p, s: 3.0 + s, [{}])
    page, out = make(folder)
    assert "1 point (all combinations), 2 seeds each" in page.text
    assert {path.name for path in out.iterdir()} == NAMES | {"curves.png"}
    assert "Effect of every parameter" not in page.text


def test_equal_scores(tmp_path):
    study = made_studies.make({"learning_rate": space.loguniform(1e-4, 1e-1)}, search=Random(10))
    folder = made_studies.write(tmp_path / "x", study, lambda point, seed: 0.0)
    page, out = make(folder)
    names = {path.name for path in out.iterdir()}
    assert names == NAMES | PLOTS - {"importance.png"}
    assert "The best of 1 point at random comes within" in page.text


def test_an_unfinished_study(tmp_path):
    study = made_studies.make(made_studies.SPACE, search=Random(10))

    def part(point, seed):
        return "waiting" if point["clip_vloss"] and seed == 3 else made_studies.rugged(point, seed)

    page, out = make(made_studies.write(tmp_path / "x", study, part))
    missing = pl.read_csv(out / "points.csv").filter(status="missing").height
    assert f"Unfinished: {missing} of 10 points have trials" in page.text
    assert f"{missing} not run." in page.text
    assert pl.read_csv(out / "tuning.csv").height == 10 - missing


def test_trials_without_a_score_are_no_failures(tmp_path):
    study = made_studies.make(made_studies.SPACE, search=Random(10), seeds=2)

    def part(point, seed):
        return np.nan if point["clip_vloss"] and seed else made_studies.rugged(point, seed)

    page, out = make(made_studies.write(tmp_path / "x", study, part))
    count = pl.read_csv(out / "points.csv").filter(status="unscored").height
    assert f"{count} points are left out, although they may be good" in page.text
    assert f"{count} no score." in page.text and "failed" not in page.text


def halved(point, seed):
    """Returns of a schedule that stops slow learners after two updates."""
    value = made_studies.rugged(point, seed)
    return value if 1e-3 < point["learning_rate"] < 1e-2 else made_studies.Stopped(value, 2)


def test_points_that_a_scheduler_stopped(tmp_path):
    study = made_studies.make(
        made_studies.SPACE, search=Random(24), scheduler={"halving": {"eta": 3}}
    )
    page, out = make(made_studies.write(tmp_path / "x", study, halved))
    points = pl.read_csv(out / "points.csv")
    ended = points.filter(status="finished")
    stopped = points.filter(status="stopped").height
    assert ended.height + stopped == 24 and min(ended.height, stopped) > 3
    assert "A scheduler (halving) stopped most points early." in page.text
    assert f"Points ended: {stopped} after 2, {ended.height} after 12 updates." in page.text
    # The best is one of those that ended, and was chosen among all.
    _, _, *lines = page.tables["best points"]
    assert {number(line[1][1]) for line in lines} == set(ended["point"])
    assert "best of 24 points" in page.text and "chosen" not in dict(page.tables["best points"][1])
    # Effects are those of all points, at the same time.
    effects = pl.read_csv(out / "effects.csv").filter(parameter="learning_rate")
    assert effects["points"].sum() == 24
    share = (1 - 0.5**2) / (1 - 0.5**made_studies.UPDATES)
    trials = pl.read_parquet(tmp_path / "x" / "trials.parquet").with_columns(
        whole=pl.when(status="stopped").then(pl.col("score") / share).otherwise("score")
    )
    early = share * trials["whole"].mean()
    assert (effects["mean"] * effects["points"]).sum() / 24 == pytest.approx(early, rel=1e-5)
    for absent in ("How much tuning", "on seeds that did not choose"):
        assert absent not in page.text
    assert "How much tuning" not in (out / "summary.md").read_text()


def test_population_based_training(tmp_path):
    study = made_studies.make(
        {"learning_rate": space.loguniform(1e-4, 1e-1)},
        search=Random(8),
        seeds=1,
        scheduler={"pbt": {"interval": 2}},
    )
    page, out = make(
        made_studies.write(tmp_path / "x", study, lambda point, seed: point["learning_rate"])
    )
    assert "Population-based training: members copied each other" in page.text
    assert {path.name for path in out.iterdir()} == NAMES | {"curves.png"}
    assert len(page.tables["best points"]) == 2 + 8


# --- Words ----------------------------------------------------------------------------------------


def test_texts_are_only_texts(findings, report):
    """Names and values of parameters, the metric, the setting: whatever they are called."""
    _, folder = report
    names = {"ent_coef": EVIL, "clip_vloss": f"{EVIL} 2"}
    value = pl.lit(EVIL).alias(EVIL)
    evil = dataclasses.replace(
        findings,
        **dict.fromkeys(("name", "setting", "metric"), EVIL),
        parameters=[names.get(name, name) for name in findings.parameters],
        points=findings.points.rename(names).with_columns(value),
        incomplete=findings.incomplete.rename(names).with_columns(value, status=pl.lit(EVIL)),
        effects=findings.effects.with_columns(
            pl.col("parameter").replace(names), label=pl.lit(EVIL)
        ),
        importance=findings.importance.with_columns(pl.col("parameter", "other").replace(names)),
        facts={EVIL: EVIL},
    )
    plots = {"importance": folder / "importance.png"}
    text = study_page.html(evil, plots, {}, f"command {EVIL}")
    page = Page(text)
    assert "<script>alert" not in text and text.count("<script>") == 1
    assert page.text.count(EVIL) > 50
    summary = study_summary.markdown(evil, plots, "command")
    assert "<script>" not in summary and r"\| \*y\*" in summary
    rows = [line for line in summary.splitlines() if line.startswith("| ")]
    bars = {row.replace(r"\|", "").count("|") for row in rows}
    assert bars == {1 + 2 + len(findings.parameters), 3}


def test_warnings(findings):
    def texts(**changes):
        return " ".join(say.warnings(dataclasses.replace(findings, **changes)))

    assert texts() == ""
    assert "A scheduler (asha) stopped" in texts(scheduler="asha")
    assert "Optuna chose points near those" in texts(search="optuna")
    assert "Scores on 3 environments stand in one ranking" in texts(envs=3)
    assert "One seed" in texts(seeds=(7,)) and "One seed" not in texts(seeds=(7, 8))


def test_plots_of_odd_names(tmp_path, findings):
    """Formula signs and long names do not break a plot."""
    from kagebench.report import study_charts

    odd = "$x_{$ a very long name of a parameter in some environment $"
    effects = findings.effects.filter(parameter="ent_coef").with_columns(
        parameter=pl.lit(odd), label=pl.lit(odd)
    )
    cloud = pl.DataFrame({"parameter": [odd], "place": [0.0], "score": [1.0], "discrete": [True]})
    study_charts.effects(effects, cloud, [], odd, tmp_path / "a.png")
    frame = pl.DataFrame({odd: [0.0, 1.0, None]})
    ticks = {odd: [(0.0, odd), (1.0, odd)]}
    study_charts.parallel(frame, np.arange(3.0), 1.0, ticks, odd, tmp_path / "b.png")
    assert (tmp_path / "a.png").is_file() and (tmp_path / "b.png").is_file()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (-0.0, "0"),
        (498.76, "498.8"),
        (123456.7, "123,457"),
        (9999.6, "10,000"),
    ],
)
def test_numbers(value, text):
    assert say.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (-0.01, "0 %"),
        (0.05, "5 %"),
        (0.0123, "1.2 %"),
        (0.0999, "10 %"),
        (0.841, "84 %"),
    ],
)
def test_percents(share, text):
    assert say.percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


def test_what_parameters_do_not_explain(findings):
    # A parameter exists at some points only, so shares cannot be summed.
    assert list(say.rest(findings)) == ["seeds"]
    points = findings.points.height
    frame = pl.DataFrame(
        {
            "parameter": ["a", "b", "a"],
            "other": [None, None, "b"],
            "share": [0.5, -0.1, 0.2],
            "error": [0.1] * 3,
            "points": [points] * 3,
        }
    )
    summed = dataclasses.replace(findings, importance=frame, noise=0.15)
    assert say.rest(summed) == pytest.approx(
        {"all pairs": 0.2, "seeds": 0.15, "everything else": 0.25}
    )
    unknown = dataclasses.replace(summed, noise=None, importance=frame.head(2))
    assert say.rest(unknown) == pytest.approx({"everything else": 0.6})


def test_the_pair_that_matters_most(findings):
    frame = pl.DataFrame(
        {
            "parameter": ["a", "b", "c", "a", "a", "b"],
            "other": [None, None, None, "b", "c", "c"],
            "share": [0.2, 0.3, None, 0.0, None, 0.1],
        }
    )
    assert _sweep_report.first_pair(dataclasses.replace(findings, importance=frame)) == ("b", "a")


def test_landmarks():
    assert _sweep_report.landmarks([7, 3, 9]) == {
        "best (point 7)": 7,
        "median (point 3)": 3,
        "worst (point 9)": 9,
    }
    assert _sweep_report.landmarks([7, 3]) == {"best (point 7)": 7, "worst (point 3)": 3}
    assert _sweep_report.landmarks([7]) == {"best (point 7)": 7}


# --- Errors ---------------------------------------------------------------------------------------


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that the command prints when it refuses."""
    assert cli.main(["sweep", "report", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    return captured.err.removeprefix("error: ").strip()


def test_folders_without_a_study(tmp_path, capsys):
    out = tmp_path / "out"
    nowhere = tmp_path / "nowhere"
    assert (
        fails(capsys, nowhere, "--out", out) == f"{nowhere}: holds no study (study.yaml not found)"
    )
    study = made_studies.make(ONE, search=Grid(), seeds=2)
    folder = made_studies.write(tmp_path / "x", study, lambda p, s: None, study.space.grid())
    assert fails(capsys, folder, "--out", out) == (
        f"{folder}: no point has a score of all its 2 seeds, allowed: one or more "
        "(4 failed; 0 with a score)"
    )
    (folder / "trials.parquet").unlink()
    assert fails(capsys, folder) == f"{folder}: nothing has been run (trials.parquet not found)"
    (folder / "study.yaml").write_text("algorithm: pp\n")
    assert fails(capsys, folder) == (
        f"{folder}/study.yaml: env: missing, allowed: a name, or a list of names"
    )
    assert not out.exists() and not (folder / "report").exists()


def test_places_that_cannot_be_written(study_folder, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    allowed = "allowed: a new or empty folder, or one with an earlier page"
    assert fails(capsys, study_folder, "--out", file) == f"out: got '{file}', a file, {allowed}"
    assert fails(capsys, study_folder, "--out", tmp_path) == (
        f"out: got '{tmp_path}', which holds something else, {allowed}"
    )
    assert fails(capsys, study_folder, "--out", study_folder) == (
        f"out: got '{study_folder}', which holds something else, {allowed}"
    )
    below = file / "page"
    assert fails(capsys, study_folder, "--out", below) == (
        f"out: got '{below}', {file}: Not a directory"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and file.read_text() == "mine"


def test_a_failure_leaves_the_earlier_page(study_folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    make(study_folder, out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def broken(*_):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(study_page, "html", broken)
    with pytest.raises(OSError, match="No space left"):
        make(study_folder, out=out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["sweep", "report", "--help"])
    assert "Folder of the study" in capsys.readouterr().out
    assert cli.main(["sweep", "--help"]) == 0
    assert "report" in capsys.readouterr().out
