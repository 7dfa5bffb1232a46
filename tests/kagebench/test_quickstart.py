"""The main job from beginning to end, in small, and the errors of its commands."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from algorithms import ppo
from kagebench.commands import _quickstart_page, quickstart, train
from kagebench.commands import eval as evaluation
from kagebench.report.results import lowest_agent

COLUMNS = ["policy", "agent", "config", "episode"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder that the smoke test of the quickstart wrote."""
    path = tmp_path_factory.mktemp("quickstart") / "out"
    quickstart.run(quickstart.Args(out=path, smoke=True))
    return path


def test_quickstart_writes_results_that_belong_together(folder):
    learned = pl.read_parquet(folder / "episodes-learned.parquet")
    scripted = pl.read_parquet(folder / "episodes-scripted.parquet")
    shifts = quickstart.SMOKE.shifts
    assert learned.columns[:4] == COLUMNS
    assert learned.height == 2 * (1 + len(shifts)) * 4
    assert set(learned["config"]) == {"base-a", *shifts}
    assert set(scripted["policy"]) == {"oracle", "random"}
    entries = json.loads((folder / "summary.json").read_text())
    train_entry = entries[0]
    mean = learned.filter(config="base-a")["distance"].mean()
    assert train_entry["metrics"]["distance"]["mean"] == pytest.approx(mean)
    # The oracle knows the level, so it reaches the goal; it does not look, so it has no gaps.
    oracle = [entry for entry in entries if entry["policy"] == "oracle"]
    assert oracle[0]["metrics"]["success_once"]["mean"] == 1.0
    assert all(entry["gaps"]["return"]["mean"] == 0.0 for entry in oracle[1:])


def test_quickstart_page_says_that_it_is_a_smoke_test_and_shows_every_shift(folder):
    text = (folder / "index.html").read_text()
    assert 'class="warning"' in text and "Smoke test" in text
    for name in ("base-a", *quickstart.SMOKE.shifts):
        assert f"<h3>{name}</h3>" in text
        assert (folder / "strips" / f"{name}.png").exists()
    for image in ("curves.png", "shifts.png"):
        assert (folder / image).exists()
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', text))


def test_quickstart_reuses_what_is_there_and_refuses_other_folders(folder, capsys, tmp_path):
    kept = [folder / "episodes-learned.parquet", folder / "training" / "metrics.parquet"]
    before = [path.stat().st_mtime_ns for path in kept]
    (folder / "index.html").unlink()
    quickstart.run(quickstart.Args(out=folder, smoke=True))
    assert (folder / "index.html").exists()
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert "oracle (all configs)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="holds a quickstart with other settings"):
        quickstart.run(quickstart.Args(out=folder))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="holds files but no quickstart"):
        quickstart.run(quickstart.Args(out=tmp_path, smoke=True))


def test_an_unsolved_training_task_is_reported():
    metrics = {"success_once": {"mean": 0.85, "per_agent": [0.91, 0.79]}}
    entries = [{"agents": [0, 1], "metrics": metrics}]
    assert lowest_agent(entries[0]) == (1, 0.79)
    assert "seed 1 has success_once 0.79" in _quickstart_page.unsolved(entries)
    metrics["success_once"]["per_agent"][1] = 0.8
    assert _quickstart_page.unsolved(entries) == ""


def test_eval_writes_the_results_that_the_table_shows(folder, capsys, tmp_path):
    evaluation.run(
        evaluation.Args(
            folder=folder / "training",
            pair="layout-1",
            episodes=4,
            policies=("right",),
            json=tmp_path / "new" / "eval.json",
        )
    )
    found = json.loads((tmp_path / "new" / "eval.json").read_text())
    named = [(entry["policy"], entry["config"]) for entry in found["results"]]
    assert named == [(p, c) for p in ("ppo", "right") for c in ("base-a", "layout-1")]
    assert found["observation"]["obs_size"] == 32
    # The same agents on the same levels as in the quickstart.
    summary = json.loads((folder / "summary.json").read_text())
    assert found["results"][0]["metrics"] == summary[0]["metrics"]
    assert "layout-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "filters"}, "suite: filters trains on base-f, this run was trained on base-a"),
        ({"pair": "background-4"}, "pair: background-4 trains on base-c"),
        ({"pair": "background-11"}, "pair: got 'background-11'"),
        ({"suite": "filter"}, r"suite: got 'filter' \(did you mean filters\?\)"),
        ({"pair": "layout-1", "suite": "layout"}, "only one of them"),
        ({"configs": ("base-b", "base-b")}, "configs: names are not unique: base-b base-b"),
        ({"episodes": 0}, "episodes: got 0"),
        ({"policies": ("orakel",)}, "policies: got 'orakel', allowed: oracle"),
        ({"folder": Path("nowhere")}, "nowhere: holds no run"),
    ],
)
def test_bad_options_of_eval(folder, options, message):
    with pytest.raises(ValueError, match=message):
        evaluation.run(evaluation.Args(**({"folder": folder / "training"} | options)))


def test_eval_uses_the_pairs_of_a_suite_that_train_on_the_config(folder):
    trained = evaluation._trained.load_trained(folder / "training")
    shifts = evaluation.choose_shifts(trained, (), "background", "")
    assert list(shifts) == ["background-1", "background-2", "background-3", "background-5"]
    assert len(evaluation.choose_shifts(trained, (), "", "")) == 11


def test_train_overrides_fields_by_their_types():
    config = train.override(
        ppo.PRESETS["quick"],
        ["learning_rate=1e-3", "num-envs=64", "store=scenes", "norm_adv=false", "gamma = 1"],
    )
    expected = {"learning_rate": 1e-3, "num_envs": 64, "store": "scenes", "norm_adv": False}
    assert {name: getattr(config, name) for name in expected} == expected
    assert isinstance(config.num_envs, int) and isinstance(config.gamma, float)
    assert config.gae_lambda == ppo.PRESETS["quick"].gae_lambda


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set": ("learning_rat=1",)}, r"set: got 'learning_rat' \(did you mean learning_rate\?\)"),
        ({"set": ("gamma",)}, "set: 'gamma' is not of the form FIELD=VALUE"),
        ({"set": ("num_envs=1.5",)}, "set num_envs: got '1.5', must be a whole number"),
        ({"set": ("gamma=high",)}, "set gamma: got 'high', must be a number"),
        ({"set": ("store=disk",)}, "set store: got 'disk', allowed: scenes frames"),
        ({"set": ("norm_adv=maybe",)}, "set norm_adv: got 'maybe', allowed: true false"),
        ({"preset": "quik"}, r"preset: got 'quik' \(did you mean quick\?\)"),
        ({"algorithm": "pp"}, r"algorithm: got 'pp' \(did you mean ppo\?\)"),
        ({"seeds": 0}, "seeds: got 0, must be at least 1"),
    ],
)
def test_bad_options_of_train(options, message):
    with pytest.raises(ValueError, match=message):
        train.make_plan(train.Args(**options))
