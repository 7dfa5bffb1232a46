"""Result files (``result.json``): what an algorithm achieved on the benchmark's configurations.

The format is described field by field in docs/submissions.md. A file is read and written as a whole
and only if it is valid, so that what a `Result` holds can be relied on.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from kagebench.benchmark import checks
from kagebench.benchmark.checks import Invalid
from kagebench.benchmark.files import write_whole
from kagebench.evaluate import METRICS
from kagebench.schema import nearest
from kagebench.suites import BASES, PAIRS

SCHEMA = "kagebench-result/1"
PROTOCOLS = ("paired", "reference")
ACTIONS = ("sampled", "greedy")
LABEL_LENGTH = 40
INDEX = ("base", "seed", "step", "config")

_BASES = tuple(BASES.values())
# Configuration -> the base that it belongs to, in the order of rows.
_BASE_OF = {base: base for base in _BASES} | {name: pair.base for name, pair in PAIRS.items()}
_ORDER = {name: i for i, name in enumerate(_BASE_OF)}
# What a mean over episodes can be. Bounds that are not natural ones only keep sums finite.
_BOUNDS = {
    "success": (0.0, 1.0),
    "success_strict": (0.0, 1.0),
    "success_once": (0.0, 1.0),
    "jump_count": (0.0, 1e9),
}
_ANY = (-1e9, 1e9)
# Shares of the same episodes: each of these events implies the next.
_IMPLIES = tuple(name for name in ("success_strict", "success", "success_once") if name in METRICS)
_ROUNDING = 1e-6

Row = dict[str, Any]


class ResultError(ValueError):
    """A result that is not valid; one line with the place, the value and what is allowed."""


@dataclass(frozen=True, eq=False)
class Result:
    """What one algorithm achieved.

    Attributes:
        algorithm: label in tables, 1 to 40 characters.
        protocol: "paired" (train and validation share levels and action noise) or "reference"
            (fresh levels for every evaluation).
        observation: what the agents saw: obs, obs_size, pooling, art.
        training_steps: environment steps per agent.
        episodes: per agent, configuration and checkpoint.
        actions: "sampled" or "greedy".
        evaluations: one row per agent, checkpoint and configuration, brought into this order: base
            (str), seed (int64), step (int64, environment steps before the checkpoint), config (str,
            the base itself or one of its pairs), and the means over episodes of
            `kagebench.evaluate.METRICS` (float64). All agents of a base have the same checkpoints
            and configurations, the base itself among them.
        description: free text.
        commands: how the result was made.
        machine: on what (`kagebench.machine.describe`).
    """

    algorithm: str
    protocol: str
    observation: Mapping[str, Any]
    training_steps: int
    episodes: int
    actions: str
    evaluations: pl.DataFrame
    description: str = ""
    commands: tuple[str, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = pl.col("config").replace_strict(_ORDER, default=len(_ORDER))
        ordered = self.evaluations.sort("base", "seed", "step", order)
        object.__setattr__(self, "evaluations", ordered)


def read(path: Path) -> Result:
    """Read a result file.

    Raises:
        ResultError: it is not a valid result.
        OSError: it cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ResultError(f"{path}: {place}: not JSON ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise ResultError(f"{path}: not a text in UTF-8") from error
    return parse(data, str(path))


def write(result: Result, path: Path) -> None:
    """Write a result file, which is then complete or as it was before.

    Raises:
        ResultError: the result is not valid.
    """
    data = to_json(result)
    parse(data, str(path))
    write_whole(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def to_json(result: Result) -> dict[str, Any]:
    """The content of a result file."""
    return {
        "schema": SCHEMA,
        "algorithm": result.algorithm,
        "description": result.description,
        "protocol": result.protocol,
        "observation": dict(result.observation),
        "training_steps": result.training_steps,
        "episodes": result.episodes,
        "actions": result.actions,
        "commands": list(result.commands),
        "machine": dict(result.machine),
        "evaluations": result.evaluations.to_dicts(),
    }


def parse(data: Any, where: str) -> Result:
    """The result that the content of a file describes.

    Args:
        data: the decoded JSON.
        where: name of the file, for messages.

    Raises:
        ResultError: the first mistake, with its place.
    """
    try:
        values = checks.mapping(data, "", _FIELDS, _OPTIONAL)
        rows = [
            _row(row, f"evaluations[{i}]", values["training_steps"])
            for i, row in enumerate(values["evaluations"])
        ]
        _check_complete(rows)
    except Invalid as mistake:
        raise ResultError(f"{where}: {mistake}") from mistake
    del values["schema"], values["evaluations"]
    types = {"base": pl.String, "seed": pl.Int64, "step": pl.Int64, "config": pl.String}
    frame = pl.DataFrame(rows, types | dict.fromkeys(METRICS, pl.Float64))
    return Result(**values, evaluations=frame)


def _row(data: Any, key: str, training_steps: int) -> Row:
    """One entry of the evaluations."""
    row = checks.mapping(data, key, _ROW_FIELDS, {})
    checks.integer(row["step"], f"{key}.step", 0, training_steps)
    config, base = row["config"], row["base"]
    if config not in _BASE_OF:
        near = nearest(config, _BASE_OF)
        hint = f" (did you mean {near}?)" if near else ""
        allowed = f"{base} or a pair that trains on it"
        raise Invalid(f"{key}.config: got {config!r}{hint}, allowed: {allowed}")
    if _BASE_OF[config] != base:
        raise Invalid(f"{key}.config: {config} belongs to {_BASE_OF[config]}, not to {base}")
    for narrow, wide in itertools.pairwise(_IMPLIES):
        if row[narrow] > row[wide] + _ROUNDING:
            allowed = f"at least {narrow}, {row[narrow]:g}"
            raise checks.wrong(f"{key}.{wide}", row[wide], allowed)
    return row


def _check_complete(rows: Sequence[Row]) -> None:
    """No entry twice; all agents of a base have the same checkpoints and configurations."""
    places: dict[tuple, int] = {}
    for i, row in enumerate(rows):
        index = tuple(row[name] for name in INDEX)
        if index in places:
            raise Invalid(f"evaluations[{i}]: {_name(*index)} is also evaluations[{places[index]}]")
        places[index] = i
    for (base, seed, step, _), i in places.items():
        if (base, seed, step, base) not in places:
            raise Invalid(f"evaluations[{i}]: missing is {_name(base, seed, step, base)}")
    if all(row["config"] in _BASES for row in rows):
        raise Invalid("evaluations: no pair among them")
    for base in _BASES:
        own = [row for row in rows if row["base"] == base]
        values = (dict.fromkeys(row[name] for row in own) for name in INDEX)
        for index in itertools.product(*values):
            if index not in places:
                raise Invalid(f"evaluations: missing is {_name(*index)}, which other agents have")


def _name(base: str, seed: int, step: int, config: str) -> str:
    return f"{base} seed {seed} step {step} config {config}"


def _obs_size(value: Any, key: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or 128 % value:
        raise checks.wrong(key, value, "null or a divisor of 128")
    return value


_OBSERVATION: dict[str, checks.Check] = {
    "obs": partial(checks.choice, allowed=("pixels", "state")),
    "obs_size": _obs_size,
    "pooling": partial(checks.choice, allowed=("mean", "max")),
    "art": partial(checks.choice, allowed=("shipped", "external")),
}
_FIELDS: dict[str, checks.Check] = {
    "schema": partial(checks.choice, allowed=(SCHEMA,)),
    "algorithm": partial(checks.label, longest=LABEL_LENGTH),
    "description": checks.text,
    "protocol": partial(checks.choice, allowed=PROTOCOLS),
    "observation": partial(checks.mapping, fields=_OBSERVATION, optional={}),
    "training_steps": partial(checks.integer, low=0),
    "episodes": partial(checks.integer, low=1),
    "actions": partial(checks.choice, allowed=ACTIONS),
    "commands": checks.texts,
    "machine": checks.free_mapping,
    "evaluations": checks.items,
}
_OPTIONAL: dict[str, Any] = {"description": "", "commands": [], "machine": {}}
_ROW_FIELDS: dict[str, checks.Check] = {
    "base": partial(checks.choice, allowed=_BASES),
    "seed": partial(checks.integer, low=0),
    "step": partial(checks.integer, low=0),
    "config": checks.text,
} | {
    name: partial(checks.number, low=_BOUNDS.get(name, _ANY)[0], high=_BOUNDS.get(name, _ANY)[1])
    for name in METRICS
}
