"""What a benchmark page shows of each result: tables, plots, learning curves, clips, profiles."""

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kagebench.benchmark import published, result, scores, table, text
from kagebench.benchmark.resampling import RESAMPLES
from kagebench.benchmark.result import Result
from kagebench.benchmark.scores import Scores
from kagebench.benchmark.table import Row
from kagebench.commands import _report_clips
from kagebench.profiles import SCHEMA as PROFILE_SCHEMA
from kagebench.report import benchmark_charts as charts
from kagebench.report import curves, leaderboard, leaderboard_text
from kagebench.report.benchmark_page import Clip, Entry, Profile
from kagebench.report.leaderboard import Leaderboard
from sweeps import store

CLIPS = 6  # most of one page
CLIP_BYTES = 2_000_000  # of all clips together
_TABLES = {
    "suites": "by suite",
    "pairs": "by pair",
}
_PROFILE_FILES = {
    "profile.json": "generalization profile",
    "profile.png": "figure of the profile",
    "interactions.json": "interactions of axes",
    "interactions.png": "figure of the interactions",
}
_ALONE = "This result is a file alone: there are no learning curves, frames or videos to show."


@dataclass(frozen=True)
class Source:
    """A result, and where it lies.

    Attributes:
        file: the result.
        folder: of the run, None for a file alone.
        result: what the file holds.
        scores: of this result.
        slug: name of its folder beside the page.
    """

    file: Path
    folder: Path | None
    result: Result
    scores: Scores
    slug: str


def find(paths: Sequence[Path], statistic: str) -> list[Source]:
    """Read the results of runs.

    Args:
        paths: folders of benchmark runs, or result files.
        statistic: over checkpoints.

    Raises:
        ValueError: a path holds no valid result, or two results have the same label.
    """
    sources: list[Source] = []
    for path in paths:
        folder = path if path.is_dir() else None
        file = path / "result.json" if folder else path
        if not file.is_file():
            where = f"{path} holds no result.json" if folder else f"{path} does not exist"
            raise ValueError(
                f"runs: {where}, allowed: the folder of a finished run of kagebench reproduce, "
                "or a result file"
            )
        found = result.read(file)
        for other in sources:
            if other.result.algorithm == found.algorithm:
                raise ValueError(
                    f"runs: {other.file} and {file} are both called {found.algorithm!r}; "
                    'change "algorithm" in one of them'
                )
        slug = _slug(found.algorithm, [other.slug for other in sources])
        sources.append(Source(file, folder, found, scores.collect(found, statistic), slug))
    return sources


def build(folder: Path, source: Source, clips: int, limit: int) -> Entry:
    """Write everything about one result beside the page.

    Args:
        folder: of the page.
        source: the result.
        clips: number of pairs to show the agent on.
        limit: wanted size of a clip in bytes.
    """
    own = folder / source.slug
    own.mkdir()
    suites, pairs = (make(source.scores, RESAMPLES) for make in (table.suites, table.pairs))
    shutil.copyfile(source.file, own / "result.json")
    text.write(own, suites, pairs, text.note(source.scores))
    charts.suite_bars(suites, published.values(), own / "suites.png")
    charts.pair_gaps(pairs, own / "pairs.png")
    files = {"result.json": "one line per agent, checkpoint and configuration: means over levels"}
    if source.folder and (source.folder / "evaluation").is_dir():
        files["result.json"] += ", from evaluation/BASE/seed-N/STEP.parquet of the run"
    for name, words in _TABLES.items():
        files[f"{name}.csv"] = f"the table {words}: all metrics and statistics, unrounded"
        files[f"{name}.md"] = f"the table {words} in Markdown"
        files[f"{name}.tex"] = f"the table {words} in LaTeX, for the package booktabs"
        files[f"{name}.png"] = f"success once {words}"
    checkpoints = _checkpoints(own, source.result, files)
    learning, shown, absent = None, [], _ALONE
    if source.folder:
        learning = _curves(own, source.folder, files)
        shown, absent = _clips(own, source, pairs, clips, limit, files)
    profiles = _profiles(own, source.folder, files) if source.folder else []
    return Entry(
        slug=source.slug,
        result=source.result,
        scores=source.scores,
        suites=suites,
        pairs=pairs,
        bars=own / "suites.png",
        gaps=own / "pairs.png",
        checkpoints=checkpoints,
        curves=learning,
        clips=shown,
        profiles=profiles,
        absent=absent,
        files={f"{source.slug}/{name}": words for name, words in files.items()},
    )


def compare(folder: Path, sources: Sequence[Source]) -> tuple[Leaderboard, Path, dict[str, str]]:
    """Compare all results: the leaderboard, its plot, and the files that were written.

    Raises:
        ValueError: no pair was evaluated by all.
    """
    board = leaderboard.compute([source.scores for source in sources], charts.METRIC, RESAMPLES)
    chart = folder / "leaderboard.png"
    charts.comparison(board.rows, chart)
    files = leaderboard_text.write(folder, board)
    return board, chart, files | {chart.name: "success once in validation by suite"}


def _checkpoints(own: Path, found: Result, files: dict[str, str]) -> Path | None:
    if found.evaluations["step"].n_unique() < 2:
        return None
    charts.checkpoint_curves(found, own / "checkpoints.png")
    files["checkpoints.png"] = "evaluations during training, from result.json"
    return own / "checkpoints.png"


def _curves(own: Path, run: Path, files: dict[str, str]) -> Path | None:
    """Learning curves of all finished trainings of a run."""
    metrics = {
        base: pl.concat([store.read_metrics(block).collect() for block in blocks], how="diagonal")
        for base, blocks in _report_clips.trained_blocks(run).items()
    }
    lines = {
        base: curves.smooth(frame, charts.METRIC)
        for base, frame in metrics.items()
        if charts.METRIC in frame.columns
    }
    lines = {base: frame for base, frame in lines.items() if not frame.is_empty()}
    if not lines:
        return None
    charts.base_curves(lines, own / "curves.png")
    columns = [frame.select(pl.lit(base).alias("base"), pl.all()) for base, frame in lines.items()]
    pl.concat(columns).write_csv(own / "curves.csv")
    files["curves.png"] = "success once in training"
    files["curves.csv"] = "the lines of this plot, from training/BASE/*/metrics.parquet of the run"
    return own / "curves.png"


def _clips(
    own: Path, source: Source, pairs: Sequence[Row], count: int, limit: int, files: dict[str, str]
) -> tuple[list[Clip], str]:
    """Clips of the worst pairs, and why there are none or not of all suites."""
    assert source.folder
    blocks = _report_clips.trained_blocks(source.folder)
    names = _report_clips.worst_pairs(pairs, blocks, count)
    if not names:
        return [], f"No frames: there are no trained agents in {source.folder}/training."
    if absent := _report_clips.other_art(source.result, blocks):
        return [], absent
    clips = _report_clips.draw(own / "clips", blocks, names, limit)
    for clip in clips:
        files[f"clips/{clip.gif.name}"] = f"the agent in training and under {clip.pair}"
        files[f"clips/{clip.strip.name}"] = f"frames under {clip.pair}"
    missing = sorted({row.base for row in pairs} - set(blocks))
    absent = (
        f"Without pairs of {', '.join(missing)}: no trained agents of these." if missing else ""
    )
    return clips, absent


def _profiles(own: Path, run: Path, files: dict[str, str]) -> list[Profile]:
    """Generalization profiles that lie in a run."""
    found = []
    for path in sorted(run.glob("profiles/*/profile.json")):
        data = _read_profile(path)
        name = _slug(path.parent.name, [profile.name for profile in found])
        target = own / "profiles" / name
        target.mkdir(parents=True)
        for file, words in _PROFILE_FILES.items():
            if path.with_name(file).is_file():
                shutil.copyfile(path.with_name(file), target / file)
                files[f"profiles/{name}/{file}"] = f"{words}, {data['train']}"
        images = [target / file for file in _PROFILE_FILES if file.endswith(".png")]
        found.append(Profile(name, data, [image for image in images if image.is_file()]))
    return found


def _read_profile(path: Path) -> dict:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("schema") != PROFILE_SCHEMA:
        raise ValueError(f"{path}: schema is not {PROFILE_SCHEMA}")
    return data


def _slug(label: str, taken: Iterable[str]) -> str:
    """A name for a folder, from any text, that is not taken; without dots, unlike all files."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", label).strip("-") or "result"
    names = [plain, *(f"{plain}-{number}" for number in range(2, 100))]
    lower = {name.lower() for name in taken}
    return next(name for name in names if name.lower() not in lower)
