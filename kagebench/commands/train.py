"""``kagebench train``: train an algorithm on one configuration."""

import dataclasses
import importlib
import pkgutil
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import polars as pl
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

import algorithms
from kagebench.schema import nearest
from sweeps import engine, store
from sweeps.plan import Plan, describe_task, grid

SHOWN = ("success_once", "passed_distance", "return")


@dataclass(frozen=True)
class Args:
    """Train on one config; the same command goes on after an interruption."""

    config: str = "base-a"
    """Name of a shipped config, or path of a YAML file."""
    algorithm: str = "ppo"
    """A module of the package algorithms."""
    preset: str = "default"
    """Hyper-parameters to start from; also decides what the agent observes."""
    seeds: int = 3
    """Number of agents, trained with the seeds 0, 1, ..."""
    out: Path = Path("runs/train")
    """Folder of the results."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A hyper-parameter as FIELD=VALUE; may be given several times."""
    obs: Literal["pixels", "state"] | None = None
    """What the agent observes, if not what the preset says."""
    obs_size: int | None = None
    """Side of the low-resolution track in pixels, if not what the preset says."""
    assets: str | None = None
    """Folder of an art pack; the shipped one if not given."""


def run(args: Args) -> None:
    """Train and print the last metrics.

    Raises:
        ValueError: an option is not valid, or the folder belongs to another run.
    """
    plan = make_plan(args)
    folder = engine.run(plan, args.out)
    console = Console(highlight=False)
    console.print(metrics_table(folder))
    console.print(f"results: {folder}\nevaluate: kagebench eval {folder}", soft_wrap=True)


def make_plan(args: Args) -> Plan:
    """The plan that the options describe."""
    if args.seeds < 1:
        raise ValueError(f"seeds: got {args.seeds}, must be at least 1")
    module = find_algorithm(args.algorithm)
    preset = known("preset", args.preset, module.PRESETS)
    options = dict(module.PRESET_TASKS.get(preset, {}))
    options |= {
        name: value
        for name, value in (("obs", args.obs), ("obs_size", args.obs_size))
        if value is not None
    }
    if options.get("obs") == "state":
        options.pop("obs_size", None)
    task = describe_task(args.config, assets=args.assets, **options)
    config = override(module.PRESETS[preset], args.set)
    return grid(module.__name__, task, config, range(args.seeds))


def find_algorithm(name: str) -> ModuleType:
    """The module ``algorithms.NAME``.

    Raises:
        ValueError: there is none.
    """
    names = [entry.name for entry in pkgutil.iter_modules(algorithms.__path__) if not entry.ispkg]
    return importlib.import_module(f"algorithms.{known('algorithm', name, names)}")


def override(config: Any, settings: typing.Iterable[str]) -> Any:
    """A config with ``FIELD=VALUE`` texts applied.

    Raises:
        ValueError: a field does not exist or a value does not have its type.
    """
    types_of = typing.get_type_hints(type(config))
    fields = [field.name for field in dataclasses.fields(config)]
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"set: {text!r} is not of the form FIELD=VALUE")
        name = known("set", name.strip().replace("-", "_"), fields)
        config = dataclasses.replace(config, **{name: _parse(name, value.strip(), types_of[name])})
    return config


def metrics_table(folder: Path) -> Table:
    """The metrics of every seed, averaged over the last tenth of the run."""
    metrics = store.read_metrics(folder).collect()
    last = metrics.filter(pl.col("step") > 0.9 * pl.col("step").max())
    names = [name for name in SHOWN if name in metrics.columns]
    values = last.group_by("seed", maintain_order=True).agg(
        pl.col(name).filter(pl.col(name).is_not_nan()).mean() for name in names
    )
    table = Table(box=box.SIMPLE_HEAD, caption="means of the last tenth of training")
    table.add_column("seed")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for seed, *row in values.iter_rows():
        table.add_row(str(seed), *("-" if value is None else f"{value:.2f}" for value in row))
    return table


def _parse(name: str, text: str, kind: Any) -> Any:
    """A value of the field's type."""
    if typing.get_origin(kind) is Literal:
        return known(f"set {name}", text, typing.get_args(kind))
    if kind is bool:
        return known(f"set {name}", text.lower(), ("true", "false")) == "true"
    if isinstance(kind, types.UnionType) and text.lower() == "none":
        return None
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"set {name}: got {text!r}, must be a number") from None
    if kind is int and number != int(number):
        raise ValueError(f"set {name}: got {text!r}, must be a whole number")
    return int(number) if kind is int else number


def known(kind: str, name: str, names: typing.Iterable[str]) -> str:
    """The name itself.

    Raises:
        ValueError: it is not among `names`; suggests the nearest.
    """
    names = list(names)
    if name in names:
        return name
    near = nearest(name, names)
    hint = f" (did you mean {near}?)" if near else ""
    raise ValueError(f"{kind}: got {name!r}{hint}, allowed: {' '.join(names)}")
