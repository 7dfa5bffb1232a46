"""``kagebench eval``: evaluate a trained run under visual shifts, on shared levels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

from kagebench import config as configs
from kagebench import machine
from kagebench.commands import _trained
from kagebench.commands._output import check_output
from kagebench.commands._trained import Trained
from kagebench.oracle import POLICIES
from kagebench.report.results import print_tables, summary
from kagebench.suites import get_pair, get_suite
from sweeps.engine import use_compile_cache
from sweeps.store import write_json


@dataclass(frozen=True)
class Args:
    """Evaluate the agents of a run on their training config and on shifts of it.

    Without --configs, --suite and --pair: on all pairs that train on this config.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that `kagebench train` wrote."""
    configs: tuple[str, ...] = ()
    """Shipped configs or YAML files to evaluate on."""
    suite: str = ""
    """Evaluate on the pairs of this suite that train on the run's config."""
    pair: str = ""
    """Evaluate on this pair."""
    episodes: int = 128
    """Levels, the same for all agents and configs."""
    seed: int = 0
    """Chooses the levels."""
    greedy: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take the most likely action instead of sampling."""
    policies: tuple[str, ...] = ("oracle", "random")
    """Scripted policies to compare with: oracle, random, right, right_jump, noop."""
    json: Path | None = None
    """File for the results."""


def run(args: Args) -> None:
    """Evaluate, print the table, write the JSON.

    Raises:
        ValueError: an option is not valid or the folder holds no suitable run.
    """
    if args.episodes < 1:
        raise ValueError(f"episodes: got {args.episodes}, must be at least 1")
    for name in args.policies:
        if name not in POLICIES:
            raise ValueError(f"policies: got {name!r}, allowed: {' '.join(POLICIES)}")
    if args.json:
        check_output(args.json, (".json",))
    trained = _trained.load_trained(args.folder)
    shifts = choose_shifts(trained, args.configs, args.suite, args.pair)
    keys = _trained.level_keys(args.seed, args.episodes)
    use_compile_cache()
    console = Console(highlight=False)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("evaluating", total=1.0)
        found = _trained.evaluate_trained(
            trained, shifts, keys, args.greedy, lambda share: bar.update(task, completed=share)
        )
    evaluations = [found]
    if args.policies:
        evaluations += _trained.evaluate_scripted(args.policies, trained, shifts, keys)
    tables = {found.policy: summary(found) for found in evaluations}
    print_tables(console, tables, f"{len(trained.seeds)} seeds, {args.episodes} shared levels")
    if args.json:
        write_json(args.json, _report(args, trained, tables))
        console.print(f"results: {args.json}", soft_wrap=True)


def choose_shifts(
    trained: Trained, sources: tuple[str, ...], suite: str, pair: str
) -> dict[str, _trained.Config]:
    """Name -> config of what to evaluate on, besides the training configuration.

    Raises:
        ValueError: a name is unknown or given twice, or a pair trains on something else.
    """
    if sum(map(bool, (sources, suite, pair))) > 1:
        raise ValueError("configs, suite, pair: only one of them may be given")
    if sources:
        named = {Path(source).stem: configs.load(source) for source in sources}
        if len(named) < len(sources):
            raise ValueError(f"configs: names are not unique: {' '.join(sources)}")
        return named
    wanted = get_suite(suite) if suite else (get_pair(pair),) if pair else None
    pairs = _trained.pairs_of(trained.config, *([wanted] if wanted else []))
    if wanted and not pairs:
        bases = sorted({pair.base for pair in wanted})
        option = f"suite: {suite}" if suite else f"pair: {pair}"
        raise ValueError(
            f"{option} trains on {' and '.join(bases)}, this run was trained on {trained.name}"
        )
    return {pair.name: pair.validation for pair in pairs}


def _report(args: Args, trained: Trained, tables: dict) -> dict:
    return {
        "run": str(args.folder),
        "train": trained.name,
        "observation": dict(trained.options),
        "greedy": args.greedy,
        "level_seed": args.seed,
        "results": [entry for entries in tables.values() for entry in entries],
        "machine": machine.describe(),
    }
