"""What can be varied: the fields of an algorithm's ``Config``, and the parameters of environments.

A parameter of an environment is called ``env.NAME``; NAME is a key of a KAGE-Bench configuration
(``env.filters.brightness``, see :mod:`kagebench.schema`) or a field of a gymnax environment's
``EnvParams`` (``env.gravity``).
"""

import dataclasses
import functools
import importlib
import pkgutil
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, Literal

import gymnax

import algorithms
from kagebench import config as configs
from kagebench import schema
from kagebench.schema import show
from kagebench.suites import PAIRS
from sweeps.domains import StudyError, Value, did_you_mean, frozen, thawed

Role = Literal["traced", "static", "environment"]
PREFIX = "env."
REAL = ("choice", "uniform", "loguniform", "quantised")
WHOLE = ("choice", "quantised")
OTHER = ("choice",)
FILES = (".yaml", ".yml")  # how the path of a configuration ends


class Unfit(ValueError):
    """A value that a field cannot have: what it got and what is allowed."""


@dataclasses.dataclass(frozen=True)
class Field:
    """Something that can be varied.

    Attributes:
        role: a traced leaf of the config, a static field of it, or part of the environment.
        convert: function of a value, gives it in the type of the field or raises `Unfit`.
        domains: kinds of domains that make sense of it.
    """

    role: Role
    convert: Callable[[Value], Value]
    domains: tuple[str, ...]


# --- Algorithms -----------------------------------------------------------------------------------


def find_algorithm(name: object) -> ModuleType:
    """The module ``algorithms.NAME``, or any other module if the name has a dot.

    Raises:
        StudyError: there is none.
    """
    if not isinstance(name, str):
        raise StudyError(f"algorithm: got {show(name)}, allowed: the name of an algorithm")
    entries = pkgutil.iter_modules(algorithms.__path__)
    names = [entry.name for entry in entries if not entry.ispkg]
    if name in names:
        return importlib.import_module(f"algorithms.{name}")
    if "." not in name:
        hint = did_you_mean(name, names)
        raise StudyError(f"algorithm: got {show(name)}{hint}, allowed: {' '.join(names)}")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise StudyError(f"algorithm: got {show(name)}, cannot be imported ({error})") from error


def config_fields(module: ModuleType) -> dict[str, Field]:
    """The fields of an algorithm's ``Config`` by name."""
    annotations = typing.get_type_hints(module.Config)
    return {
        field.name: _typed(
            "traced" if field.metadata.get("pytree_node", True) else "static",
            annotations[field.name],
        )
        for field in dataclasses.fields(module.Config)
    }


def to_type(annotation: Any, value: Value) -> Value:
    """A value in the type of an annotation: bool, int, float, str, Literal or one of these | None.

    A whole number may be given for a float, and 1e5 for a whole number.

    Raises:
        Unfit: it has another type.
    """
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        kinds = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType]
        return None if value is None else to_type(kinds[0], value)
    if typing.get_origin(annotation) is Literal:
        names = typing.get_args(annotation)
        if isinstance(value, str) and value in names:
            return value
        hint = did_you_mean(value, names) if isinstance(value, str) else ""
        raise Unfit(f"got {show(value)}{hint}, allowed: {' '.join(names)}")
    nouns = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}
    if not _has_type(annotation, value):
        raise Unfit(f"got {show(thawed(value))}, allowed: {nouns[annotation]}")
    return annotation(value)


def _typed(role: Role, annotation: Any) -> Field:
    kinds = {annotation, *typing.get_args(annotation)}
    domains = REAL if float in kinds else WHOLE if int in kinds else OTHER
    return Field(role, functools.partial(to_type, annotation), domains)


def _has_type(kind: type[Any], value: Value) -> bool:
    if kind in (bool, str):
        return isinstance(value, kind)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    finite = abs(value) <= schema.FLOAT32_MAX
    return finite if kind is float else finite and value == int(value)


# --- Environments ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Kage:
    """A KAGE-Bench configuration.

    Attributes:
        name: as in the study.
        base: name of a shipped configuration, or a path.
        changes: dotted key -> value on top of it.
    """

    name: str
    base: str
    changes: Mapping[str, Value]

    def fields(self) -> dict[str, Field]:
        """The keys of the configuration as ``env.KEY``."""
        rules = schema.SCHEMA | {alias: rule for alias, (_, rule) in schema.ALIASES.items()}
        return {
            PREFIX + key: Field(
                "environment",
                functools.partial(_to_key, rule),
                {"float": REAL, "int": WHOLE}.get(rule.kind, OTHER),
            )
            for key, rule in rules.items()
        }

    def describe(self, changes: Mapping[str, Value]) -> tuple[Any, tuple[int, int]]:
        """What builds the environment with some keys changed, and the size of its frames.

        Raises:
            StudyError: the keys contradict each other.
        """
        flat = {key: thawed(value) for key, value in {**self.changes, **changes}.items()}
        source = {"base": self.base, **schema.nest(flat)} if flat else self.base
        try:
            config = configs.load(source)
        except configs.ConfigError as error:
            raise StudyError(str(error).replace(f"{configs.FROM_DICT}: ", PREFIX, 1)) from error
        # Files may change, shipped configurations do not.
        shipped = self.base in configs.SHIPPED
        return source if shipped else config, (config["H"], config["W"])


@dataclasses.dataclass(frozen=True)
class Gymnax:
    """A gymnax environment.

    Attributes:
        name: "gymnax/ID".
        defaults: its ``EnvParams``.
    """

    name: str
    defaults: Any

    def fields(self) -> dict[str, Field]:
        """The parameters that are numbers or bools, as ``env.NAME``."""
        names = [field.name for field in dataclasses.fields(self.defaults)]
        kinds = {name: type(getattr(self.defaults, name)) for name in names}
        return {
            PREFIX + name: _typed("environment", kind)
            for name, kind in kinds.items()
            if kind in (bool, int, float)
        }

    def describe(self, changes: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
        """The changes themselves, and what tells environments apart that need programs apart."""
        return dict(changes), self.name


Environment = Kage | Gymnax


def find_env(name: object) -> Environment:
    """The environment of a name: "gymnax/ID", "kage/PAIR/train", "kage/PAIR/validation", the name
    of a shipped KAGE-Bench configuration ("base-a" or "kage/base-a"), or the path of a YAML file.

    Raises:
        StudyError: there is none.
    """
    if not isinstance(name, str):
        raise StudyError(f"env: got {show(name)}, allowed: the name or path of an environment")
    if name.startswith("gymnax/"):
        return _find_gymnax(name)
    short = name.removeprefix("kage/")
    pair, _, split = short.rpartition("/")
    if short in PAIRS:
        raise StudyError(f"env: got {name!r}, allowed: kage/{short}/train, kage/{short}/validation")
    if pair in PAIRS and split in ("train", "validation"):
        changes = PAIRS[pair].changes if split == "validation" else {}
        return Kage(name, PAIRS[pair].base, changes)
    if short in configs.SHIPPED:
        return Kage(name, short, {})
    if name.endswith(FILES):
        return _read_kage(name)
    known = [*configs.SHIPPED, *(f"gymnax/{one}" for one in gymnax.registered_envs)]
    known += [f"kage/{one}/{part}" for one in PAIRS for part in ("train", "validation")]
    raise StudyError(
        f"env: got {name!r}{did_you_mean(name, known)}, allowed: gymnax/NAME, kage/PAIR/train, "
        f"kage/PAIR/validation, a path ending in .yaml, or one of {' '.join(configs.SHIPPED)}"
    )


def _read_kage(path: str) -> Kage:
    """The configuration of a file, which must be valid."""
    env = Kage(path, path, {})
    try:
        env.describe({})
    except StudyError as error:
        raise StudyError(f"env: {error}") from error
    return env


def _find_gymnax(name: str) -> Gymnax:
    known = [f"gymnax/{one}" for one in gymnax.registered_envs]
    if name not in known:
        hint = did_you_mean(name, known)
        raise StudyError(f"env: got {name!r}{hint}, allowed: {' '.join(known)}")
    return Gymnax(name, gymnax.make(name.removeprefix("gymnax/"))[1])


def _to_key(rule: schema.Key, value: Value) -> Value:
    try:
        return frozen(schema.parse(rule, thawed(value)))
    except ValueError as error:
        raise Unfit(str(error)) from error


# --- Both -----------------------------------------------------------------------------------------


class Catalogue:
    """What can be varied in some algorithms and environments.

    Attributes:
        modules: name of an algorithm -> module.
        envs: name of an environment -> environment.
        algorithm_fields, env_fields: name of an algorithm or environment -> name -> field.
    """

    def __init__(self, algorithms: Iterable[str], envs: Iterable[str]) -> None:
        """Look everything up.

        Raises:
            StudyError: an algorithm or environment does not exist.
        """
        self.modules = {name: find_algorithm(name) for name in algorithms}
        self.envs = {name: find_env(name) for name in envs}
        self.algorithm_fields = {n: config_fields(m) for n, m in self.modules.items()}
        self.env_fields = {name: env.fields() for name, env in self.envs.items()}

    def lookup(
        self, name: str, algorithms: Iterable[Value] | None, envs: Iterable[Value] | None
    ) -> list[Field]:
        """The fields of a name in some of the algorithms or environments, by default in all.

        Raises:
            StudyError: one of them has no such field.
        """
        of_env = name.startswith(PREFIX)
        tables = self.env_fields if of_env else self.algorithm_fields
        chosen = envs if of_env else algorithms
        owners = list(tables if chosen is None else chosen)
        missing = [owner for owner in owners if name not in tables[owner]]
        if not missing:
            return [tables[owner][name] for owner in owners]
        having = ", ".join(owner for owner in tables if name in tables[owner])
        if having:
            parent = "env" if of_env else "algorithm"
            hint = f", allowed: with when: {{{parent}: [{having}]}}"
        else:
            hint = self._hint(name, tables[missing[0]])
        raise StudyError(f"no parameter of {missing[0]}{hint}")

    def role(self, name: str) -> Role:
        """What kind of parameter a name is, in the first algorithm or environment that has it."""
        tables = (*self.algorithm_fields.values(), *self.env_fields.values())
        return next(table[name].role for table in tables if name in table)

    def _hint(self, name: str, table: Mapping[str, Field]) -> str:
        """What may have been meant: anything alike, else all parameters if they are few."""
        tables = (*self.algorithm_fields.values(), *self.env_fields.values())
        near = did_you_mean(name, [one for known in tables for one in known])
        return near or (f", allowed: {' '.join(table)}" if len(table) <= 40 else "")
