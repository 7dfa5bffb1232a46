"""What is known of the results in the benchmark's paper (arXiv 2601.14232), from a data file."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One value.

    Attributes:
        suite, metric: as in our tables.
        split: "train", "validation", or "relative_gap" in percent.
        value: to the digits given.
        kind: "second-hand" if it was not read in the paper itself.
        source: where it was read.
    """

    suite: str
    metric: str
    split: str
    value: float
    kind: str
    source: str


@dataclass(frozen=True)
class Statement:
    """A result in words; `kind` and `source` as in `Published`."""

    text: str
    kind: str
    source: str


def values() -> dict[tuple[str, str, str], Published]:
    """(suite, metric, split) -> its value, where one is known."""
    return {
        (entry["suite"], entry["metric"], entry["split"]): Published(**entry)
        for entry in _content()["values"]
    }


def statements() -> tuple[Statement, ...]:
    """Results that are no cells of the table."""
    return tuple(Statement(**entry) for entry in _content()["statements"])


@cache
def _content() -> dict:
    return json.loads((files("kagebench.benchmark") / "published.json").read_text(encoding="utf-8"))
