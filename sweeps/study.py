"""A study: what is searched, on what, with how many seeds, and what makes a trial good.

    study = Study(
        algorithm="ppo",
        preset="state",
        env="gymnax/CartPole-v1",
        seeds=4,
        set={"total_timesteps": 100_000},
        space={"learning_rate": space.loguniform(1e-4, 1e-2)},
        search=search.Random(points=128),
    )

is the same as `load` of a file with these keys (docs/sweeps.md). A study that exists names only
what exists: everything is checked when it is made.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import yaml

from kagebench.schema import show
from sweeps import domains as kinds
from sweeps import objective as objectives
from sweeps import scheduled, yaml_file
from sweeps import search as searches
from sweeps import space as spaces
from sweeps.domains import Choice, Domain, StudyError, Value, did_you_mean, unknown
from sweeps.fields import (
    FILES,
    PREFIX,
    Catalogue,
    Environment,
    Named,
    Unfit,
    image_options,
    is_named,
    to_type,
)
from sweeps.objective import Objective
from sweeps.search import Grid, Search
from sweeps.space import Point, Space

# Options of `kagebench.make` and their types.
OPTIONS: dict[str, Any] = {
    "obs": Literal["pixels", "state"],
    "obs_size": int | None,
    "pooling": Literal["mean", "max"],
    "assets": str | None,
}
DEFAULTS = {"obs": "pixels", "obs_size": None, "pooling": "mean", "assets": None}
AXES = ("algorithm", "env")
LAST_SEED = 2**31 - 1
SEEDS = "a number of them, a list, or text such as 1-10 or 1-3,7"


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A point made concrete.

    Attributes:
        algorithm: name of the module.
        config: its ``Config``.
        env: name of the environment, as in the study.
        params: what builds the environment: for KAGE-Bench a name or a configuration, for others
            the parameters that differ from their own.
        structure: environments of different structure need programs of their own.
        options: of the environment's constructor.
        named: whether it is of another family than KAGE-Bench.
    """

    algorithm: str
    config: Any
    env: str
    params: Any
    structure: Any
    options: Mapping[str, Any]
    named: bool


@dataclasses.dataclass(frozen=True, init=False)
class Study:
    """A study in its normal form.

    Attributes:
        algorithm, env: names; None where they are parameters of the space.
        preset: of the algorithm, where all trials start.
        task: arguments of the environments' constructor; of KAGE-Bench obs, obs_size, pooling,
            assets.
        seeds: every point is run with each of them.
        set: changes to the preset and to the environment (``env.NAME``) in all trials.
        space: what is searched.
        search: how.
        objective: what makes a trial good.
        scheduler: which trials go on, as `sweeps.scheduled.parse` takes it; None: all do.
        catalogue: what can be varied.
    """

    algorithm: str | None
    env: str | None
    preset: str
    task: Mapping[str, Any]
    seeds: tuple[int, ...]
    set: Mapping[str, Value]
    space: Space
    search: Search
    objective: Objective
    scheduler: Mapping[str, Any] | None
    catalogue: Catalogue = dataclasses.field(init=False, compare=False, repr=False)

    def __init__(
        self,
        algorithm: str | Sequence[str] | None = None,
        env: str | Sequence[str] | None = None,
        preset: str = "default",
        task: Mapping[str, Any] | None = None,
        seeds: int | str | Iterable[int] = 1,
        set: Mapping[str, Value] | None = None,
        space: Space | Mapping[str, Domain] | None = None,
        search: Search | None = None,
        objective: Objective | None = None,
        scheduler: Mapping[str, Any] | None = None,
    ) -> None:
        """Check everything and bring it into normal form.

        Args:
            algorithm: name of a module of ``algorithms``, or of any module if it has a dot; a list
                is one more parameter of the space.
            env: a name of `envs.list`, name or path of a KAGE-Bench configuration; a list is one
                more parameter of the space.
            preset, task, set, objective, scheduler: see the attributes.
            seeds: how many, from 0; or the seeds themselves; or text such as "1-10" or "1-3,7".
            space: its parameters are fields of the config, ``env.NAME``, "env" and "algorithm".
            search: by default a grid.

        Raises:
            StudyError: names the key, the value and what is allowed.
        """
        domains = dict(space.domains if isinstance(space, Space) else space or {})
        names, domains = _normal_axes({"algorithm": algorithm, "env": env}, domains)
        full = Space(located(domains, Path()))
        names["env"] = names["env"] and locate(names["env"], Path())
        modules, environments = (_values_of(axis, names[axis], full) for axis in AXES)
        only_named = all(isinstance(one, str) and is_named(one) for one in environments)
        known = Catalogue(modules, environments, task if only_named else None)
        changes = dict(set or {})
        normal = {
            **names,
            "preset": _check_preset(preset, known),
            "task": _check_task(dict(task or {}), known),
            "seeds": parse_seeds(seeds),
            "set": {name: _check_set(name, changes[name], full, known) for name in changes},
            "space": Space({name: _check_domain(name, full, known) for name in full}),
            "search": search or Grid(),
            "objective": objectives.check(objective or Objective()),
            "scheduler": scheduler,
            "catalogue": known,
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        searches.check(self.search, self.space)
        if self.rules and isinstance(self.search, searches.Optuna):
            raise StudyError("scheduler: got one with search.method optuna, allowed: one of both")

    @property
    def rules(self) -> scheduled.Settings | None:
        """Settings of the scheduler, None without one."""
        if self.scheduler is None:
            return None
        return scheduled.parse(self.scheduler, self.objective.metric, self.objective.mode)

    def role(self, name: str) -> str:
        """What kind of parameter of the space a name is; `Role` or "algorithm"."""
        return {"algorithm": "algorithm", "env": "environment"}.get(name) or self.catalogue.role(
            name
        )

    def resolve(self, point: Point) -> Resolved:
        """The algorithm, config and environment of a point.

        Raises:
            StudyError: the values of the environment contradict each other.
        """
        values = {"algorithm": self.algorithm, "env": self.env, **self.set, **point}
        algorithm, name = values.pop("algorithm"), values.pop("env")
        module, env = self.catalogue.modules[algorithm], self.catalogue.envs[name]
        table = self.catalogue.algorithm_fields[algorithm] | self.catalogue.env_fields[name]
        values = {key: table[key].convert(value) for key, value in values.items()}
        of_env = {key: value for key, value in values.items() if key.startswith(PREFIX)}
        fields = {key: value for key, value in values.items() if key not in of_env}
        params, structure = env.describe({key[len(PREFIX) :]: v for key, v in of_env.items()})
        return Resolved(
            algorithm=module.__name__,
            config=dataclasses.replace(module.PRESETS[self.preset], **fields),
            env=name,
            params=params,
            structure=structure,
            options=self._options(module, env),
            named=isinstance(env, Named),
        )

    def _options(self, module: ModuleType, env: Environment) -> dict[str, Any]:
        """Options of an environment: the study's; of KAGE-Bench, else the preset's."""
        preset = getattr(module, "PRESET_TASKS", {}).get(self.preset, {})
        if isinstance(env, Named):
            kage = any(not isinstance(one, Named) for one in self.catalogue.envs.values())
            chosen = {} if kage else dict(self.task)
            return image_options(env.name, preset.get("obs_size")) | chosen
        options = DEFAULTS | preset | self.task
        return options | ({"obs_size": None} if options["obs"] == "state" else {})


# --- Files ----------------------------------------------------------------------------------------


def load(path: str | Path) -> Study:
    """The study of a YAML file; paths in it are relative to its folder.

    Raises:
        StudyError: names file, key, value and what is allowed.
    """
    try:
        return parse(yaml_file.read(Path(path)), Path(path).parent)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error


def parse(data: object, folder: Path = Path()) -> Study:
    """A study from plain data.

    Args:
        data: the content of a file.
        folder: that paths are relative to.

    Raises:
        StudyError: names key, value and what is allowed.
    """
    if not isinstance(data, Mapping):
        raise StudyError(f"top level: got {show(data)}, allowed: a mapping of keys")
    _check_keys("", data, [field.name for field in dataclasses.fields(Study) if field.init])
    values = dict(data)
    for key in ("task", "set"):
        if not isinstance(values.get(key, {}), Mapping):
            raise StudyError(f"{key}: got {show(values[key])}, allowed: a mapping")
    if "env" in values:
        given = values["env"]
        several = isinstance(given, list | tuple)
        values["env"] = [locate(n, folder) for n in given] if several else locate(given, folder)
    if isinstance(assets := values.get("task", {}).get("assets"), str):
        values["task"] = values["task"] | {"assets": str((folder / assets).resolve())}
    if "space" in values:
        values["space"] = located(spaces.parse(values["space"]), folder)
    if "search" in values:
        values["search"] = searches.parse(values["search"])
    if "objective" in values:
        values["objective"] = objectives.parse(values["objective"])
    return Study(**values)


def to_data(study: Study) -> dict[str, Any]:
    """Plain data that `parse` makes the same study of."""
    data: dict[str, Any] = {
        "algorithm": study.algorithm,
        "preset": study.preset,
        "env": study.env,
        "task": dict(study.task),
        "seeds": list(study.seeds),
        "set": {name: kinds.thawed(value) for name, value in study.set.items()},
        "space": spaces.to_data(study.space),
        "search": searches.to_data(study.search),
        "objective": dataclasses.asdict(study.objective),
        "scheduler": study.scheduler,
    }
    return {key: value for key, value in data.items() if value not in (None, {})}


def dump(study: Study) -> str:
    """YAML text of a study with nothing left to defaults."""
    return yaml.safe_dump(to_data(study), sort_keys=False, default_flow_style=None, width=100)


def locate(name: Any, folder: Path) -> Any:
    """The name of an environment, with the path of a file made absolute."""
    if isinstance(name, str) and name.endswith(FILES):
        return str((folder / name).resolve())
    return name


def located(domains: Mapping[str, Domain], folder: Path) -> dict[str, Domain]:
    """The domains of a space with the paths among its environments made absolute."""
    found = dict(domains)
    for name, domain in domains.items():
        envs = domain.when.get("env") if isinstance(domain, Domain) else None
        if isinstance(envs, list | tuple):
            here = [locate(env, folder) for env in envs]
            found[name] = dataclasses.replace(domain, when={**domain.when, "env": here})
    if isinstance(found.get("env"), Choice):
        found["env"] = kinds.convert(found["env"], partial(locate, folder=folder))
    return found


def parse_seeds(seeds: object) -> tuple[int, ...]:
    """Seeds from a number of them, from themselves, or from text such as "1-10" or "1-3,7".

    Raises:
        StudyError: there are none, one is no seed, or one is there twice.
    """
    if isinstance(seeds, str):
        found = _expand(seeds)
    elif isinstance(seeds, bool) or not isinstance(seeds, int | Iterable):
        found = ()
    else:
        found = tuple(range(min(seeds, kinds.MOST)) if isinstance(seeds, int) else seeds)
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in found)
    if not found or not whole or not 0 <= min(found) <= max(found) <= LAST_SEED:
        raise StudyError(f"seeds: got {show(seeds)}, allowed: {SEEDS}")
    if len(frozenset(found)) < len(found):
        raise StudyError(f"seeds: got {show(seeds)}, allowed: each seed once")
    return found


def _expand(text: str) -> tuple[int, ...]:
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", part)
        if not match or int(match[2] or match[1]) - int(match[1]) >= kinds.MOST:
            return ()
        seeds.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(seeds)


# --- Checks ---------------------------------------------------------------------------------------


def _check_keys(prefix: str, data: Mapping[Any, Any], known: Sequence[str]) -> None:
    for key in data:
        if key not in known:
            raise unknown(f"{prefix}{key}", key, known)


def _normal_axes(
    given: Mapping[str, str | Sequence[str] | None], domains: Mapping[str, Domain]
) -> tuple[dict[str, Any], dict[str, Domain]]:
    """Algorithm and environment as one name each, or as first parameters of the space."""
    names: dict[str, Any] = {}
    axes: dict[str, Domain] = {}
    for axis, value in given.items():
        names[axis] = value
        if value is None and axis not in domains:
            raise StudyError(f"{axis}: missing, allowed: a name, or a list of names")
        if value is not None and axis in domains:
            raise StudyError(f"{axis}: also in space, allowed: one of the two")
        if isinstance(value, list | tuple):
            names[axis], axes[axis] = None, _named(axis, value)
    return names, {**axes, **domains}


def _named(axis: str, names: Sequence[str]) -> Choice:
    try:
        return Choice(tuple(names))
    except StudyError as error:
        raise StudyError(str(error).replace("choice", axis, 1)) from error


def _values_of(axis: str, name: str | None, space: Space) -> tuple[str, ...]:
    """All algorithms or environments of a study."""
    if name is not None:
        return (name,)
    domain = space[axis]
    if not isinstance(domain, Choice) or domain.when:
        raise StudyError(f"space.{axis}: got {domain.kind}, allowed: choice without a condition")
    return domain.values


def _check_preset(preset: object, known: Catalogue) -> Any:
    for name, module in known.modules.items():
        if preset not in module.PRESETS:
            hint = did_you_mean(preset, module.PRESETS)
            allowed = " ".join(module.PRESETS)
            raise StudyError(f"preset: got {show(preset)}{hint}, allowed for {name}: {allowed}")
    return preset


def _check_task(task: dict[str, Any], known: Catalogue) -> dict[str, Any]:
    if all(isinstance(env, Named) for env in known.envs.values()):
        return task  # the constructors have checked it
    _check_keys("task.", task, list(OPTIONS))
    for key in task:
        task[key] = _converted(f"task.{key}", partial(to_type, OPTIONS[key]), task[key])
    if task.get("obs") == "state" and "obs_size" in task:
        raise StudyError("task.obs_size: got a size for obs state, allowed: with obs pixels")
    if task.get("assets"):
        task["assets"] = str(Path(task["assets"]).resolve())
    return task


def _check_set(name: str, value: Value, space: Space, known: Catalogue) -> Value:
    if name in space:
        raise StudyError(f"set.{name}: also in space, allowed: one of the two")
    fields = _lookup(f"set.{name}", known, name, None, None)
    values = [_converted(f"set.{name}", field.convert, value) for field in fields]
    return values[0]


def _check_domain(name: str, space: Space, known: Catalogue) -> Domain:
    """A domain whose values fit every algorithm or environment in which the parameter exists."""
    domain, where = space[name], f"space.{name}"
    if name in AXES:
        return domain
    algorithms, envs = (space.possible(name, axis) for axis in AXES)
    fields = _lookup(where, known, name, algorithms, envs)
    if not fields:
        raise StudyError(f"{where}.when: never holds, allowed: conditions that can hold together")
    for field in fields:
        if domain.kind not in field.domains:
            allowed = " ".join(field.domains)
            raise StudyError(f"{where}: got {domain.kind}, allowed: {allowed}")
    try:
        converted = [kinds.convert(domain, field.convert) for field in fields]
    except Unfit as error:
        raise StudyError(f"{where}.{domain.kind}: {error}") from error
    except StudyError as error:
        raise StudyError(f"{where}.{error}") from error
    return converted[0]


def _lookup(where: str, known: Catalogue, name: str, algorithms: Any, envs: Any) -> list[Any]:
    try:
        return known.lookup(name, algorithms, envs)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from error


def _converted(where: str, convert: Any, value: Value) -> Value:
    try:
        return convert(value)
    except Unfit as error:
        raise StudyError(f"{where}: {error}") from error
