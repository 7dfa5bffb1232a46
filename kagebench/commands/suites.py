"""``kagebench suites``: the train/validation pairs and what they change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from kagebench.schema import SCHEMA, flatten, nearest, show
from kagebench.suites import EXPERIMENTS, PAIRS, SUITES, Experiment, Pair, effective

_MISSING, _EMPTY = "-", (None, [])


@dataclass(frozen=True)
class Args:
    """List the train/validation pairs; for one of them, what changes between the two configs."""

    name: Annotated[str, tyro.conf.Positional] = ""
    """A pair (background-5), a suite (background) or an additional experiment (radial_light);
    everything if left out."""
    diff: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """For a suite or everything: also show what changes in every pair."""


def run(args: Args) -> None:
    """Print the tables.

    Raises:
        ValueError: nothing has that name.
    """
    console = Console(highlight=False, markup=False)
    if not args.name:
        _overview(console)
        chosen: Iterable[Pair] = PAIRS.values() if args.diff else ()
    elif args.name in SUITES:
        console.print(pairs_table(args.name, SUITES[args.name]))
        chosen = SUITES[args.name] if args.diff else ()
    elif args.name in PAIRS:
        chosen = (PAIRS[args.name],)
    elif args.name in EXPERIMENTS:
        console.print(experiment_table(EXPERIMENTS[args.name]))
        chosen = ()
    else:
        raise ValueError(_unknown(args.name))
    for pair in chosen:
        console.print(diff_table(pair))


def changes(train: Mapping[str, Any], validation: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Dotted key -> (value in training, value in validation) of all keys with an influence."""
    sides = flatten(effective(train)), flatten(effective(validation))
    keys = [key for key in SCHEMA if any(key in side for side in sides)]
    texts = {
        key: tuple(_text(side[key]) if side.get(key) not in _EMPTY else _MISSING for side in sides)
        for key in keys
    }
    return {key: (a, b) for key, (a, b) in texts.items() if a != b}


def pairs_table(suite: str, pairs: Iterable[Pair]) -> Table:
    """One row per pair: what it trains on and which keys its definition sets."""
    table = _table(suite, "pair", "trains on", "validation sets")
    for pair in pairs:
        table.add_row(pair.name, pair.base, _settings(pair.changes))
    return table


def experiment_table(experiment: Experiment) -> Table:
    """One row per validation configuration of an additional experiment."""
    table = _table(experiment.name, "label", "trains on", "validation sets")
    for label, new in experiment.changes.items():
        table.add_row(label, experiment.base, _settings(new) or "nothing")
    return table


def diff_table(pair: Pair) -> Table:
    """One row per key that differs between the two configurations of a pair."""
    table = _table(pair.name, "key", f"train ({pair.base})", "validation")
    for key, (old, new) in changes(pair.train, pair.validation).items():
        table.add_row(key, old, new)
    return table


def _overview(console: Console) -> None:
    for suite, pairs in SUITES.items():
        console.print(pairs_table(suite, pairs))
    for experiment in EXPERIMENTS.values():
        console.print(experiment_table(experiment))
    console.print(f"{len(PAIRS)} pairs in {len(SUITES)} suites, {len(EXPERIMENTS)} experiments")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _settings(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_text(value)}" for key, value in changes.items())


def _text(value: Any) -> str:
    """A value as in a YAML file, on one line."""
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return value if isinstance(value, str) else show(value)


def _unknown(name: str) -> str:
    known = [*SUITES, *EXPERIMENTS, *PAIRS]
    near = nearest(name, known)
    hint = f" (did you mean {near}?)" if near else ""
    return f"name: got {name!r}{hint}, allowed: {' '.join([*SUITES, *EXPERIMENTS])}, or a pair"
