"""What a study searches: the values that parameters may take, and when they exist at all.

    from sweeps import space

    space.Space({
        "learning_rate": space.loguniform(1e-4, 1e-2),
        "num_envs": space.choice(64, 128),
        "clip_vloss": space.choice(False, True),
        "vf_coef": space.conditional(space.uniform(0.1, 1.0), {"clip_vloss": [True]}),
    })

A *point* is a dict with one value per parameter that exists there. Points are read off the unit
cube, one coordinate per parameter, so that whatever fills the cube evenly (random numbers, a Sobol
sequence) fills the space evenly, and the same coordinates always are the same point.
"""

import graphlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kagebench.schema import show
from sweeps.domains import (
    KINDS,
    MOST,
    Choice,
    Domain,
    LogUniform,
    Quantised,
    StudyError,
    Uniform,
    Value,
    choice,
    conditional,
    contains,
    did_you_mean,
    frozen,
    loguniform,
    quantised,
    thawed,
    uniform,
    unknown,
)

__all__ = [
    "Choice",
    "Domain",
    "LogUniform",
    "Point",
    "Quantised",
    "Space",
    "StudyError",
    "Uniform",
    "Value",
    "choice",
    "conditional",
    "describe",
    "describe_point",
    "did_you_mean",
    "loguniform",
    "parse",
    "quantised",
    "text",
    "to_data",
    "uniform",
    "unknown",
]

Point = dict[str, Value]


@dataclass(frozen=True, eq=False)
class Space:
    """Parameters in order, each with its domain.

    Attributes:
        domains: name -> domain.
        order: names, those in conditions before those that depend on them.

    Raises:
        StudyError: a condition names no parameter, a value that it never has, or itself.
    """

    domains: Mapping[str, Domain] = field(default_factory=dict)
    order: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        domains = {name: self._with_conditions(name) for name in self.domains}
        object.__setattr__(self, "domains", domains)
        object.__setattr__(self, "order", self._sorted())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return list(self.domains.items()) == list(other.domains.items())

    __hash__ = None  # pyright: ignore

    def __contains__(self, name: str) -> bool:
        return name in self.domains

    def __getitem__(self, name: str) -> Domain:
        return self.domains[name]

    def __len__(self) -> int:
        return len(self.domains)

    def __iter__(self) -> Iterator[str]:
        return iter(self.domains)

    def decode(self, row: Iterable[float]) -> Point:
        """The point at some coordinates.

        Args:
            row: one number in [0, 1) per parameter, in order; those of parameters that do not
                exist at the point have no influence.
        """
        values = {name: self[name].at(float(u)) for name, u in zip(self, row, strict=True)}
        exist: set[str] = set()
        for name in self.order:
            if self.exists(name, {parent: values[parent] for parent in exist}):
                exist.add(name)
        return {name: values[name] for name in self if name in exist}

    def grid(self) -> list[Point]:
        """All combinations of the values, each once; the last parameters vary fastest.

        Raises:
            StudyError: a parameter is continuous, or there are too many points.
        """
        points: list[Point] = [{}]
        for name in self.order:
            points = list(self._extended(points, name))
        return [{name: point[name] for name in self if name in point} for point in points]

    def possible(self, name: str, parent: str) -> tuple[Value, ...] | None:
        """The values that a parent can have where `name` exists; None if it can have any."""
        when = self[name].when
        found = [self.possible(other, parent) for other in when if other != parent]
        limits = [values for values in (when.get(parent), *found) if values is not None]
        if not limits:
            return None
        return tuple(v for v in limits[0] if all(contains(values, v) for values in limits))

    def grid_values(self, name: str) -> tuple[Value, ...]:
        """The values of a parameter in a grid.

        Raises:
            StudyError: it is continuous and does not say how many.
        """
        domain = self[name]
        if not isinstance(domain, Uniform):
            return domain.values
        if not domain.points:
            raise StudyError(
                f"space.{name}: {domain.kind} has no grid, "
                "allowed: choice, quantised, or with points: NUMBER"
            )
        return domain.lattice()

    def _extended(self, points: list[Point], name: str) -> Iterator[Point]:
        values = self.grid_values(name)
        here = [self.exists(name, point) for point in points]
        if len(points) + sum(here) * (len(values) - 1) > MOST:
            raise StudyError(f"space: the grid is too large, allowed: {MOST:,} points")
        for point, exists in zip(points, here, strict=True):
            yield from ({**point, name: value} for value in values) if exists else (point,)

    def exists(self, name: str, point: Point) -> bool:
        """Whether a parameter exists at a point that has all parents which exist."""
        conditions = self[name].when.items()
        return all(
            parent in point and contains(values, point[parent]) for parent, values in conditions
        )

    def _with_conditions(self, name: str) -> Domain:
        """A domain whose conditions are checked and plain."""
        domain, where = self.domains[name], f"space.{name}"
        if not isinstance(domain, Domain):
            raise StudyError(f"{where}: got {show(domain)}, allowed: a domain such as choice(1, 2)")
        when = {}
        for parent, values in domain.when.items():
            place = f"{where}.when.{parent}"
            if parent not in self.domains:
                raise StudyError(
                    f"{place}: no parameter of the space{did_you_mean(parent, self.domains)}"
                )
            when[parent] = _condition(place, parent, self.domains[parent], values)
        return replace(domain, when=when)

    def _sorted(self) -> tuple[str, ...]:
        sorter = graphlib.TopologicalSorter({name: () for name in self})
        for name in self:
            sorter.add(name, *self[name].when)
        try:
            return tuple(sorter.static_order())
        except graphlib.CycleError as error:
            names = error.args[1]
            raise StudyError(
                f"space.{names[0]}.when: circular ({' -> '.join(reversed(names))}), "
                "allowed: no way back to itself"
            ) from None


def _condition(
    where: str, parent: str, domain: Domain, values: Sequence[Value]
) -> tuple[Value, ...]:
    if not isinstance(domain, Choice | Quantised):
        raise StudyError(f"{where}: {parent} is continuous, allowed: a choice or quantised")
    if not isinstance(values, list | tuple) or not values:
        raise StudyError(f"{where}: got {show(values)}, allowed: a list of values of {parent}")
    known = domain.values
    for value in values:
        if not contains(known, frozen(value)):
            allowed = " ".join(text(one) for one in known[:10])
            raise StudyError(
                f"{where}: got {show(value)}, never a value of {parent}, allowed: {allowed}"
            )
    return tuple(frozen(value) for value in values)


# --- Plain data -----------------------------------------------------------------------------------

# What the kinds of domains take in a study file.
ARGUMENTS = {
    "choice": "a list of values",
    "uniform": "[LOW, HIGH]",
    "loguniform": "[LOW, HIGH]",
    "quantised": "[LOW, HIGH, STEP]",
}


def parse(data: object) -> dict[str, Domain]:
    """The domains of a space from plain data, as in a study file.

    Raises:
        StudyError: names the key below ``space``, the value and what is allowed.
    """
    if not isinstance(data, Mapping):
        raise StudyError(f"space: got {show(data)}, allowed: a mapping of parameters")
    return {str(name): _parse_domain(f"space.{name}", value) for name, value in data.items()}


def to_data(space: Space) -> dict[str, Any]:
    """Plain data that `parse` makes the same domains of."""
    return {name: _domain_data(domain) for name, domain in space.domains.items()}


def describe(domain: Domain) -> str:
    """A domain in one line, without its conditions."""
    numbers = " ".join(text(value) for value in domain.arguments)
    if isinstance(domain, Choice):
        return numbers
    points = f" ({domain.points} points)" if isinstance(domain, Uniform) and domain.points else ""
    return f"{domain.kind} {numbers}{points}"


def describe_point(point: Point) -> str:
    """A point in one line."""
    return ", ".join(f"{name} = {text(value)}" for name, value in point.items())


def text(value: Value) -> str:
    """A value as a person writes it."""
    return value if isinstance(value, str) else show(thawed(value))


def _domain_data(domain: Domain) -> dict[str, Any]:
    data: dict[str, Any] = {domain.kind: domain.arguments}
    if isinstance(domain, Uniform) and domain.points:
        data["points"] = domain.points
    if domain.when:
        data["when"] = {name: [thawed(v) for v in values] for name, values in domain.when.items()}
    return data


def _parse_domain(where: str, data: object) -> Domain:
    name, options = _parse_kind(where, data)
    arguments, when = options.pop(name), options.pop("when", None) or {}
    count = ARGUMENTS[name].count(",") + 1
    if not isinstance(arguments, list | tuple) or (name != "choice" and len(arguments) != count):
        raise StudyError(f"{where}.{name}: got {show(arguments)}, allowed: {ARGUMENTS[name]}")
    if not isinstance(when, Mapping):
        raise StudyError(f"{where}.when: got {show(when)}, allowed: a mapping of lists of values")
    try:
        domain = choice(*arguments) if name == "choice" else KINDS[name](*arguments)
        return replace(domain, when={str(k): v for k, v in when.items()}, **options)
    except StudyError as error:
        raise StudyError(f"{where}.{error}") from None


def _parse_kind(where: str, data: object) -> tuple[str, dict[str, Any]]:
    """Which kind of domain it is, and all its keys, which are known."""
    given = {str(key): value for key, value in data.items()} if isinstance(data, Mapping) else {}
    names = [key for key in given if key in KINDS]
    if len(names) != 1:
        hint = did_you_mean(next(iter(given)), KINDS) if given and not names else ""
        raise StudyError(f"{where}: got {show(data)}{hint}, allowed: one of {' '.join(KINDS)}")
    allowed = [*names, *(["points"] if issubclass(KINDS[names[0]], Uniform) else []), "when"]
    for key in given:
        if key not in allowed:
            raise unknown(f"{where}.{key}", key, allowed)
    return names[0], given
