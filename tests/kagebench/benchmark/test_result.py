"""Result files: what is read is what was written, and every mistake is named in one line."""

import copy
import dataclasses
import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kagebench.benchmark import result
from kagebench.benchmark.result import ResultError
from kagebench.evaluate import METRICS

Data = dict[str, Any]
REMOVED = object()
NAMES = " ".join(
    (
        "schema algorithm description protocol observation training_steps episodes actions",
        "commands machine evaluations",
    )
)
BASES = "base-a base-b base-c base-d base-e base-f base-g"


def test_rows_are_sorted_and_typed(data: Data) -> None:
    found = result.parse(data, "r.json")
    frame = found.evaluations
    assert frame.columns == ["base", "seed", "step", "config", *METRICS]
    assert frame.dtypes == [pl.String, pl.Int64, pl.Int64, pl.String, *[pl.Float64] * len(METRICS)]
    assert frame["config"].to_list() == [
        *["base-a", "background-5", "layout-1"] * 2,
        *["base-f", "filters-4"] * 3,
    ]
    assert frame["seed"].to_list() == [1, 1, 1, 2, 2, 2, 7, 7, 8, 8, 9, 9]
    assert frame["success"].to_list()[:6] == [1.0, 0.25, 0.75, 0.5, 0.75, 0.5]
    assert frame["distance"].to_list()[-2:] == [470.0, 120.0]
    assert (found.algorithm, found.commands, found.machine) == (
        "ppo",
        ("kagebench reproduce",),
        {"cores": 2},
    )


def test_rows_of_any_origin_are_sorted(data: Data) -> None:
    found = result.parse(data, "r.json")
    mixed = found.evaluations.sample(fraction=1.0, shuffle=True, seed=1)
    assert not mixed.equals(found.evaluations)
    assert dataclasses.replace(found, evaluations=mixed).evaluations.equals(found.evaluations)


def test_a_file_is_read_as_it_was_written(data: Data, tmp_path: Path) -> None:
    first = result.parse(data, "r.json")
    path = tmp_path / "result.json"
    result.write(first, path)
    second = result.read(path)
    assert list(tmp_path.iterdir()) == [path]
    assert first.evaluations.equals(second.evaluations)
    for field in dataclasses.fields(first):
        if field.name != "evaluations":
            assert getattr(first, field.name) == getattr(second, field.name)
    again = result.to_json(second)
    place = itemgetter("base", "seed", "config")
    for content in (data, again):
        content["evaluations"].sort(key=place)
    assert again == data


def test_what_may_be_left_out(data: Data) -> None:
    for name in ("description", "commands", "machine"):
        del data[name]
    found = result.parse(data, "r.json")
    assert (found.description, found.commands, found.machine) == ("", (), {})
    data["observation"]["obs_size"] = None
    assert result.parse(data, "r.json").observation["obs_size"] is None


def test_a_wrong_result_is_not_written(data: Data, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    wrong = dataclasses.replace(result.parse(data, "r.json"), episodes=0)
    with pytest.raises(ResultError, match="episodes: got 0, allowed: a whole number, at least 1"):
        result.write(wrong, path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# What is set where (a path of keys) -> the message after the name of the file.
MISTAKES: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "another schema": (
        ("schema",),
        "kagebench-result/2",
        "schema: got 'kagebench-result/2' (did you mean kagebench-result/1?), "
        "allowed: kagebench-result/1",
    ),
    "misspelt key": (
        ("episode",),
        128,
        "episode: unknown key (did you mean episodes?)",
    ),
    "unknown key": (("xyz",), 1, f"xyz: unknown key, allowed: {NAMES}"),
    "missing key": (("algorithm",), REMOVED, "algorithm: missing"),
    "empty label": (
        ("algorithm",),
        " ",
        "algorithm: got ' ', allowed: a text of 1 to 40 characters",
    ),
    "long label": (
        ("algorithm",),
        "a" * 41,
        "algorithm: got 'aaaaaaaaaaaa...aaaaaaaaaaaaa', allowed: a text of 1 to 40 characters",
    ),
    "label with a line break": (
        ("algorithm",),
        "a\nb",
        "algorithm: got 'a\\nb', allowed: printable characters",
    ),
    "protocol": (
        ("protocol",),
        "pared",
        "protocol: got 'pared' (did you mean paired?), allowed: paired reference",
    ),
    "observation is no object": (
        ("observation",),
        "pixels",
        "observation: got 'pixels', allowed: an object",
    ),
    "observation without a key": (("observation", "art"), REMOVED, "observation.art: missing"),
    "observation size": (
        ("observation", "obs_size"),
        30,
        "observation.obs_size: got 30, allowed: null or a divisor of 128",
    ),
    "negative steps": (
        ("training_steps",),
        -1,
        "training_steps: got -1, allowed: a whole number, at least 0",
    ),
    "steps as text": (
        ("training_steps",),
        "100",
        "training_steps: got '100', allowed: a whole number, at least 0",
    ),
    "episodes as bool": (
        ("episodes",),
        True,
        "episodes: got True, allowed: a whole number, at least 1",
    ),
    "commands as text": (("commands",), "make", "commands: got 'make', allowed: a list"),
    "command is no text": (("commands", 0), 1, "commands[0]: got 1, allowed: a text"),
    "evaluations is no list": (("evaluations",), {}, "evaluations: got {}, allowed: a list"),
    "no evaluations": (("evaluations",), [], "evaluations: no pair among them"),
    "entry is no object": (
        ("evaluations", 3),
        [],
        "evaluations[3]: got [], allowed: an object",
    ),
    "entry without a metric": (
        ("evaluations", 3, "return"),
        REMOVED,
        "evaluations[3].return: missing",
    ),
    "entry with an unknown metric": (
        ("evaluations", 3, "sucess"),
        1.0,
        "evaluations[3].sucess: unknown key (did you mean success?)",
    ),
    "success above 1": (
        ("evaluations", 4, "success"),
        50,
        "evaluations[4].success: got 50, allowed: a number from 0 to 1",
    ),
    "not a number": (
        ("evaluations", 4, "distance"),
        float("nan"),
        "evaluations[4].distance: got nan, allowed: a finite number",
    ),
    "number as text": (
        ("evaluations", 4, "distance"),
        "1.0",
        "evaluations[4].distance: got '1.0', allowed: a finite number",
    ),
    "success at the end but never": (
        ("evaluations", 4, "success_once"),
        0.25,
        "evaluations[4].success_once: got 0.25, allowed: at least success, 0.5",
    ),
    "unknown base": (
        ("evaluations", 0, "base"),
        "base-h",
        f"evaluations[0].base: got 'base-h' (did you mean base-g?), allowed: {BASES}",
    ),
    "unknown config": (
        ("evaluations", 0, "config"),
        "layout-2",
        "evaluations[0].config: got 'layout-2' (did you mean layout-1?), "
        "allowed: base-a or a pair that trains on it",
    ),
    "pair of another base": (
        ("evaluations", 0, "config"),
        "filters-1",
        "evaluations[0].config: filters-1 belongs to base-f, not to base-a",
    ),
    "seed as float": (
        ("evaluations", 0, "seed"),
        1.0,
        "evaluations[0].seed: got 1.0, allowed: a whole number, at least 0",
    ),
    "step after the end": (
        ("evaluations", 0, "step"),
        101,
        "evaluations[0].step: got 101, allowed: a whole number, from 0 to 100",
    ),
    "entry given twice": (
        ("evaluations", 3, "config"),
        "background-5",
        "evaluations[3]: base-a seed 1 step 100 config background-5 is also evaluations[2]",
    ),
    "no training entry": (
        ("evaluations", 4),
        REMOVED,
        "evaluations[0]: missing is base-a seed 2 step 100 config base-a",
    ),
    "no validation entry": (
        ("evaluations", 11),
        REMOVED,
        "evaluations: missing is base-f seed 9 step 100 config filters-4, which other agents have",
    ),
    "another checkpoint": (
        ("evaluations", 11, "step"),
        50,
        "evaluations[11]: missing is base-f seed 9 step 50 config base-f",
    ),
}


def change(data: Data, path: tuple[str | int, ...], value: Any) -> Data:
    """A copy with one value set or removed."""
    data = copy.deepcopy(data)
    *parents, last = path
    place: Any = data
    for key in parents:
        place = place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_line(name: str, data: Data) -> None:
    path, value, message = MISTAKES[name]
    with pytest.raises(ResultError) as error:
        result.parse(change(data, path, value), "dir/r.json")
    assert str(error.value) == f"dir/r.json: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"schema" 1}', "line 1 column 11: not JSON (Expecting ':' delimiter)"),
        (b"", "line 1 column 1: not JSON (Expecting value)"),
        (b"\xff\xfe", "not a text in UTF-8"),
        (b"[1]", "content: got [1], allowed: an object"),
    ],
)
def test_files_that_are_no_results(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(ResultError) as error:
        result.read(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_numbers_that_json_does_not_have(data: Data, tmp_path: Path) -> None:
    data["evaluations"][0]["return"] = float("inf")
    path = tmp_path / "r.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ResultError, match=r"evaluations\[0\].return: got inf, allowed: a finite"):
        result.read(path)
