"""Experiments as data: their outcomes on disk, the page of all, and the statistics behind them."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sweeps import space
from sweeps.evidence import plot, record, spec, table
from sweeps.evidence.spec import Measurement, Point, Sweep, Verdict
from sweeps.study import Objective, Study, to_data


def tiny(**options) -> Study:
    sizes = {"num_envs": 4, "num_steps": 16, "num_minibatches": 2, "total_timesteps": 1280}
    return Study(
        "pqn",
        "gymnax/CartPole-v1",
        seeds=3,
        set={**sizes, "network": "mlp"},
        objective=Objective("td_error", "min", 0.5),
        **options,
    )


def test_a_study_becomes_an_outcome_with_scores_and_curves(tmp_path):
    experiment = Sweep(
        "traces",
        "A paper",
        "a claim",
        lambda: tiny(space={"trace": space.choice(0.0, 0.9)}),
        lambda points: Verdict("partly", f"{len(points)} points"),
        "trace",
    )
    outcome = record.outcome_of(experiment, tmp_path / "study")
    assert (outcome["verdict"], outcome["summary"]) == ("partly", "2 points")
    assert [point["trace"] for point in outcome["points"]] == [0.0, 0.9]
    for point in outcome["points"]:
        assert len(point["scores"]) == 3
        assert point["score"] == pytest.approx(np.mean(point["scores"]), abs=1e-4)
        assert point["low"] <= point["score"] <= point["high"]
        curve = point["curve"]
        assert len(curve["step"]) == len(curve["mean"]) <= record.PARTS
        assert all(a <= b <= c for a, b, c in zip(curve["lowest"], curve["mean"], curve["highest"]))
    json.dumps(outcome)


def test_a_study_without_a_space_has_one_point(tmp_path):
    experiment = Sweep("curve", "A paper", "a curve", tiny, spec.measured)
    outcome = record.outcome_of(experiment, tmp_path / "study")
    assert outcome["verdict"] == "measured"
    assert len(outcome["points"]) == 1 and "[" in outcome["summary"]


def test_measurements_and_the_file_of_outcomes(tmp_path, monkeypatch):
    found = Measurement(
        "table",
        "A paper",
        "a | claim",
        "a table",
        lambda: ([{"error": 0.5, "curve": [1.0, 2.0]}], Verdict("not", "error 0.5")),
    )
    module = type("module", (), {"EXPERIMENTS": (found,)})
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(record, "module", lambda name: module)
    monkeypatch.setattr(record, "names", lambda: ["pqn"])
    assert "not run yet" in table.text()
    record.run("pqn", [], tmp_path / "runs")
    outcome = record.read("pqn")["table"]
    assert (
        outcome["points"] == [{"error": 0.5, "curve": [1.0, 2.0]}] and outcome["env"] == "a table"
    )
    assert outcome["command"] == "python -m sweeps.evidence pqn table"
    assert "*not*: error 0.5" in table.text() and "a \\| claim" in table.text()
    assert plot.draw("pqn") is None  # its curve is no learning curve of a study
    with pytest.raises(ValueError, match="key: got 'tabel', allowed: table"):
        record.run("pqn", ["tabel"], tmp_path / "runs")


def test_differences_are_paired_by_seed():
    noise = np.random.default_rng(0).normal(size=20) * 100.0
    a, b = Point({"k": 2}, noise + 1.0), Point({"k": 1}, noise)
    assert spec.difference(a, b) == pytest.approx((1.0, 1.0, 1.0))
    assert spec.find([a, b], k=1) is b
    with pytest.raises(LookupError):
        spec.find([a, b], k=3)


def test_the_interval_of_a_mean_covers_it():
    # Of as few scores as experiments have; percentiles of a bootstrap cover it in 84 % of them.
    samples = np.random.default_rng(1).normal(size=(2000, 5))
    ends = np.array([spec.interval(scores) for scores in samples])
    covered = np.mean((ends[:, 0] <= 0.0) & (ends[:, 1] >= 0.0))
    assert 0.935 < covered < 0.965
    with pytest.raises(ValueError, match="scores: got 1, need at least 2"):
        spec.interval(samples[0, :1])


def test_stored_studies_are_judged_again(tmp_path, monkeypatch, capsys):
    rule = lambda points: Verdict("partly", f"{points[0].values} {spec.in_words(points[0])}")  # noqa: E731
    study = Sweep("study", "A paper", "a new claim", tiny, rule)
    found = Measurement("table", "A paper", "a claim", "a table", lambda: ([], rule([])))
    changed = replace(study, key="changed", study=lambda: tiny(space={"trace": space.choice(0.5)}))
    module = type("module", (), {"EXPERIMENTS": (study, found, changed)})
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "module", lambda name: module)
    point = {"trace": 0.5, "score": 2.0, "low": 0.0, "high": 0.0, "scores": [1.0, 3.0], "curve": {}}
    old = {"claim": "a claim", "verdict": "not", "summary": "", "points": [point], "seconds": 3.0}
    old["study"] = to_data(tiny())
    stored = {"study": old, "table": old, "changed": old}
    (tmp_path / "pqn.json").write_text(json.dumps(stored))
    record.judge("pqn")
    outcomes = record.read("pqn")
    assert outcomes["table"] == old and outcomes["changed"] == old
    assert capsys.readouterr().out == "pqn changed: another study was run, not judged\n"
    judged = outcomes["study"]
    assert (judged["claim"], judged["verdict"], judged["seconds"]) == ("a new claim", "partly", 3.0)
    assert judged["summary"] == "{'trace': 0.5} 2.0 [-10.7, 14.7]"  # t of 1 degree: 12.7
    assert judged["points"] == [point | {"low": -10.7062, "high": 14.7062}]


@pytest.mark.parametrize("name", record.names())
def test_every_experiment_can_be_made(name):
    experiments = record.module(name).EXPERIMENTS
    assert len({experiment.key for experiment in experiments}) == len(experiments)
    for experiment in experiments:
        if isinstance(experiment, Sweep):
            study = experiment.study()
            assert study.resolve(study.search.draw(study.space)[0])


def test_the_page_of_the_algorithms_is_up_to_date():
    assert table.PAGE.read_text() == table.text(), "run python -m sweeps.evidence table"


def test_unknown_names_get_one_line():
    command = [sys.executable, "-m", "sweeps.evidence", "dqnn"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=record.ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: name: got 'dqnn' (did you mean dqn?), allowed: judge table arsq"
    )
