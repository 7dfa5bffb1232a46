"""The page of one benchmark result, or of several compared, as HTML that loads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from kagebench.benchmark import published
from kagebench.benchmark.result import Result
from kagebench.benchmark.scores import Scores
from kagebench.benchmark.table import OVERALL, Row
from kagebench.report import benchmark_words as say
from kagebench.report import leaderboard
from kagebench.report.benchmark_tables import table
from kagebench.report.leaderboard import Leaderboard
from kagebench.report.markup import cards, definitions, document, figure, inline
from kagebench.report.tables import Cell, Column, sortable
from kagebench.suites import PAIRS


@dataclass(frozen=True)
class Clip:
    """An agent on one level in training and under a shift.

    Attributes:
        pair: the shift.
        gif: both observations beside each other.
        strip: frames under the shift.
        text: what is seen and how it ended.
    """

    pair: str
    gif: Path
    strip: Path
    text: str


@dataclass(frozen=True)
class Profile:
    """A generalization profile.

    Attributes:
        name: of its folder.
        data: content of its JSON file (`kagebench.profiles`).
        images: its figure, and that of interactions if there is one.
    """

    name: str
    data: Mapping[str, Any]
    images: Sequence[Path]


@dataclass(frozen=True)
class Entry:
    """One result on the page.

    Attributes:
        slug: its folder beside the page.
        result, scores: what it holds.
        suites, pairs: rows of `kagebench.benchmark.table`.
        bars, gaps: plots of these rows.
        checkpoints: plot of evaluations during training, if there are any.
        curves: learning curves, if the run is there.
        clips: of some pairs, if agents are there.
        profiles: of its agents.
        absent: why curves or clips are missing, if they are.
        files: path beside the page -> what it holds.
    """

    slug: str
    result: Result
    scores: Scores
    suites: Sequence[Row]
    pairs: Sequence[Row]
    bars: Path
    gaps: Path
    checkpoints: Path | None = None
    curves: Path | None = None
    clips: Sequence[Clip] = ()
    profiles: Sequence[Profile] = ()
    absent: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


def single(entry: Entry, command: str) -> str:
    """The page of one result; `command` made it."""
    title = f"KAGE-Bench: {entry.result.algorithm}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(say.lead(entry.result, entry.scores))}</p>',
        *_section(entry, level=2, command=command),
    ]
    return document(title, body, script=True)


def several(
    entries: Sequence[Entry],
    board: Leaderboard,
    chart: Path,
    files: Mapping[str, str],
    command: str,
) -> str:
    """The page that compares results.

    Args:
        entries: with different labels.
        board: of all of them.
        chart: plot of their suites.
        files: of the comparison: path beside the page -> what it holds.
        command: what made the page.
    """
    title = f"KAGE-Bench: {len(entries)} algorithms"
    links = "".join(
        f'<a href="#result-{entry.slug}">{escape(entry.result.algorithm)}</a>' for entry in entries
    )
    results, scores = zip(*((entry.result, entry.scores) for entry in entries))
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(say.comparison(board.num_pairs, scores[0]))}</p>',
        f"<nav>Each of them: {links}</nav>",
        _warning(say.differences(results, scores)),
        "<h2>Leaderboard</h2>",
        leaderboard.scores_and_ranks(board),
        _note(say.LEADERBOARD),
        figure(chart, "success once in validation of all algorithms by suite", "wide"),
        "<h2>What is compared</h2>",
        _compared(entries),
        "<h2>Probability of improvement, success once</h2>",
        leaderboard.matrix(board),
        _note(say.IMPROVEMENT),
        _note(f"The paper beside these: {_statements()}"),
        "<h2>Files of the comparison</h2>",
        _files(files),
    ]
    for entry in entries:
        body += [
            f'<section id="result-{entry.slug}">',
            f'<h2 class="algorithm">{escape(entry.result.algorithm)}</h2>',
            f'<p class="lead">{escape(say.lead(entry.result, entry.scores))}</p>',
            *_section(entry, level=3, command=command),
            "</section>",
        ]
    return document(title, body, script=True)


def _section(entry: Entry, level: int, command: str) -> list[str]:
    """Everything about one result."""
    slug, label = entry.slug, entry.result.algorithm
    rows = [row for row in entry.suites if row.name != OVERALL]
    return [
        _description(entry.result),
        *map(_warning, say.warnings(entry.result, entry.scores)),
        cards(say.numbers(entry.suites, entry.pairs)),
        _heading(level, "By suite"),
        table(entry.suites, f"{slug}-suites", f"{label}, suites", published.values()),
        _note(say.table_note(entry.result, entry.scores, f"{slug}/suites.csv", "suite")),
        figure(entry.bars, f"success once of {len(rows)} suites", "wide"),
        _note(say.BARS),
        _note(f"The paper beside these: {_statements()}") if level == 2 else "",
        _heading(level, "By pair"),
        table(entry.pairs, f"{slug}-pairs", f"{label}, pairs"),
        _note(say.table_note(entry.result, entry.scores, f"{slug}/pairs.csv", "pair")),
        figure(entry.gaps, "success once of every pair in training and validation", "wide"),
        _note(say.GAPS),
        *_training(entry, level),
        *_profiles(entry, level),
        *_clips(entry, level),
        _heading(level, "How this was made"),
        f"<pre>{escape(_commands(entry.result.commands, command))}</pre>",
        definitions(say.facts(entry.result, entry.scores)),
        _heading(level, "Files"),
        "<p>Every number comes from these files, which lie beside the page.</p>",
        _files(entry.files),
    ]


def _training(entry: Entry, level: int) -> list[str]:
    pieces = []
    if entry.curves:
        image = figure(entry.curves, "learning curves of every base", "wide")
        pieces += [_heading(level, "Learning curves"), image, _note(say.CURVES)]
    if entry.checkpoints:
        image = figure(entry.checkpoints, "success once at every checkpoint, by suite", "wide")
        pieces += [_heading(level, "Checkpoints"), image, _note(say.CHECKPOINTS)]
    return pieces


def _profiles(entry: Entry, level: int) -> list[str]:
    pieces = []
    for profile in entry.profiles:
        data = profile.data
        pieces += [
            _heading(level, f"Generalization profile, {data['train']}"),
            _note(say.profile(data)),
            *(figure(image, f"{image.stem}, {data['train']}", "wide") for image in profile.images),
            _robustness(data["axes"], f"{entry.result.algorithm}, robustness, {data['train']}"),
        ]
    return pieces


def _robustness(axes: Sequence[Mapping[str, Any]], label: str) -> str:
    columns = [
        Column("axis", numeric=False),
        Column("key", numeric=False),
        Column("from"),
        Column("to"),
        Column("neutral"),
        Column("robustness"),
        Column("relative"),
        Column("halves below"),
        Column("halves above"),
    ]
    lines = []
    for axis in axes:
        found, ends = axis["robustness"], axis["thresholds"]
        interval = f"[{found['low']:.2f}, {found['high']:.2f}]"
        values = [axis["values"][0], axis["values"][-1], axis["neutral"]]
        lines.append(
            [
                Cell(axis["title"]),
                Cell(axis["key"]),
                *map(_value, values),
                Cell(f"{found['mean']:.2f}", found["mean"], interval),
                *map(_value, (found["relative"], ends["left"], ends["right"])),
            ]
        )
    return sortable(label, columns, lines)


def _clips(entry: Entry, level: int) -> list[str]:
    title = _heading(level, "The agent under shift")
    if not entry.clips:
        return [title, f"<p>{escape(entry.absent)}</p>"]
    absent = f"<p>{escape(entry.absent)}</p>" if entry.absent else ""
    return [
        title,
        f"<p>{escape(say.CLIPS)}</p>",
        absent,
        *(_clip(clip, level + 1) for clip in entry.clips),
    ]


def _clip(clip: Clip, level: int) -> str:
    changes = say.changes(PAIRS[clip.pair].changes)
    return (
        f'<figure class="strip"><header>{_heading(level, clip.pair)}'
        f"<span>{escape(changes)}</span></header>"
        '<div class="sides"><span>training</span><span>under the shift</span></div>'
        f'<img class="clip" src="{inline(clip.gif)}" alt="{escape(clip.pair)}: the agent in '
        f'training on the left, under the shift on the right">'
        f"<figcaption>{escape(clip.text)}</figcaption>"
        f'<div class="frames"><img src="{inline(clip.strip)}" '
        f'alt="{escape(clip.pair)}: frames under the shift"></div></figure>'
    )


def _compared(entries: Sequence[Entry]) -> str:
    facts = [say.short(entry.result, entry.scores) for entry in entries]
    columns = [Column(name, numeric=False) for name in ("algorithm", *facts[0])]
    lines = [
        [Cell(entry.result.algorithm), *map(Cell, found.values())]
        for entry, found in zip(entries, facts)
    ]
    return sortable("what is compared", columns, lines)


def _statements() -> str:
    return " ".join(f"{entry.text} ({entry.source})" for entry in published.statements())


def _commands(commands: Sequence[str], page: str) -> str:
    return "\n".join([*commands, *([""] if commands else []), "# this page", page])


def _files(files: Mapping[str, str]) -> str:
    lines = [
        f'<dt><a href="{escape(name)}">{escape(name)}</a></dt><dd>{escape(text)}</dd>'
        for name, text in files.items()
    ]
    return f"<dl>{''.join(lines)}</dl>"


def _value(value: float | None) -> Cell:
    return Cell("–") if value is None else Cell(f"{value:.3g}", value)


def _description(result: Result) -> str:
    return f"<p>{escape(result.description)}</p>" if result.description else ""


def _heading(level: int, text: str) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def _warning(text: str) -> str:
    return f'<p class="warning">{escape(text)}</p>' if text else ""


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
