"""``kagebench score``."""

import json
from pathlib import Path
from typing import Any

import pytest

from kagebench import cli

Data = dict[str, Any]
ENDINGS = ("csv", "md", "tex")
MISTAKES = {
    "score short.json": (
        "short.json: evaluations[0]: missing is base-a seed 2 step 100 config base-a"
    ),
    "score typo.json": "typo.json: algoritm: unknown key (did you mean algorithm?)",
    "score text.json": "text.json: line 1 column 1: not JSON (Expecting value)",
    "score absent.json": "absent.json: No such file or directory",
    "score good.json --statistic best": (
        "--statistic: got 'best', allowed: ('last', 'max', 'mean', 'median', 'min') "
        "(see kagebench score --help)"
    ),
    "score good.json --metric sucess": (
        "metric: got 'sucess', allowed: distance progress success success_strict success_once "
        "return jump_count"
    ),
    "score good.json --out text.json": "text.json: File exists",
}


@pytest.fixture
def folder(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with results of which one is valid."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "good.json").write_text(json.dumps(data))
    (tmp_path / "typo.json").write_text(json.dumps(data | {"algoritm": "ppo"}))
    rows = [row for row in data["evaluations"] if row["seed"] != 2 or row["config"] != "base-a"]
    (tmp_path / "short.json").write_text(json.dumps(data | {"evaluations": rows}))
    (tmp_path / "text.json").write_text("algorithm: ppo\n")
    return tmp_path


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_gets_one_line(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert cli.main(line.split()) == 2
    out, err = capsys.readouterr()
    assert err == f"error: {MISTAKES[line]}\n"
    assert out == "" and sorted(folder.iterdir()) == before


def test_tables_are_printed_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--statistic", "max", "--metric", "distance", "--out", "tables"]
    assert cli.main(["score", "good.json", *options]) == 0
    out = capsys.readouterr().out
    assert "overall (3/34)" in out and "ppo, paired protocol" in out and "max over checkpo" in out
    lines = [line.split() for line in out.splitlines()]
    assert [line[1:4] for line in lines if line[:1] == ["layout-1"]] == [
        ["390.0±100.0", "300.0±100.0", "300.0"]
    ]
    names = sorted(path.name for path in (folder / "tables").iterdir())
    assert names == [f"{kind}.{ending}" for kind in ("pairs", "suites") for ending in ENDINGS]
    assert [line for line in lines if line == ["tables/pairs.tex"]]
