"""Domains: the values that one parameter of a study may take, and the conditions on it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, ClassVar

from kagebench.schema import nearest, show

Value = Any
When = Mapping[str, tuple[Value, ...]]

MOST = 1_000_000  # points of a study, values of a lattice


class StudyError(ValueError):
    """A study that cannot be run; one line naming key, value and what is allowed."""


@dataclass(frozen=True)
class Choice:
    """One of some values, all equally likely; lists are kept as tuples."""

    kind: ClassVar[str] = "choice"
    values: tuple[Value, ...]
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(frozen(value) for value in self.values))
        if not self.values:
            raise StudyError("choice: got no value, allowed: one or more")
        for index, value in enumerate(self.values):
            if contains(self.values[:index], value):
                raise StudyError(f"choice: got {show(value)} twice, allowed: different values")

    @property
    def arguments(self) -> list[Value]:
        """As in a study file."""
        return [thawed(value) for value in self.values]

    def at(self, u: float) -> Value:
        """The value at the coordinate `u` in [0, 1)."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


@dataclass(frozen=True)
class Uniform:
    """A number between two others.

    Attributes:
        low, high: ends, both included.
        points: how many evenly spaced values a grid has, ends included; None if it has none.
    """

    kind: ClassVar[str] = "uniform"
    low: float
    high: float
    points: int | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_ends(self)
        if self.points is not None and not (_is_whole(self.points) and 2 <= self.points <= MOST):
            raise StudyError(f"points: got {show(self.points)}, allowed: a whole number >= 2")

    @property
    def arguments(self) -> list[Value]:
        """As in a study file."""
        return [self.low, self.high]

    def at(self, u: float) -> float:
        """The value at the coordinate `u` in [0, 1): the inverse of the distribution function."""
        return min(self.low + u * (self.high - self.low), self.high)

    def lattice(self) -> tuple[float, ...]:
        """Evenly spaced values; those inside rounded to 12 digits, so that 0.3 is 0.3."""
        points = self.points or 0
        inner = (_rounded(self.at(i / (points - 1))) for i in range(1, points - 1))
        return (self.low, *inner, self.high)


@dataclass(frozen=True)
class LogUniform(Uniform):
    """A positive number between two others whose logarithm is evenly distributed."""

    kind: ClassVar[str] = "loguniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise StudyError(f"loguniform: got {show(self.arguments)}, allowed: two numbers > 0")

    def at(self, u: float) -> float:
        """The value at the coordinate `u` in [0, 1)."""
        width = math.log(self.high) - math.log(self.low)
        return min(self.low * math.exp(u * width), self.high)


@dataclass(frozen=True)
class Quantised:
    """One of the values low, low + step, ..., high, all equally likely; exact in decimals."""

    kind: ClassVar[str] = "quantised"
    low: float
    high: float
    step: float
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_ends(self)
        object.__setattr__(self, "step", _plain(self.step))
        if not _is_number(self.step) or self.step <= 0:
            raise StudyError(f"quantised: got a step of {show(self.step)}, allowed: a number > 0")
        low, high, step = self._decimals()
        if (high - low) % step:
            last = float(high - (high - low) % step)
            raise StudyError(
                f"quantised: got {show(self.arguments)}, allowed: whole steps, "
                f"the last value before {self.high} is {last:g}"
            )
        if (high - low) / step >= MOST:
            raise StudyError(f"quantised: got {show(self.arguments)}, allowed: {MOST:,} values")

    @property
    def arguments(self) -> list[Value]:
        """As in a study file."""
        return [self.low, self.high, self.step]

    @property
    def values(self) -> tuple[float, ...]:
        """All values."""
        return tuple(self._value(index) for index in range(self._count()))

    def at(self, u: float) -> float:
        """The value at the coordinate `u` in [0, 1)."""
        return self._value(min(int(u * self._count()), self._count() - 1))

    def _count(self) -> int:
        low, high, step = self._decimals()
        return int((high - low) / step) + 1

    def _value(self, index: int) -> float:
        low, _, step = self._decimals()
        kind = int if all(isinstance(number, int) for number in self.arguments) else float
        return kind(low + index * step)

    def _decimals(self) -> tuple[Decimal, Decimal, Decimal]:
        low, high, step = (Decimal(repr(number)) for number in self.arguments)
        return low, high, step


Domain = Choice | Uniform | LogUniform | Quantised
KINDS: dict[str, type[Any]] = {kind.kind: kind for kind in (Choice, Uniform, LogUniform, Quantised)}


def choice(*values: Value) -> Choice:
    """One of the values."""
    return Choice(values)


def uniform(low: float, high: float, points: int | None = None) -> Uniform:
    """A number in [low, high]; `points` values of it in a grid."""
    return Uniform(low, high, points)


def loguniform(low: float, high: float, points: int | None = None) -> LogUniform:
    """A number in [low, high], evenly in its logarithm; `points` values of it in a grid."""
    return LogUniform(low, high, points)


def quantised(low: float, high: float, step: float) -> Quantised:
    """One of low, low + step, ..., high."""
    return Quantised(low, high, step)


def conditional(domain: Domain, when: Mapping[str, Sequence[Value]]) -> Domain:
    """The domain of a parameter that exists only where others do and have one of some values.

    Args:
        domain: of the parameter.
        when: name of another parameter -> the values of it; all of them must hold.
    """
    return replace(domain, when=dict(when))


def convert(domain: Domain, change: Callable[[Value], Value]) -> Domain:
    """The domain with all its values changed by a function."""
    if isinstance(domain, Choice):
        return replace(domain, values=tuple(change(value) for value in domain.values))
    ends = {"low": change(domain.low), "high": change(domain.high)}
    if isinstance(domain, Quantised):
        ends["step"] = type(ends["low"])(domain.step)
        if ends["step"] != domain.step:
            raise StudyError(f"quantised: got a step of {domain.step}, allowed: a whole number")
    return replace(domain, **ends)


# --- Pieces ---------------------------------------------------------------------------------------


def unknown(where: str, word: object, known: Iterable[str]) -> StudyError:
    """The error for a key that does not exist."""
    known = list(known)
    hint = did_you_mean(word, known)
    return StudyError(f"{where}: unknown key{hint or ', allowed: ' + ' '.join(known)}")


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """ " (did you mean ...?)", or nothing if no known word is alike."""
    near = nearest(word, known)
    return f" (did you mean {near}?)" if near else ""


def contains(values: Iterable[Value], value: Value) -> bool:
    """Whether a value is among others; unlike in Python, true is not 1."""
    truth = isinstance(value, bool)
    return any(one == value and isinstance(one, bool) == truth for one in values)


def frozen(value: Value) -> Value:
    """The value with lists as tuples, and numbers as int or float."""
    return tuple(frozen(one) for one in value) if isinstance(value, list | tuple) else _plain(value)


def thawed(value: Value) -> Value:
    """The value with tuples as lists."""
    return [thawed(one) for one in value] if isinstance(value, list | tuple) else value


def _check_ends(domain: Any) -> None:
    for name in ("low", "high"):
        object.__setattr__(domain, name, _plain(getattr(domain, name)))
    if not (_is_number(domain.low) and _is_number(domain.high) and domain.low < domain.high):
        raise StudyError(
            f"{domain.kind}: got {show(domain.arguments)}, allowed: numbers LOW < HIGH"
        )


def _plain(value: Any) -> Any:
    """A number of any kind, numpy's too, as an int or a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _rounded(number: float) -> float:
    return float(f"{number:.12g}")
