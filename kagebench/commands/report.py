"""``kagebench report``: write a page from one or several results."""

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from kagebench.commands import _report
from kagebench.commands._report import Source
from kagebench.report import benchmark_page
from sweeps.engine import use_compile_cache
from sweeps.store import write_json

PAGE, MARKER = "index.html", "report.json"


@dataclass(frozen=True)
class Args:
    """Write a page that needs no network, with its tables and images beside it.

    One result gives its page, several a leaderboard with a section for each.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of benchmark runs, or result files."""
    out: Path = Path("runs/report")
    """Folder of the page; an earlier page there is replaced."""
    statistic: Literal["last", "max", "mean", "median", "min"] = "last"
    """What stands for all checkpoints of an agent."""


def run(args: Args) -> None:
    """Read, compute, draw, write.

    Raises:
        ValueError: an option is not valid, or a result cannot be read.
    """
    if not args.runs:
        raise ValueError("runs: none given, allowed: folders of benchmark runs, or result files")
    sources = _report.find(args.runs, args.statistic)
    use_compile_cache()
    console = Console(highlight=False, markup=False)
    with replacing_folder(args.out) as folder:
        command = command_line(args)
        (folder / PAGE).write_text(make_page(folder, sources, command, console), encoding="utf-8")
        results = {source.slug: str(source.file) for source in sources}
        about = {"command": command, "statistic": args.statistic, "results": results}
        write_json(folder / MARKER, about)
    size = (args.out / PAGE).stat().st_size / 1e6
    console.print(f"page: {args.out / PAGE} ({size:.1f} MB)", soft_wrap=True)


def make_page(folder: Path, sources: Sequence[Source], command: str, console: Console) -> str:
    """The page, after writing what lies beside it."""
    count = max(1, _report.CLIPS // len(sources))
    limit = _report.CLIP_BYTES // (count * len(sources))
    entries = []
    for source in sources:
        with console.status(f"{source.result.algorithm}: tables, plots, clips"):
            entries.append(_report.build(folder, source, count, limit))
    if len(entries) == 1:
        return benchmark_page.single(entries[0], command)
    with console.status("comparison"):
        board, chart, files = _report.compare(folder, sources)
    return benchmark_page.several(entries, board, chart, files, command)


def command_line(args: Args) -> str:
    """The command that does the same as these options."""
    words = ["kagebench", "report", *map(str, args.runs), "--out", str(args.out)]
    if args.statistic != "last":
        words += ["--statistic", args.statistic]
    return shlex.join(words)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder to write to; on success it takes the place of the page at `path`.

    Raises:
        ValueError: there is something else at `path`, or nothing can be written there.
    """
    allowed = "allowed: a new or empty folder, or one with an earlier page"
    if path.exists() and not path.is_dir():
        raise ValueError(f"out: got {str(path)!r}, a file, {allowed}")
    if path.is_dir() and any(path.iterdir()) and not (path / MARKER).is_file():
        raise ValueError(f"out: got {str(path)!r}, which holds something else, {allowed}")
    path = path.resolve()
    # Beside what exists, so that a failure leaves no empty folders behind.
    place = next(parent for parent in path.parents if parent.exists())
    part = place / f".{path.name}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    except OSError as error:
        raise ValueError(f"out: got {str(path)!r}, {place}: {error.strerror}") from error
    try:
        yield part
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
