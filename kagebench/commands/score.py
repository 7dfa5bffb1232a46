"""``kagebench score``: check a result file and print the benchmark's table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from kagebench.benchmark import result, scores, table, text
from kagebench.evaluate import METRICS


@dataclass(frozen=True)
class Args:
    """Check a result file, also one of another framework, and print its tables.

    The format is described in docs/submissions.md.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """The result, a JSON file."""
    statistic: Literal["last", "max", "mean", "median", "min"] = "last"
    """What stands for all checkpoints of an agent."""
    metric: str = "success_once"
    """Shown for every pair; the table of suites has several."""
    out: Path | None = None
    """Folder for the tables as Markdown, LaTeX and CSV."""


def run(args: Args) -> None:
    """Check, print, write.

    Raises:
        ValueError: the file is not a valid result, or the metric is unknown.
        OSError: the file cannot be read, or the folder not be made.
    """
    if args.metric not in METRICS:
        raise ValueError(f"metric: got {args.metric!r}, allowed: {' '.join(METRICS)}")
    found = result.read(args.file)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    own = scores.collect(found, args.statistic)
    suites, pairs = table.suites(own), table.pairs(own)
    caption = text.note(own)
    console = Console(highlight=False)
    text.print_table(console, suites)
    console.print()
    text.print_table(console, pairs, (args.metric,))
    console.print(f"\n{caption}")
    if args.out:
        for path in text.write(args.out, suites, pairs, caption):
            console.print(str(path), soft_wrap=True)
