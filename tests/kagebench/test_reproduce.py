"""The benchmark from training to table, in small: protocols, resuming, adding seeds, errors."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pytest

from kagebench.benchmark import result
from kagebench.commands import _benchmark, _trained, reproduce
from kagebench.evaluate import METRICS
from kagebench.suites import PAIRS
from sweeps import store
from tests.compiling import optimised

STEPS = 16_384


@pytest.fixture(scope="module", autouse=True)
def fast():
    with optimised():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder that the smoke preset wrote without a break."""
    path = tmp_path_factory.mktemp("benchmark") / "out"
    reproduce.run(reproduce.Args(preset="smoke", bases="CD", out=path))
    return path


def test_every_number_of_the_result_is_the_mean_of_a_file(folder):
    found = result.read(folder / "result.json")
    pairs = [pair for pair in PAIRS.values() if pair.base in ("base-c", "base-d")]
    assert found.evaluations.height == 2 * (len(pairs) + 2)
    assert found.training_steps == STEPS
    assert found.observation == {
        "obs": "pixels",
        "obs_size": 32,
        "pooling": "mean",
        "art": "shipped",
    }
    for row in found.evaluations.iter_rows(named=True):
        path = (
            folder / "evaluation" / row["base"] / f"seed-{row['seed']}" / f"{row['step']}.parquet"
        )
        episodes = pl.read_parquet(path).filter(config=row["config"])
        assert episodes.height == 4
        for name in METRICS:
            assert row[name] == pytest.approx(episodes[name].cast(pl.Float64).mean())


def test_what_is_evaluated_is_what_eval_would_evaluate(folder):
    """The stacked evaluation of a base equals one with another set of configurations."""
    trained = _trained.load_trained(folder / "training" / "base-c" / "seeds-1-2")
    shifts = {name: PAIRS[name].validation for name in ("background-4", "layout-1")}
    with_another = _trained.evaluate_trained(trained, shifts, _trained.level_keys(0, 4))
    path = folder / "evaluation" / "base-c" / "seed-2" / f"{STEPS}.parquet"
    episodes = pl.read_parquet(path).filter(config="background-4")
    expected = with_another.values["return"][1, 1]
    np.testing.assert_array_equal(episodes["return"].to_numpy(), expected)


def test_the_table_is_written_in_all_formats(folder, capsys):
    for name in ("suites", "pairs"):
        for ending in ("md", "tex", "csv"):
            assert (folder / "tables" / f"{name}.{ending}").stat().st_size > 100
    reproduce.run(reproduce.Args(preset="smoke", bases="CD", out=folder))
    printed = capsys.readouterr().out
    assert "background" in printed and "last" in printed
    assert "training" in printed and "update" not in printed  # nothing is trained again


def wait_and_kill(command: list[str], path: Path) -> None:
    """Start the command and kill it as soon as a file exists."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not path.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"


def test_killed_at_three_points_it_resumes_to_the_same_table(folder, tmp_path):
    out = tmp_path / "killed"
    options = ["--preset", "smoke", "--bases", "D", "--out", str(out)]
    command = [sys.executable, "-m", "kagebench", "reproduce", *options]
    evaluation = out / "evaluation" / "base-d"
    wait_and_kill(command, out / "training" / "base-d" / "seeds-1-2" / "env.json")
    wait_and_kill(command, evaluation / "seed-1" / f"{STEPS}.parquet")
    assert not (evaluation / "seed-2").exists()
    wait_and_kill(command, evaluation / "seed-2" / f"{STEPS}.parquet")
    assert not (out / "tables").exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    whole = result.read(folder / "result.json").evaluations.filter(base="base-d")
    assert result.read(out / "result.json").evaluations.equals(whole)


@pytest.mark.slow
def test_seeds_of_several_calls_add_up(folder, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    before = result.read(out / "result.json").evaluations
    reproduce.run(reproduce.Args(preset="smoke", bases="d", seeds="2-3", out=out))
    after = result.read(out / "result.json")
    assert [path.name for path in sorted((out / "training" / "base-d").iterdir())] == [
        *("seeds-1-2", "seeds-3")
    ]
    new = after.evaluations.join(before, on=["base", "seed", "config"], how="anti")
    assert set(new["seed"]) == {3} and set(new["base"]) == {"base-d"}
    assert after.evaluations.join(new, on=["base", "seed", "config"], how="anti").equals(before)
    assert len(after.commands) == 2


@pytest.mark.slow
def test_reference_protocol_evaluates_on_the_way_on_levels_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(_benchmark, "EVERY", 1)
    out = tmp_path / "out"
    reproduce.run(
        reproduce.Args(preset="smoke", bases="D", seeds="1", protocol="reference", out=out)
    )
    found = result.read(out / "result.json")
    assert found.evaluations["step"].unique().sort().to_list() == [0, STEPS // 2, STEPS]
    # The last agent on the levels of seed + offset + iteration.
    trained = _trained.load_trained(out / "training" / "base-d" / "seeds-1")
    for config, seed in (("base-d", 20_003), ("background-6", 10_003)):
        keys = jax.random.split(jax.random.key(seed), 4)
        shifts = {"background-6": PAIRS["background-6"].validation}
        values = _trained.evaluate_trained(trained, shifts, keys).values["return"][0]
        row = found.evaluations.filter(config=config, step=STEPS)
        index = int(config != "base-d")
        assert row["return"].item() == pytest.approx(values[index].mean(dtype=np.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": "5-1"}, "seeds: got '5-1', allowed: numbers and ranges such as 1-5 or 1,3"),
        ({"seeds": "1;2"}, "seeds: got '1;2', allowed: numbers and ranges such as 1-5 or 1,3"),
        ({"bases": "AX"}, "bases: got 'AX', allowed: letters among ABCDEFG"),
        ({"algorithm": "poo"}, "algorithm: got 'poo' (did you mean ppo?), allowed: arsq avg"),
        ({"set": ("gama=1",)}, "set: got 'gama' (did you mean gamma?), allowed: "),
        ({"set": ("total_timesteps=10",)}, "total_timesteps: 10 is less than one rollout"),
    ],
)
def test_wrong_options_leave_nothing_behind(tmp_path, options, message):
    out = tmp_path / "out"
    with pytest.raises(ValueError) as error:
        reproduce.run(reproduce.Args(preset="smoke", out=out, **options))
    assert str(error.value).startswith(message)
    assert not out.exists()


def test_a_folder_belongs_to_its_settings(tmp_path):
    settings = _benchmark.Settings("ppo", "smoke", (), "paired", 4, None)
    _benchmark.claim(tmp_path / "a", settings, "kagebench reproduce")
    args = reproduce.Args(preset="smoke", protocol="reference", out=tmp_path / "a")
    with pytest.raises(ValueError, match="has other settings, protocol is 'paired' there"):
        reproduce.run(args)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds files but no benchmark.json; choose another"):
        reproduce.run(reproduce.Args(preset="smoke", out=tmp_path / "b"))
    with pytest.raises(ValueError, match="holds no benchmark"):
        _benchmark.collect(tmp_path / "b")
    with pytest.raises(ValueError, match="no agent is trained and evaluated yet"):
        _benchmark.collect(tmp_path / "a")


def test_seeds_in_short_and_long_form():
    assert _benchmark.expand("3,1-2, 7") == (1, 2, 3, 7)
    assert _benchmark.compress((1, 2, 3, 7, 9, 10)) == "1-3_7_9-10"
    assert _benchmark.expand(_benchmark.compress((4,))) == (4,)


def test_missing_seeds_get_a_block_of_their_own(tmp_path):
    settings = _benchmark.Settings("ppo", "smoke", (), "paired", 4, None)
    parent = tmp_path / "training" / "base-c"
    for seeds in ((1, 2, 3), (6, 7)):
        plan = _benchmark.make_plan(settings, "base-c", seeds)
        store.claim(parent / f"seeds-{_benchmark.compress(seeds)}", plan)
    blocks = _benchmark.blocks(tmp_path, "base-c", range(1, 6))
    assert blocks == {parent / "seeds-1-3": (1, 2, 3), parent / "seeds-4-5": (4, 5)}
    assert _benchmark.blocks(tmp_path, "base-d", (2,)) == {
        tmp_path / "training" / "base-d" / "seeds-2": (2,)
    }


def test_the_command_line_that_is_kept_does_the_same():
    args = reproduce.Args(preset="smoke", seeds="1-3", bases="AF", set=("gamma=0.9",))
    assert reproduce.command_line(args) == (
        "kagebench reproduce --preset smoke --algorithm ppo --seeds 1-3 --protocol paired "
        "--bases AF --set gamma=0.9"
    )


def test_settings_are_kept_as_json(tmp_path):
    settings = _benchmark.Settings("ppo", "cpu", ("gamma=0.9",), "paired", 4, None)
    _benchmark.claim(tmp_path / "a", settings, "one")
    _benchmark.claim(tmp_path / "a", settings, "two")
    _benchmark.claim(tmp_path / "a", settings, "one")
    about = json.loads((tmp_path / "a" / "benchmark.json").read_text())
    assert about["commands"] == ["one", "two"] and about["settings"]["set"] == ["gamma=0.9"]
