"""How a study's points are chosen.

Grid, random and Sobol search know all their points beforehand (``draw``). Optuna chooses the next
ones from the scores of those before (``ask`` and ``tell``, see `OptunaSearcher`).
"""

import dataclasses
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.stats import qmc

from kagebench.schema import show
from sweeps.domains import (
    MOST,
    Choice,
    Domain,
    LogUniform,
    Quantised,
    StudyError,
    Uniform,
    did_you_mean,
    unknown,
)
from sweeps.space import Point, Space

Mode = Literal["max", "min"]


@dataclasses.dataclass(frozen=True)
class Grid:
    """All combinations of the values."""

    method: ClassVar[str] = "grid"

    def draw(self, space: Space) -> list[Point]:
        """The points, see `sweeps.space.Space.grid`."""
        return space.grid()


@dataclasses.dataclass(frozen=True)
class Random:
    """Independent points. More of them with the same seed begin with the same ones.

    Attributes:
        points: how many.
        seed: of the points.
    """

    method: ClassVar[str] = "random"
    points: int
    seed: int = 0

    def draw(self, space: Space) -> list[Point]:
        """The points."""
        rows = np.random.default_rng(self.seed).random((self.points, len(space)))
        return [space.decode(row) for row in rows]


@dataclasses.dataclass(frozen=True)
class Sobol:
    """A scrambled Sobol sequence (Sobol 1967; Owen 1998): points that fill the space evenly.

    Of 2^k points exactly one lies in each 2^k-th part of the range of every parameter. More of them
    with the same seed begin with the same ones.

    Attributes:
        points: how many, best a power of two.
        seed: of the scrambling.
    """

    method: ClassVar[str] = "sobol"
    points: int
    seed: int = 0

    def draw(self, space: Space) -> list[Point]:
        """The points."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # other numbers than powers of two
            rows = qmc.Sobol(len(space), rng=np.random.default_rng(self.seed)).random(self.points)
        return [space.decode(row) for row in rows]


@dataclasses.dataclass(frozen=True)
class Optuna:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011; Akiba et al. 2019).

    Attributes:
        points: how many in all.
        batch: how many are chosen at a time, and run side by side.
        seed: of the sampler.
    """

    method: ClassVar[str] = "optuna"
    points: int
    batch: int = 16
    seed: int = 0

    def start(self, space: Space, mode: Mode) -> "OptunaSearcher":
        """A searcher that has seen no score.

        Args:
            space: of the points.
            mode: whether high ("max") or low ("min") scores are good.

        Raises:
            StudyError: optuna is not installed.
        """
        return OptunaSearcher(space, self, mode)


Search = Grid | Random | Sobol | Optuna
METHODS: dict[str, type[Any]] = {kind.method: kind for kind in (Grid, Random, Sobol, Optuna)}


class OptunaSearcher:
    """Asks Optuna for points and tells it their scores.

    The same calls in the same order give the same points, so a stopped search goes on by
    `replay`-ing what was told.
    """

    def __init__(self, space: Space, settings: Optuna, mode: Mode) -> None:
        optuna = _import_optuna()
        self._space, self._left = space, settings.points
        self._failed = optuna.trial.TrialState.FAIL
        with warnings.catch_warnings():
            # Points of a batch keep apart from each other; experimental before Optuna 5.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=settings.seed, multivariate=False, constant_liar=True
            )
        direction = "maximize" if mode == "max" else "minimize"
        self._study = optuna.create_study(sampler=sampler, direction=direction)
        self._waiting: list[tuple[Point, Any]] = []

    def ask(self, count: int) -> list[Point]:
        """The next points: `count`, or fewer where the search ends."""
        points = []
        for _ in range(min(count, self._left)):
            trial = self._study.ask()
            point = self._suggest(trial)
            self._waiting.append((point, trial))
            points.append(point)
        self._left -= len(points)
        return points

    def tell(self, points: Sequence[Point], scores: Sequence[float]) -> None:
        """Report the scores of points that were asked for; NaN where a point failed.

        Raises:
            StudyError: a point was not asked for, or has been told.
        """
        for point, score in zip(points, scores, strict=True):
            found = next((i for i, (one, _) in enumerate(self._waiting) if one == point), None)
            if found is None:
                raise StudyError(
                    f"optuna: got a score of {show(point)}, which it is not waiting for"
                )
            _, trial = self._waiting.pop(found)
            if math.isfinite(score):
                self._study.tell(trial, float(score))
            else:
                self._study.tell(trial, state=self._failed)

    def replay(self, batches: Iterable[tuple[Sequence[Point], Sequence[float]]]) -> None:
        """Repeat the batches of an earlier search: points asked for together, and their scores.

        Raises:
            StudyError: other points come out, as with another version of Optuna.
        """
        for number, (points, scores) in enumerate(batches):
            found = self.ask(len(points))
            if found != list(points):
                raise StudyError(
                    f"optuna: batch {number} comes out differently now; "
                    "go on with the version of Optuna that began the search"
                )
            self.tell(points, scores)

    def _suggest(self, trial: Any) -> Point:
        point: Point = {}
        for name in self._space.order:
            if self._space.exists(name, point):
                point[name] = _suggest_value(trial, name, self._space[name])
        return {name: point[name] for name in self._space if name in point}


def _suggest_value(trial: Any, name: str, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return domain.values[trial.suggest_categorical(name, range(len(domain.values)))]
    if isinstance(domain, Quantised):
        values = domain.values
        return values[trial.suggest_int(name, 0, len(values) - 1)]
    return trial.suggest_float(name, domain.low, domain.high, log=isinstance(domain, LogUniform))


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise StudyError(
            "search.method: optuna needs the optuna extra: pip install 'kagebench[optuna]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def parse(data: object) -> Search:
    """A search from plain data, as in a study file.

    Raises:
        StudyError: names the key below ``search``, the value and what is allowed.
    """
    if not isinstance(data, Mapping) or "method" not in data:
        raise StudyError(f"search: got {show(data)}, allowed: a mapping with the key method")
    method = data["method"]
    if not isinstance(method, str) or method not in METHODS:
        hint = did_you_mean(method, METHODS)
        raise StudyError(f"search.method: got {show(method)}{hint}, allowed: {' '.join(METHODS)}")
    kind = METHODS[method]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    values = {str(key): value for key, value in data.items() if key != "method"}
    for key in values:
        if key not in fields:
            raise unknown(f"search.{key}", key, ["method", *fields])
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in values:
            raise StudyError(f"search.{name}: missing, allowed: a whole number")
    return kind(**values)


def to_data(search: Search) -> dict[str, Any]:
    """Plain data that `parse` makes the same search of."""
    return {"method": search.method, **dataclasses.asdict(search)}


def check(search: Search, space: Space) -> None:
    """See whether a search fits a space.

    Raises:
        StudyError: a number is not allowed, the space has no parameters to search, or what it says
            of a grid is for another method.
    """
    for name, value in dataclasses.asdict(search).items():
        least, most = (0, 2**31 - 1) if name == "seed" else (1, MOST)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise StudyError(
                f"search.{name}: got {show(value)}, allowed: a whole number in [{least}, {most}]"
            )
    if isinstance(search, Grid):
        for name in space:
            space.grid_values(name)
        return
    if not len(space):
        raise StudyError(f"search.method: got {search.method!r} without a space, allowed: grid")
    for name, domain in space.domains.items():
        if isinstance(domain, Uniform) and domain.points:
            raise StudyError(
                f"space.{name}.points: got {domain.points} with search.method "
                f"{search.method}, allowed: with grid only"
            )
