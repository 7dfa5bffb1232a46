"""Experiments as data: a study or a measurement, the claim it tests, and how it is judged."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import stats

from sweeps.study import Study


class Verdict(NamedTuple):
    """What an experiment says about a claim.

    outcome: "reproduced"; "partly", a part of the claim; "not", nothing of it, or too few seeds to
        tell; "measured" where nothing is claimed.
    summary: one line with the numbers that decide it.
    """

    outcome: Literal["reproduced", "partly", "not", "measured"]
    summary: str


class Point(NamedTuple):
    """A point of a finished study.

    values: its parameters.
    scores: float64 (S,), of its seeds, the same ones in all points.
    """

    values: Mapping[str, Any]
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Sweep:
    """An experiment that is a study.

    Attributes:
        key: its name within the module.
        paper: authors, year, title or arXiv number.
        claim: what the paper says, in one line; what is measured, if it claims nothing.
        where: the option of the algorithm that the paper is, empty for the file itself.
        study: makes the study.
        judge: the verdict, given its points.
    """

    key: str
    paper: str
    claim: str
    study: Callable[[], Study]
    judge: Callable[[list[Point]], Verdict]
    where: str = ""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """An experiment that is a computation of its own, for example on a table of values.

    Attributes:
        key, paper, claim, where: as in :class:`Sweep`.
        env: what it is measured on.
        measure: gives rows of numbers and the verdict.
    """

    key: str
    paper: str
    claim: str
    env: str
    measure: Callable[[], tuple[list[dict[str, Any]], Verdict]]
    where: str = ""


Experiment = Sweep | Measurement


def find(points: list[Point], **values: Any) -> Point:
    """The only point with these parameters.

    Raises:
        LookupError: there is none, or there are several.
    """
    found = [p for p in points if all(p.values.get(name) == v for name, v in values.items())]
    if len(found) != 1:
        raise LookupError(f"{len(found)} points with {values}")
    return found[0]


def interval(scores: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Student's t interval of a mean over seeds; both ends are the mean where all are equal.

    With the 3 to 8 seeds of most experiments, percentiles of a bootstrap would be too narrow: they
    cannot leave the range of the scores, and of 5 scores cover the mean 5 times in 6.

    Raises:
        ValueError: fewer than two scores, which say nothing about how far they scatter.
    """
    count = len(scores)
    if count < 2:
        raise ValueError(f"scores: got {count}, need at least 2 for an interval")
    error = np.std(scores, ddof=1) / np.sqrt(count)
    half = stats.t.ppf((1 + level) / 2, count - 1) * error
    return float(np.mean(scores) - half), float(np.mean(scores) + half)


def difference(a: Point, b: Point, comparisons: int = 1) -> tuple[float, float, float]:
    """Mean of a minus b and its 95 % interval, paired by seed.

    Of several comparisons, of which the best one counts, all intervals hold at once (Bonferroni).
    """
    paired = a.scores - b.scores
    return float(paired.mean()), *interval(paired, 1 - 0.05 / comparisons)


def in_words(point: Point, digits: int = 1) -> str:
    """Mean score and interval, as "12.3 [11.0, 13.5]"."""
    low, high = interval(point.scores)
    return f"{point.scores.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def measured(points: list[Point]) -> Verdict:
    """The verdict of a curve: the score of every point."""
    texts = []
    for point in points:
        names = ", ".join(f"{name} {value}" for name, value in point.values.items())
        texts.append(f"{names}: {in_words(point)}" if names else in_words(point))
    return Verdict("measured", "; ".join(texts))
