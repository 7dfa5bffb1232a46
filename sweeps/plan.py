"""What a run is: an algorithm, a task, and trials that differ in seed, config or environment.

A plan is plain data. It is written to ``plan.json`` before anything else, and a folder belongs to
the plan that it holds.
"""

import dataclasses
import difflib
import importlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

import envs
import kagebench
from algorithms.common.task import Task
from envs.options import cast_leaf, param_leaves, replace_leaf
from sweeps.fields import image_options, is_named

FORMAT = 1


class PlanError(ValueError):
    """A plan that cannot be run; one line that says why."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training.

    seed: of all randomness of the trial.
    config: the algorithm's ``Config``.
    env: position among the task's environments; 0 if it has only one.
    """

    seed: int
    config: Any
    env: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """Trials of one algorithm on one task.

    algorithm: name of the module, for example "algorithms.ppo".
    task: arguments of :func:`build_task` as plain data.
    trials: in order; a trial's number is its position.
    """

    algorithm: str
    task: Mapping[str, Any]
    trials: tuple[Trial, ...]

    @property
    def module(self) -> ModuleType:
        """The algorithm itself."""
        return importlib.import_module(self.algorithm)

    def groups(self) -> list[list[int]]:
        """Numbers of the trials that one program can run: those with equal static fields."""
        groups: dict[Any, list[int]] = {}
        for number, trial in enumerate(self.trials):
            groups.setdefault(jax.tree.structure(trial.config), []).append(number)
        return list(groups.values())


@struct.dataclass
class StackedTask(Task):
    """An environment with several sets of parameters: leaves have a leading axis."""

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation, equal for all of them."""
        first = jax.tree.map(lambda leaf: leaf[0], self.params)
        return Task(self.env, first).observation_shape


def grid(
    algorithm: str,
    task: Mapping[str, Any],
    config: Any,
    seeds: Iterable[int],
    axes: Mapping[str, Sequence[Any]] | None = None,
) -> Plan:
    """All combinations of config values, environments and seeds.

    Args:
        algorithm: name of the module.
        task: see :func:`describe_task`; if it holds several environments, all of them are used.
        config: the algorithm's ``Config``, base of all trials.
        seeds: of each combination.
        axes: field of the config -> values. Leaves vary within one program; every value of a
            static field is a program of its own.

    Raises:
        PlanError: a field does not exist, or there is nothing to run.
    """
    axes = dict(axes or {})
    names = [field.name for field in dataclasses.fields(config)]
    for name in axes:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f", did you mean {near[0]}" if near else ""
            raise PlanError(f"axes: {name!r} is no field of {algorithm}.Config{hint}")
    environments = range(count_environments(task) or 1)
    trials = tuple(
        Trial(seed, config.replace(**dict(zip(axes, values))), env)
        for *values, env, seed in itertools.product(*axes.values(), environments, list(seeds))
    )
    if not trials:
        raise PlanError("seeds, axes: no trial to run, give at least one value of each")
    return Plan(algorithm, dict(task), trials)


def stack(trials: Sequence[Trial]) -> tuple[jax.Array, Any]:
    """Keys (S,) and configs with leaves float32 (S,) of S trials with equal static fields."""
    keys = jax.vmap(jax.random.key)(jnp.array([trial.seed for trial in trials]))
    configs = jax.tree.map(lambda *leaves: jnp.array(leaves), *[trial.config for trial in trials])
    return keys, configs


def describe_task(
    env: Any,
    obs: str = "pixels",
    obs_size: int | None = None,
    pooling: str = "mean",
    assets: str | None = None,
) -> dict[str, Any]:
    """Plain data that says what a task is, independent of files that may change.

    Args:
        env: name of a shipped KAGE-Bench config, path of a YAML file, mapping, a list of these
            (one per trial and value of the seed), or a name of :func:`envs.list`.
        obs: "pixels" or "state".
        obs_size: side of block-reduced frames in pixels, None for full frames; of images of the
            family ``pixels``, None for its default; without meaning for other families.
        pooling: block reduction of smaller frames, "mean" or "max".
        assets: folder of an art pack, None for the shipped one.

    Raises:
        kagebench.config.ConfigError: a configuration is not valid.
    """
    if isinstance(env, str) and is_named(env):
        return {"env": env} | image_options(env, obs_size)
    described = [_describe_env(e) for e in env] if isinstance(env, list) else _describe_env(env)
    options = {"obs": obs, "obs_size": obs_size, "pooling": pooling, "assets": assets}
    return {"env": described, **options}


def count_environments(task: Mapping[str, Any]) -> int:
    """Over how many environments the parameters of a task are stacked; 0 if they are not.

    There are several if "env" is a list of KAGE-Bench configurations, or if an environment of
    another family comes with a list "params", whose entries change some of its parameters each.
    """
    if "params" in task:
        return len(task["params"])
    return len(task["env"]) if isinstance(task["env"], list) else 0


def build_task(task: Mapping[str, Any]) -> Task:
    """The task of a description; several environments stack its ``params`` along a leading axis.

    Args:
        task: see :func:`describe_task` and :func:`count_environments`.

    Raises:
        ValueError: the environment does not exist or its configuration is not valid.
    """
    env = task["env"]
    options = {name: value for name, value in task.items() if name not in ("env", "params")}
    if not isinstance(env, str) or not (is_named(env) or env.startswith("kage/")):
        kind = StackedTask if count_environments(task) else Task
        return kind(*kagebench.make(env, **options))
    environment, params = envs.make(env, **options)
    if not count_environments(task):
        return Task(environment, params)
    several = [_changed(env, params, changes) for changes in task["params"]]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([*map(jnp.asarray, leaves)]), *several)
    return StackedTask(environment, stacked)


def _changed(name: str, params: Any, changes: Mapping[str, Any]) -> Any:
    leaves = param_leaves(params)
    for key, value in changes.items():
        params = replace_leaf(params, key, cast_leaf(f"{name}: {key}", value, leaves[key]))
    return params


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values."""
    trials = [
        {"seed": trial.seed, "env": trial.env, "config": dataclasses.asdict(trial.config)}
        for trial in plan.trials
    ]
    return {
        "format": FORMAT,
        "algorithm": plan.algorithm,
        "task": dict(plan.task),
        "trials": trials,
    }


def from_json(data: Mapping[str, Any]) -> Plan:
    """The plan that :func:`to_json` gave."""
    config = importlib.import_module(data["algorithm"]).Config
    trials = tuple(
        Trial(trial["seed"], config(**trial["config"]), trial["env"]) for trial in data["trials"]
    )
    return Plan(data["algorithm"], data["task"], trials)


def difference(old: Any, new: Any, path: str = "") -> str | None:
    """The first place where two JSON values differ, in words; None if they are equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        pairs = [(f"{path}.{key}", old.get(key), new.get(key)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(old, new))]
    elif isinstance(old, list) and isinstance(new, list):
        return f"{path.lstrip('.')} has {len(old)} entries there and {len(new)} here"
    else:
        same = old == new and type(old) is type(new)
        return None if same else f"{path.lstrip('.')} is {old!r} there and {new!r} here"
    return next(filter(None, (difference(a, b, place) for place, a, b in pairs)), None)


def _describe_env(env: Any) -> Any:
    from kagebench.config import SHIPPED, load

    return env if isinstance(env, str) and env in SHIPPED else load(env)
