"""``kagebench profile``: evaluate an agent along visual axes, find where it breaks."""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax.numpy as jnp
import tyro
from rich.console import Console
from rich.progress import Progress

from kagebench import config as configs
from kagebench import machine, profile_axes, profile_sweep, profiles
from kagebench.assets.loader import ENVIRONMENT_VARIABLE
from kagebench.commands import _profile_results, _trained
from kagebench.commands._output import check_range
from kagebench.evaluate import scripted
from kagebench.oracle import POLICIES
from kagebench.profile_axes import AXES, INTERACTING, MAX_VALUES, POINTS, Axis, Number
from kagebench.profile_sweep import Grid, Subject, Sweep
from kagebench.schema import show
from sweeps import store
from sweeps.engine import use_compile_cache

SETTINGS = "settings.json"
Data = dict[str, Any]


@dataclass(frozen=True)
class Args:
    """Evaluate the agents of a run along axes of the configuration, on shared levels.

    Without --axis: along the 20 axes of the generalization profile. With one: its response curve.
    With two: a grid. What is finished is kept, the same command goes on after an interruption.
    """

    agent: Path | None = None
    """Folder of a training run."""
    policy: str = ""
    """Instead of --agent: a scripted policy (oracle, random, right, right_jump, noop)."""
    config: str = ""
    """With --policy: the training config, a shipped one or a YAML file; by default base-a."""
    axis: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A numeric config key; may be given twice, with --interactions more often."""
    values: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """LO:HI:COUNT, or numbers and commas; one per --axis, or none for axes of the profile."""
    interactions: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Evaluate all pairs of the axes (by default six) on small grids instead."""
    points: int = POINTS
    """Values per axis where --values is not given."""
    episodes: int = 32
    """Levels, the same for all agents and values."""
    seed: int = 0
    """Chooses the levels."""
    greedy: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take the most likely action instead of sampling."""
    out: Path | None = None
    """Folder of the results; by default beside the agents, see docs/profiles.md."""


def run(args: Args) -> None:
    """Evaluate what is not yet evaluated, write data and figures, print the table.

    Raises:
        ValueError: an option is not valid, or the folder belongs to something else.
    """
    check_range("episodes", args.episodes, 1)
    check_range("points", args.points, 2, MAX_VALUES)
    axes = choose_axes(args)
    values = choose_values(args, axes)
    subject = choose_subject(args)
    grids = choose_grids(args, axes, values, subject)
    folder = args.out or default_folder(args)
    about = describe(args, subject)
    use_compile_cache()
    claim(folder, about, subject)
    console = Console(highlight=False)
    with store.lock(folder / ".lock"):
        sweeps = evaluate_all(folder, grids, subject, args, console)
        if args.interactions:
            if not args.values:
                strengths = [profiles.stress(profiles.describe_curve(sweep)) for sweep in sweeps]
                grids = pair_grids(axes, strengths, subject)
                sweeps = evaluate_all(folder, grids, subject, args, console)
            _profile_results.write_interactions(folder, sweeps, about, console)
        elif len(args.axis) == 2:
            _profile_results.write_grid(folder, sweeps[0], about, console)
        else:
            _profile_results.write_curves(folder, sweeps, about, console, whole=not args.axis)


# --- Options --------------------------------------------------------------------------------------


def choose_axes(args: Args) -> list[Axis]:
    """The axes that are given, or else the default ones.

    Raises:
        ValueError: a key is no axis, or their number is not what the options allow.
    """
    if len(args.axis) > 2 and not args.interactions:
        raise ValueError(
            f"axis: got {len(args.axis)}, allowed: one or two, more with --interactions"
        )
    if len(args.axis) == 1 and args.interactions:
        raise ValueError("axis: got 1 with --interactions, allowed: none, two or more")
    if args.axis:
        return [profile_axes.find(key) for key in args.axis]
    return [profile_axes.find(key) for key in INTERACTING] if args.interactions else list(AXES)


def choose_values(args: Args, axes: Sequence[Axis]) -> list[tuple[Number, ...]]:
    """Values of each axis that is given.

    Raises:
        ValueError: they are not what the options allow.
    """
    if args.values and len(args.values) != len(args.axis):
        raise ValueError(
            f"values: got {len(args.values)} for {len(args.axis)} axes, "
            "allowed: one per --axis, or none"
        )
    if args.values:
        return [profile_axes.parse_values(axis, text) for axis, text in zip(axes, args.values)]
    return [profile_axes.default_values(axis, args.points) for axis in axes]


def choose_grids(
    args: Args, axes: Sequence[Axis], values: Sequence[Sequence[Number]], subject: Subject
) -> list[Grid]:
    """What has to be evaluated, for interactions without values first of all the single axes.

    Raises:
        ValueError: an axis has no influence, two cannot be combined, or a configuration is not
            allowed.
    """
    if args.interactions or len(args.axis) == 2:
        profile_axes.check_grid(axes, subject.config)
    if args.interactions and args.values:
        return pair_grids(axes, values, subject)
    if len(args.axis) == 2 and not args.interactions:
        return [lay_out(axes, values, subject)]
    return [lay_out([axis], [own], subject) for axis, own in zip(axes, values)]


def pair_grids(
    axes: Sequence[Axis], values: Sequence[Sequence[Number]], subject: Subject
) -> list[Grid]:
    """A grid for every two axes."""
    pairs = itertools.combinations(range(len(axes)), 2)
    return [lay_out([axes[i], axes[j]], [values[i], values[j]], subject) for i, j in pairs]


def lay_out(axes: Sequence[Axis], values: Sequence[Sequence[Number]], subject: Subject) -> Grid:
    """A grid of which every configuration is allowed."""
    grid = profile_sweep.lay_out(axes, values, subject.config)
    profile_sweep.configurations(grid, subject.config, [range(size) for size in grid.shape])
    return grid


def choose_subject(args: Args) -> Subject:
    """The agents of a run, or a scripted policy.

    Raises:
        ValueError: there is no such run, policy or configuration.
    """
    if (args.agent is None) == (not args.policy):
        raise ValueError("agent, policy: give one of them")
    if args.agent is not None:
        if args.config:
            raise ValueError(f"config: got {args.config!r} with --agent, allowed: with --policy")
        found = _trained.load_trained(args.agent)
        return Subject(
            policy=found.algorithm,
            seeds=found.seeds,
            agents=found.agents,
            act=lambda env: partial(_trained.act, found.module, env, args.greedy),
            train=found.name,
            config=found.config,
            options=found.options,
        )
    if args.policy not in POLICIES:
        raise ValueError(f"policy: got {args.policy!r}, allowed: {' '.join(POLICIES)}")
    source = args.config or "base-a"
    return Subject(
        policy=args.policy,
        seeds=(0,),
        agents=jnp.zeros(1),
        act=lambda env: partial(scripted, POLICIES[args.policy]),
        train=Path(source).stem,
        config=configs.load(source),
        options={"obs": "pixels", "obs_size": None, "pooling": "mean", "assets": None},
    )


# --- The folder -----------------------------------------------------------------------------------


def default_folder(args: Args) -> Path:
    """Where results go: beside the agents."""
    if args.agent is None:
        return Path("runs") / f"{args.policy}-profile"
    place = args.agent.resolve()
    if place.parent.parent.name == "training":
        found = place.parents[2] / "profiles" / f"{place.parent.name}-{place.name}"
    elif place.name == "training":
        found = place.parent / "profile"
    else:
        found = place.parent / f"{place.name}-profile"
    return Path(os.path.relpath(found))


def describe(args: Args, subject: Subject) -> Data:
    """What every file of results says of its origin."""
    observation = {name: value for name, value in subject.options.items() if name != "assets"}
    own_art = subject.options.get("assets") or os.environ.get(ENVIRONMENT_VARIABLE)
    return {
        "schema": profiles.SCHEMA,
        "policy": subject.policy,
        "agent": str(args.agent) if args.agent else None,
        "train": subject.train,
        "seeds": list(subject.seeds),
        "episodes": args.episodes,
        "level_seed": args.seed,
        "actions": "greedy" if args.greedy else "sampled",
        "observation": {**observation, "art": "external" if own_art else "shipped"},
        "machine": machine.describe(),
    }


def claim(folder: Path, about: Data, subject: Subject) -> None:
    """Write the settings into a new folder, or check that it belongs to the same ones.

    Raises:
        ValueError: it holds something else; says what differs.
    """
    settings = {name: value for name, value in about.items() if name not in ("agent", "machine")}
    settings["config"] = subject.config
    settings["fingerprint"] = profile_sweep.fingerprint(subject.agents)
    path, data = folder / SETTINGS, json.loads(json.dumps(settings))
    if not path.exists():
        own = (".lock", f"{SETTINGS}.part")
        if folder.exists() and any(entry.name not in own for entry in folder.iterdir()):
            raise ValueError(f"out: {folder} holds files but no profile; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        store.write_json(path, data)
        return
    old = json.loads(path.read_text())
    for name in data:
        if old.get(name) != data[name]:
            raise ValueError(f"out: {folder} {_conflict(name, old, data)}; choose another folder")


def _conflict(name: str, old: Data, new: Data) -> str:
    if name == "fingerprint":
        return "holds a profile of other agents"
    if name == "config":
        return "holds a profile of another training config"
    return f"holds a profile with {name} {show(old.get(name))}, not {show(new[name])}"


# --- Evaluation -----------------------------------------------------------------------------------


def evaluate_all(
    folder: Path, grids: Sequence[Grid], subject: Subject, args: Args, console: Console
) -> list[Sweep]:
    """Sweeps of all grids; what a file holds is not evaluated again."""
    keys = _trained.level_keys(args.seed, args.episodes)
    frames = not args.interactions or len(grids[0].axes) == 1
    place = folder / ("sweeps" if frames else "pairs")  # without frames, which grids have
    paths = [place / f"{grid.name}-{grid.digest}.npz" for grid in grids]
    missing = sum(not path.exists() for path in paths)
    if missing < len(grids):
        console.print(f"{len(grids) - missing} of {len(grids)} evaluated by an earlier call")
    with Progress(console=console, transient=True) as bar:
        total = bar.add_task(f"{missing} evaluations", total=missing)
        part = bar.add_task("", total=1.0, visible=False)
        for number, (grid, path) in enumerate(zip(grids, paths), start=1):
            if path.exists():
                continue
            bar.update(part, description=grid.name, completed=0.0, visible=True)
            report = partial(_advance, bar, part)
            sweep = profile_sweep.run(grid, subject, keys, frames, report)
            profile_sweep.save(sweep, path)
            bar.advance(total)
            line = f"{number}/{len(grids)} {grid.name}: {sweep.seconds:.0f} s"
            console.print(line, style="dim", soft_wrap=True)
    return [profile_sweep.load(path) for path in paths]


def _advance(bar: Progress, task: Any, share: float) -> None:
    bar.update(task, completed=share)
