"""``kagebench sweep merge``: join the shards of a study."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import polars as pl
import tyro
from rich.console import Console

from kagebench.commands._sweep_run import best_points
from sweeps import merge, study


@dataclass(frozen=True)
class Args:
    """Join the finished trials of several folders of one study into a new folder.

    `kagebench sweep run` with this folder runs what is missing.
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders that `kagebench sweep run --shard I/N` wrote."""
    out: Path
    """The new folder."""


def run(args: Args) -> None:
    """Join and print the best points.

    Raises:
        ValueError: the folders do not fit each other.
    """
    if not args.folders:
        raise ValueError("folders: got none, allowed: one or more")
    merge.merge(args.folders, args.out)
    console = Console(highlight=False)
    what = study.load(args.out / "study.yaml")
    console.print(best_points(what, pl.read_parquet(args.out / "trials.parquet")))
    console.print(f"results: {args.out}", soft_wrap=True)
