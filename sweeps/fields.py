"""What can be varied: the fields of an algorithm's ``Config``, and the parameters of environments.

A parameter of an environment is called ``env.NAME``; NAME is a key of a KAGE-Bench configuration
(``env.filters.brightness``, see :mod:`kagebench.schema`) or, of the other environments of
:func:`envs.make`, a number among their parameters (``env.gravity``).
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

import jax.numpy as jnp
import numpy as np

import algorithms
import envs
from envs.options import param_leaves
from envs.registry import FAMILIES
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
class Named:
    """An environment of :func:`envs.make` of any family but ``kage``.

    Attributes:
        name: "FAMILY/NAME".
        defaults: its parameters.
    """

    name: str
    defaults: Any

    def fields(self) -> dict[str, Field]:
        """The parameters that are numbers or bools, as ``env.NAME``."""
        kinds = {"b": bool, "i": int, "u": int, "f": float}
        return {
            PREFIX + name: _typed("environment", kinds[np.dtype(jnp.result_type(leaf)).kind])
            for name, leaf in param_leaves(self.defaults).items()
            if not np.shape(leaf)
        }

    def describe(self, changes: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
        """The changes themselves, and what tells environments apart that need programs apart."""
        return dict(changes), self.name


Environment = Kage | Named


def find_env(name: object, options: Mapping[str, Any] | None = None) -> Environment:
    """The environment of a name: one of :func:`envs.list`, the name of a shipped KAGE-Bench
    configuration ("base-a"), or the path of a YAML file.

    Args:
        name: the name.
        options: arguments of its constructor, unless it is KAGE-Bench's.

    Raises:
        StudyError: there is none, or an option is not valid.
    """
    if not isinstance(name, str):
        raise StudyError(f"env: got {show(name)}, allowed: the name or path of an environment")
    if is_named(name):
        try:
            return Named(name, envs.make(name, **(options or {}))[1])
        except ValueError as error:
            text = str(error)
            raise StudyError(text if text.startswith("env: ") else f"task: {text}") from error
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
    known = [*configs.SHIPPED, *envs.list()]
    raise StudyError(
        f"env: got {name!r}{did_you_mean(name, known)}, allowed: FAMILY/NAME as in `kagebench envs "
        f"list`, a path ending in .yaml, or one of {' '.join(configs.SHIPPED)}"
    )


def is_named(name: str) -> bool:
    """Whether :func:`envs.make` builds the environment from nothing but its name and options."""
    family, slash, _ = name.partition("/")
    return bool(slash) and family in FAMILIES and family != "kage" and not name.endswith(FILES)


def image_options(name: str, obs_size: int | None) -> dict[str, Any]:
    """Options of a named environment that a preset's size of images amounts to: only the family
    ``pixels`` has images of a size to choose, None is its default."""
    sized = obs_size is not None and name.startswith("pixels/")
    return {"obs_size": obs_size} if sized else {}


def _read_kage(path: str) -> Kage:
    """The configuration of a file, which must be valid."""
    env = Kage(path, path, {})
    try:
        env.describe({})
    except StudyError as error:
        raise StudyError(f"env: {error}") from error
    return env


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

    def __init__(
        self,
        algorithms: Iterable[str],
        envs: Iterable[str],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Look everything up.

        Args:
            algorithms, envs: names.
            options: arguments of the environments' constructors, unless they are KAGE-Bench's.

        Raises:
            StudyError: an algorithm, environment or option does not exist.
        """
        self.modules = {name: find_algorithm(name) for name in algorithms}
        self.envs = {name: find_env(name, options) for name in envs}
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
