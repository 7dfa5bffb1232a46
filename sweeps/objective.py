"""What makes a trial of a study good."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from kagebench.schema import show
from sweeps.domains import StudyError, unknown


@dataclasses.dataclass(frozen=True)
class Objective:
    """Score of a trial: the mean of a metric over its last updates, without NaN.

    Attributes:
        metric: of the algorithm.
        mode: whether high or low scores are good.
        last: share of the updates, in (0, 1].
    """

    metric: str = "return"
    mode: Literal["max", "min"] = "max"
    last: float = 0.1


def parse(data: object) -> Objective:
    """The objective of a study file.

    Raises:
        StudyError: names key, value and what is allowed.
    """
    if not isinstance(data, Mapping):
        raise StudyError(f"objective: got {show(data)}, allowed: a mapping")
    known = [field.name for field in dataclasses.fields(Objective)]
    for key in data:
        if key not in known:
            raise unknown(f"objective.{key}", key, known)
    return Objective(**data)


def check(objective: Objective) -> Objective:
    """The objective itself.

    Raises:
        StudyError: a value is not allowed.
    """
    if not isinstance(objective.metric, str):
        raise StudyError(f"objective.metric: got {show(objective.metric)}, allowed: a name")
    if objective.mode not in ("max", "min"):
        raise StudyError(f"objective.mode: got {show(objective.mode)}, allowed: max min")
    last = objective.last
    if isinstance(last, bool) or not isinstance(last, int | float) or not 0 < last <= 1:
        raise StudyError(f"objective.last: got {show(last)}, allowed: a number in (0, 1]")
    return objective
