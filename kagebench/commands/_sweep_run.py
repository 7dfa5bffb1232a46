"""``kagebench sweep run``: run a study, or what an earlier call left undone."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from sweeps import memory, runner, space, study
from sweeps.pbt import Pbt
from sweeps.runner import Backend, Shard
from sweeps.space import StudyError
from sweeps.study import Study

SHOWN = 10


@dataclass(frozen=True)
class Args:
    """Run the trials of a study; the same command goes on after an interruption."""

    file: Annotated[Path, tyro.conf.Positional]
    """The study, a YAML file as in docs/sweeps.md."""
    out: Path | None = None
    """Folder of the results; by default runs/NAME for NAME.yaml."""
    backend: Literal["local", "ray"] = "local"
    """local: in this process, on all its devices; ray: on a cluster."""
    memory_fraction: float = memory.FRACTION
    """Share of the free memory that trials may use together."""
    shard: str = "1/1"
    """Part I of N of every group, as I/N, for job arrays; `kagebench sweep merge` joins them."""
    ray_address: str | None = None
    """Address of the cluster; by default RAY_ADDRESS, or one that is started on this machine."""
    ray_cpus: float = 1.0
    """Cores that a chunk needs on the cluster."""
    ray_gpus: float = 0.0
    """Accelerators that a chunk needs on the cluster."""


def run(args: Args) -> None:
    """Run and print the best points.

    Raises:
        ValueError: the study or an option is not valid, or the folder belongs to something else.
    """
    what = study.load(args.file)
    folder = args.out or Path("runs") / args.file.stem
    shard = parse_shard(args.shard)
    try:
        runner.run(
            what,
            folder,
            backend=choose_backend(args),
            memory_fraction=args.memory_fraction,
            shard=shard,
        )
    except StudyError as error:
        raise StudyError(f"{args.file}: {error}") from error
    console = Console(highlight=False)
    console.print(best_points(what, pl.read_parquet(folder / "trials.parquet")))
    console.print(f"results: {folder}\nreport: kagebench sweep report {folder}", soft_wrap=True)


def parse_shard(text: str) -> Shard:
    """The part that "I/N" means.

    Raises:
        ValueError: it means none.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise ValueError(f"shard: got {text!r}, allowed: I/N with 1 <= I <= N")
    return Shard(index, count)


def choose_backend(args: Args) -> Backend | None:
    """Where chunks run; None for this process."""
    if args.backend == "local":
        return None
    from sweeps import ray_backend

    return ray_backend.connect(args.ray_address, args.ray_cpus, args.ray_gpus)


def best_points(what: Study, trials: pl.DataFrame) -> Table:
    """The best points: mean score over seeds, the lowest and the highest, and the parameters."""
    objective = what.objective
    found = (
        trials.filter(status="finished")
        .group_by("point", maintain_order=True)
        .agg(
            pl.col("score").mean().alias("mean"),
            pl.col("score").min().alias("low"),
            pl.col("score").max().alias("high"),
            pl.len().alias("seeds"),
            *(pl.col(name).first() for name in what.space),
        )
        .sort("mean", descending=objective.mode == "max", nulls_last=True)
    )
    failed = trials.filter(status="failed").height
    waiting = trials.filter(status="waiting").height
    stopped = trials.filter(status="stopped").height
    counts = {"trials failed": failed, "stopped early": stopped, "not run": waiting}
    notes = [f"{count} {text}" for text, count in counts.items() if count]
    if isinstance(what.rules, Pbt):
        notes.append("parameters at the start; for what they became see decisions.parquet")
    table = Table(box=box.SIMPLE_HEAD, caption=", ".join(notes), caption_justify="left")
    for name in ("point", objective.metric, "lowest", "highest", "seeds"):
        table.add_column(name, justify="right")
    for name in what.space:
        table.add_column(name)
    for row in found.head(SHOWN).iter_rows(named=True):
        scores = (row[name] for name in ("mean", "low", "high"))
        table.add_row(
            str(row["point"]),
            *("-" if score is None else f"{score:.4g}" for score in scores),
            str(row["seeds"]),
            *(cell(row[name]) for name in what.space),
        )
    return table


def cell(value: Any) -> str:
    """A parameter's value, a fractional number with four digits."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else space.text(value)
