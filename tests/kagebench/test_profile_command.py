"""``kagebench profile``: files, resuming, errors."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from kagebench import cli, profile_sweep
from kagebench.commands import profile, train
from kagebench.evaluate import METRICS
from kagebench.profile_axes import find
from kagebench.profile_sweep import Grid, Subject, Sweep
from sweeps import engine

STEPS, GOAL = 30, 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a config that is quickly evaluated."""
    text = f"base: base-a\nepisode_length: {STEPS}\ndist_to_success: {GOAL}\n"
    (tmp_path / "small.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


ORACLE = "profile --policy oracle --config small.yaml --episodes 2"
LIGHT = "--axis filters.brightness --values -0.5,0.5"


def test_the_curve_of_a_policy_that_does_not_look_is_flat(folder, capsys, monkeypatch) -> None:
    assert cli.main([*ORACLE.split(), *LIGHT.split()]) == 0
    assert "filters.brightness" in capsys.readouterr().out
    out = folder / "runs" / "oracle-profile"
    data = json.loads((out / "filters.brightness.json").read_text())
    assert data["schema"] == "kagebench-profile/1" and data["episodes"] == 2
    assert data["values"] == [-0.5, 0.0, 0.5] and data["train"] == "small"
    for name in METRICS:
        assert len(set(data["metrics"][name]["mean"])) == 1
        assert data["gaps"][name] == dict.fromkeys(("mean", "low", "high"), [0.0] * 3)
    assert data["metrics"]["success_once"]["mean"] == [1.0] * 3
    assert data["robustness"] == dict.fromkeys(("mean", "low", "high", "relative"), 1.0)
    assert data["thresholds"] == {"left": None, "right": None}
    assert Image.open(out / "filters.brightness.png").width > 600

    def never(*_: object) -> None:
        raise AssertionError("evaluated again")

    monkeypatch.setattr(profile_sweep, "run", never)
    (out / "filters.brightness.json").unlink()
    assert cli.main([*ORACLE.split(), *LIGHT.split()]) == 0
    assert json.loads((out / "filters.brightness.json").read_text()) == data
    assert "1 of 1 evaluated by an earlier call" in capsys.readouterr().out
    # Another policy, or other levels, would be another profile.
    for old, new, text in (
        ("oracle", "right", "holds a profile with policy 'oracle', not 'right'"),
        ("episodes 2", "episodes 3", "holds a profile with episodes 2, not 3"),
        ("small.yaml", "base-a", "holds a profile with train 'small', not 'base-a'"),
    ):
        line = f"{ORACLE.replace(old, new)} {LIGHT} --out {out}"
        assert cli.main(line.split()) == 2
        assert capsys.readouterr().err == f"error: out: {out} {text}; choose another folder\n"


def test_a_profile_goes_on_where_it_was_interrupted(folder, capsys, monkeypatch) -> None:
    axes = find("camera.right_margin"), find("filters.brightness")
    monkeypatch.setattr(profile, "AXES", axes)
    work, called = profile_sweep.run, []

    def interrupted(grid: Grid, *args: object) -> Sweep:
        called.append(grid.name)
        if len(called) == 2:
            raise KeyboardInterrupt
        return work(grid, *args)  # pyright: ignore

    monkeypatch.setattr(profile_sweep, "run", interrupted)
    line = [*ORACLE.replace("oracle", "right_jump").split(), "--points", "2", "--out", "p"]
    assert cli.main(line) == 130
    assert not Path("p/profile.json").exists() and len(list(Path("p/sweeps").iterdir())) == 1
    assert cli.main(line) == 0
    assert called == ["camera.right_margin", *["filters.brightness"] * 2]
    data = json.loads(Path("p/profile.json").read_text())
    assert [len(entry["values"]) for entry in data["axes"]] == [3, 3]
    areas = [entry["robustness"]["mean"] for entry in data["axes"]]
    assert areas == sorted(areas) and data["robustness"] == pytest.approx(np.mean(areas))
    for name in ("profile", *(axis.key for axis in axes)):
        assert Image.open(f"p/{name}.png").width > 600
    out = capsys.readouterr().out
    assert "1 of 2 evaluated by an earlier call" in out and "mean robustness" in out


def test_two_axes_and_interactions(folder, capsys) -> None:
    line = f"{ORACLE} {LIGHT} --axis camera.right_margin --values 8 --out p"
    assert cli.main([*line.split(), "--interactions"]) == 0
    data = json.loads(Path("p/interactions.json").read_text())
    assert data["keys"] == ["filters.brightness", "camera.right_margin"]
    assert Image.open("p/interactions.png").width > 600
    assert "interaction +0.00 [+0.00, +0.00]" in capsys.readouterr().out
    assert cli.main(line.split()) == 0
    grid = json.loads(Path("p/filters.brightness--camera.right_margin.json").read_text())
    assert [axis["values"] for axis in grid["axes"]] == [[-0.5, 0.0, 0.5], [8, 40]]
    assert np.shape(grid["metrics"]["success_once"]["mean"]) == (3, 2)
    assert grid["interaction"]["mean"] == 0.0
    assert data["pairs"][0]["metrics"] == grid["metrics"]
    assert Image.open("p/filters.brightness--camera.right_margin.png").width > 600


def test_interactions_are_measured_where_each_axis_halves_success(folder, monkeypatch) -> None:
    """Of three axes in the default set two are asked for; what is evaluated is made up."""
    evaluated = []

    def made_up(grid: Grid, subject: Subject, keys: jax.Array, frames: bool, report) -> Sweep:
        evaluated.append((grid.name, grid.values, frames))
        parts = [np.array(v) == at[i] for v, at, i in zip(grid.values, grid.values, grid.neutral)]
        both = parts[0] if len(parts) == 1 else np.outer(*parts)
        success = np.broadcast_to(both, (1, len(keys), *grid.shape)).astype(np.float32)
        shown = tuple(tuple(range(size)) for size in grid.shape)
        pictures = np.zeros((*grid.shape, 8, 8, 3), np.uint8)
        return Sweep(grid, dict.fromkeys(METRICS, success), shown, pictures, 0.0)

    monkeypatch.setattr(profile_sweep, "run", made_up)
    axes = "--axis filters.brightness --axis distractors.count --points 3"
    assert cli.main(f"{ORACLE} {axes} --interactions --out p".split()) == 0
    assert evaluated == [
        ("filters.brightness", ((-1.0, 0.0, 1.0),), True),
        ("distractors.count", ((0, 6, 11),), True),
        ("filters.brightness--distractors.count", ((-0.5, -0.25, 0.0), (0, 2, 3)), False),
    ]
    data = json.loads(Path("p/interactions.json").read_text())
    assert data["pairs"][0]["interaction"]["mean"] == 0.0


TINY = (
    "total_timesteps=128",
    "num_envs=8",
    "num_steps=8",
    "num_minibatches=1",
    "update_epochs=1",
)


def test_trained_agents_have_a_profile(folder, capsys) -> None:
    plan = train.make_plan(train.Args(config="small.yaml", preset="quick", seeds=2, set=TINY))
    engine.run(plan, folder / "bench/training/base-a/seeds-0-1", progress=False)
    line = f"profile --agent bench/training/base-a/seeds-0-1 {LIGHT} --episodes 2"
    assert cli.main(line.split()) == 0
    out = folder / "bench" / "profiles" / "base-a-seeds-0-1"
    data = json.loads((out / "filters.brightness.json").read_text())
    assert data["seeds"] == [0, 1] and data["observation"]["obs_size"] == 32
    assert np.shape(data["metrics"]["return"]["per_agent"]) == (3, 2)
    other = train.make_plan(
        train.Args(config="small.yaml", preset="quick", seeds=2, set=(*TINY, "gamma=0.5"))
    )
    engine.run(other, folder / "other", progress=False)
    capsys.readouterr()
    assert cli.main(f"profile --agent other {LIGHT} --episodes 2 --out {out}".split()) == 2
    text = "holds a profile of other agents; choose another folder"
    assert capsys.readouterr().err == f"error: out: {out} {text}\n"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("runs/mine", "runs/mine-profile"),
        ("runs/quickstart/training", "runs/quickstart/profile"),
        ("runs/b/training/base-c/seeds-1-5", "runs/b/profiles/base-c-seeds-1-5"),
    ],
)
def test_results_lie_beside_the_agents(agent: str, expected: str) -> None:
    assert profile.default_folder(profile.Args(agent=Path(agent))) == Path(expected)


VALUES = "LO:HI:COUNT with LO < HI and COUNT 2 to 1000, or numbers and commas"
MISTAKES = {
    "": "agent, policy: give one of them",
    "--agent nowhere": "nowhere: holds no run (plan.json not found)",
    "--agent a --policy oracle": "agent, policy: give one of them",
    "--policy orcle": "policy: got 'orcle', allowed: oracle random right right_jump noop",
    "--agent nowhere --config base-a": "config: got 'base-a' with --agent, allowed: with --policy",
    "--policy oracle --axis filters.hue_shfit --values 0,1": (
        "axis: filters.hue_shfit: unknown key (did you mean filters.hue_shift?)"
    ),
    "--policy oracle --axis brightness": (
        "axis: brightness: unknown key (did you mean filters.brightness?)"
    ),
    "--policy oracle --axis effects": (
        "axis: got 'effects', a section, allowed: one of its keys point_light_intensity "
        "point_light_radius point_light_falloff point_light_count"
    ),
    "--policy oracle --axis a.b.c": (
        "axis: got 'a.b.c', allowed: a numeric key such as filters.brightness"
    ),
    "--policy oracle --axis background.mode": (
        "axis: background.mode is no number but a name, allowed: a numeric key such as "
        "filters.brightness"
    ),
    "--policy oracle --axis W": (
        "axis: W is the size of the frame, allowed: a key that leaves it alone"
    ),
    "--policy oracle --axis character.shape_rotation_speed --values 1,2": (
        "axis: character.shape_rotation_speed has no influence on the training config, allowed: "
        "a numeric key that it uses, or an axis of the default set"
    ),
    "--policy oracle --axis physics.gravity": (
        "values: none given, and physics.gravity has no default range, allowed: LO:HI:COUNT"
    ),
    "--policy oracle --axis filters.hue_shift --values -180:180": (
        f"values: got '-180:180', allowed: {VALUES}"
    ),
    "--policy oracle --axis filters.hue_shift --values 180:-180:5": (
        f"values: got '180:-180:5', allowed: {VALUES}"
    ),
    "--policy oracle --axis filters.hue_shift --values 0:1:many": (
        f"values: got '0:1:many', allowed: {VALUES}"
    ),
    "--policy oracle --axis filters.hue_shift --values 1,nan": (
        f"values: got '1,nan', allowed: {VALUES}"
    ),
    "--policy oracle --axis filters.hue_shift --values 0,400": (
        "values: filters.hue_shift: got 400.0, allowed: a finite number in [-180, 180]"
    ),
    "--policy oracle --axis filters.contrast --values -1,2": (
        "values: filters.contrast: got -1.0, allowed: a finite number > 0"
    ),
    "--policy oracle --axis filters.pixelate_factor --values 1,500": (
        "values: filters.pixelate_factor: got 500, allowed: <= H = 128"
    ),
    "--policy oracle --axis filters.hue_shift --values 1 --values 2": (
        "values: got 2 for 1 axes, allowed: one per --axis, or none"
    ),
    "--policy oracle --axis filters.gamma --axis filters.gamma": (
        "axis: got filters.gamma twice, allowed: different axes"
    ),
    "--policy oracle --axis effects.point_light_count --axis effects.point_light_intensity": (
        "axis: effects.point_light_count and effects.point_light_intensity both set "
        "effects.point_light_enabled, allowed: one of them"
    ),
    "--policy oracle --axis filters.gamma --axis filters.contrast --axis camera.right_margin": (
        "axis: got 3, allowed: one or two, more with --interactions"
    ),
    "--policy oracle --interactions --axis filters.gamma": (
        "axis: got 1 with --interactions, allowed: none, two or more"
    ),
    "--policy oracle --episodes 0": "episodes: got 0, allowed: at least 1",
    "--policy oracle --points 1": "points: got 1, allowed: 2 to 1000",
    "--policy oracle --out used": "out: used holds files but no profile; choose another folder",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_gets_one_line(line: str, folder: Path, capsys) -> None:
    (folder / "used").mkdir()
    (folder / "used" / "notes.txt").touch()
    before = sorted(folder.rglob("*"))
    assert cli.main(["profile", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert err == f"error: {MISTAKES[line]}\n"
    assert out == "" and sorted(folder.rglob("*")) == before
