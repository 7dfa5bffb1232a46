"""A benchmark run: train on the bases once, evaluate every agent on all pairs of its base.

    benchmark.json                      settings, machine, commands
    training/BASE/seeds-1-5/            a run of the engine; more of them when seeds are added
    evaluation/BASE/seed-1/STEP.parquet one row per config and episode, after STEP training steps
    result.json, tables/                what the evaluations say

What exists is never done again, so a killed run goes on where it was, and runs with different seeds
in the same folder add up to one table. Both protocols evaluate the same agents:

* paired: after the last update, on one set of levels with one action noise for all agents and
  configurations, so that every gap is a paired difference.
* reference: as the benchmark's own trainer does, before training, every `EVERY` updates and after
  the last, each time on new levels, and on different ones for training and validation.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import polars as pl

from kagebench import machine
from kagebench.benchmark.result import Result
from kagebench.commands import _trained, train
from kagebench.commands._output import replacing
from kagebench.evaluate import METRICS
from kagebench.report.results import Evaluation, to_frame
from kagebench.suites import PAIRS, Pair
from sweeps import engine, store
from sweeps.plan import Plan, describe_task, difference, grid

Protocol = Literal["paired", "reference"]
Progress = Callable[[float], None]

EVERY = 50
# Offsets of the seeds of the reference's evaluations.
TRAIN_LEVELS, VALIDATION_LEVELS = 20_000, 10_000


@dataclass(frozen=True)
class Settings:
    """What a folder of results belongs to.

    Attributes:
        algorithm: module in the package algorithms.
        preset: its hyper-parameters.
        set: changes to them, as for ``kagebench train --set``.
        protocol: how agents are evaluated.
        episodes: per agent, configuration and evaluation.
        assets: folder of an art pack, None for the shipped one.
    """

    algorithm: str
    preset: str
    set: tuple[str, ...]
    protocol: Protocol
    episodes: int
    assets: str | None


def claim(folder: Path, settings: Settings, command: str) -> None:
    """Write the settings into a new folder, or check that it belongs to the same ones.

    Raises:
        ValueError: it holds something else; says what differs.
    """
    path, data = folder / "benchmark.json", json.loads(json.dumps(asdict(settings)))
    if not path.exists():
        if folder.exists() and any(entry.name != ".lock" for entry in folder.iterdir()):
            raise ValueError(f"out: {folder} holds files but no benchmark.json; choose another")
        folder.mkdir(parents=True, exist_ok=True)
        about = {"settings": data, "machine": machine.describe(), "commands": []}
    else:
        about = json.loads(path.read_text())
        if found := difference(about["settings"], data):
            raise ValueError(f"out: {folder} has other settings, {found}; choose another folder")
    if command not in about["commands"]:
        about["commands"].append(command)
        store.write_json(path, about)


def pairs_of(base: str) -> list[Pair]:
    """The pairs that train on a base."""
    return [pair for pair in PAIRS.values() if pair.base == base]


# --- Training -------------------------------------------------------------------------------------


def make_plan(settings: Settings, base: str, seeds: Sequence[int]) -> Plan:
    """The training of some seeds on a base.

    Raises:
        ValueError: the algorithm, the preset or a hyper-parameter does not exist.
    """
    module = train.find_algorithm(settings.algorithm)
    preset = train.known("preset", settings.preset, module.PRESETS)
    config = train.override(module.PRESETS[preset], settings.set)
    options = module.PRESET_TASKS.get(preset, {})
    task = describe_task(base, assets=settings.assets, **options)
    return grid(module.__name__, task, config, seeds)


def blocks(folder: Path, base: str, seeds: Iterable[int]) -> dict[Path, tuple[int, ...]]:
    """Folders of the trainings that together hold all seeds: those that exist, and a new one."""
    parent = folder / "training" / base
    existing = {path.parent: trained_seeds(path.parent) for path in parent.glob("*/plan.json")}
    wanted = set(seeds)
    chosen = {path: found for path, found in sorted(existing.items()) if wanted & set(found)}
    missing = tuple(sorted(wanted.difference(*existing.values())))
    return chosen | ({parent / f"seeds-{compress(missing)}": missing} if missing else {})


def trained_seeds(folder: Path) -> tuple[int, ...]:
    """Seeds of the agents in the folder of a training."""
    return tuple(trial.seed for trial in store.read_plan(folder).trials)


def compress(seeds: Sequence[int]) -> str:
    """Ascending seeds in short form: 1-3_7 for 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return "_".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def expand(text: str) -> tuple[int, ...]:
    """Seeds from text such as "1-5" or "1-3,7", ascending and without repeats.

    Raises:
        ValueError: it is no such text.
    """
    seeds: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise ValueError(f"seeds: got {text!r}, allowed: numbers and ranges such as 1-5 or 1,3")
        seeds.update(range(first, last + 1))
    return tuple(sorted(seeds))


def train_block(
    folder: Path, settings: Settings, base: str, block: Path, seeds: Sequence[int]
) -> None:
    """Train some seeds on a base, or what is left of it, with the reference's evaluations."""
    plan = make_plan(settings, base, seeds)
    visit = None
    if settings.protocol == "reference":
        evaluation = partial(visit_agents, folder, settings, base, plan)
        visit = engine.Visit(EVERY, evaluation)
    engine.run(plan, block, visit=visit)


# --- Evaluation -----------------------------------------------------------------------------------


def evaluation_path(folder: Path, base: str, seed: int, step: int) -> Path:
    """File of the episodes of one agent after `step` training steps."""
    return folder / "evaluation" / base / f"seed-{seed}" / f"{step}.parquet"


def evaluate_block(
    folder: Path, settings: Settings, base: str, block: Path, progress: Progress
) -> None:
    """Evaluate the trained agents of a block that have not been evaluated, on common levels."""
    trained = _trained.load_trained(block)
    plan = store.read_plan(block)
    config = plan.trials[0].config
    step = config.num_updates * config.steps_per_update
    paths = [evaluation_path(folder, base, seed, step) for seed in trained.seeds]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    if not missing:
        return
    keys = _trained.level_keys(0, settings.episodes)
    for done, index in enumerate(missing):
        values = _trained.evaluate_configs(
            trained.module,
            configurations(base),
            trained.options,
            one(trained.agents, index),
            keys,
            progress=partial(_share, progress, done, len(missing)),
        )
        save(paths[index], base, trained.seeds[index], values)


def visit_agents(
    folder: Path,
    settings: Settings,
    base: str,
    plan: Plan,
    group: engine.Group,
    updates: int,
    states: Any,
) -> None:
    """Evaluate agents in training as the reference does: on levels of their own."""
    options = {name: value for name, value in plan.task.items() if name != "env"}
    sources = configurations(base)
    for index, trial in enumerate(plan.trials):
        agent = one((states, group.configs), index)
        parts = [
            _trained.evaluate_configs(
                plan.module,
                some,
                options,
                agent,
                reference_keys(trial.seed + offset + updates, settings.episodes),
            )
            for some, offset in ((sources[:1], TRAIN_LEVELS), (sources[1:], VALIDATION_LEVELS))
        ]
        values = {name: np.concatenate([part[name] for part in parts], 1) for name in METRICS}
        step = updates * trial.config.steps_per_update
        save(evaluation_path(folder, base, trial.seed, step), base, trial.seed, values)


def reference_keys(seed: int, episodes: int) -> jax.Array:
    """Keys of the episodes of one of the reference's evaluations."""
    return jax.random.split(jax.random.key(seed), episodes)


def configurations(base: str) -> list[Any]:
    """The base and the validation configurations of its pairs."""
    return [base, *(pair.validation for pair in pairs_of(base))]


def save(path: Path, base: str, seed: int, values: Any) -> None:
    """Write the episodes of one agent, metrics [1, C, E]."""
    names = (base, *(pair.name for pair in pairs_of(base)))
    frame = to_frame(Evaluation("agent", (seed,), names, values))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        frame.drop("policy", "agent").write_parquet(part)


# --- Results --------------------------------------------------------------------------------------


def collect(folder: Path) -> Result:
    """The result of all agents whose training and evaluation are finished.

    Raises:
        ValueError: the folder holds no benchmark, or no finished agent.
    """
    path = folder / "benchmark.json"
    if not path.exists():
        raise ValueError(f"{folder}: holds no benchmark (benchmark.json not found)")
    about = json.loads(path.read_text())
    plans = sorted(folder.glob("training/*/*/plan.json"))
    finished = [path.parent for path in plans if (path.parent / "metrics.parquet").exists()]
    agents = [(block.parent.name, seed) for block in finished for seed in trained_seeds(block)]
    frames = [found for agent in agents if (found := agent_means(folder, *agent)) is not None]
    if not frames:
        raise ValueError(f"{folder}: no agent is trained and evaluated yet")
    plan = store.read_plan(finished[0])
    config = plan.trials[0].config
    settings = about["settings"]
    return Result(
        algorithm=settings["algorithm"],
        protocol=settings["protocol"],
        observation=observation(plan.task),
        training_steps=config.num_updates * config.steps_per_update,
        episodes=settings["episodes"],
        actions="sampled",
        evaluations=pl.concat(frames),
        commands=tuple(about["commands"]),
        machine=about["machine"],
    )


def agent_means(folder: Path, base: str, seed: int) -> pl.DataFrame | None:
    """Means over episodes of one agent: base, seed, step, config, metrics; None before any."""
    paths = evaluation_path(folder, base, seed, 0).parent.glob("*.parquet")
    frames = [
        pl.read_parquet(path).with_columns(
            pl.lit(base).alias("base"),
            pl.lit(seed, pl.Int64).alias("seed"),
            pl.lit(int(path.stem), pl.Int64).alias("step"),
        )
        for path in paths
    ]
    if not frames:
        return None
    values = [pl.col(name).cast(pl.Float64).mean() for name in METRICS]
    return pl.concat(frames).group_by("base", "seed", "step", "config").agg(values)


def observation(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the agents of a task saw, as a result file says it."""
    art = "external" if task["assets"] else "shipped"
    return {name: task[name] for name in ("obs", "obs_size", "pooling")} | {"art": art}


def one(tree: Any, index: int) -> Any:
    """Entry `index` of the leading axis of a pytree's leaves, with this axis kept."""
    return jax.tree.map(lambda leaf: leaf[index : index + 1], tree)


def _share(progress: Progress, done: int, total: int, share: float) -> None:
    progress((done + share) / total)
