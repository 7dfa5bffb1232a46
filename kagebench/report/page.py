"""A report as one HTML file that holds its images and style and loads nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from kagebench.report.markup import cards, definitions, document, figure, inline
from kagebench.report.results import GAP_METRIC, blind, headings, lowest_agent, rows

Entries = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Report:
    """What the page shows; paths are of images that are copied into it.

    Attributes:
        title, lead: heading and the paragraph below it, plain text.
        warning: shown prominently unless empty.
        learner: the policy in `summaries` that learned.
        summaries: policy -> summary (`kagebench.report.results.summary`).
        curves: learning curves.
        chart: success of the learner under every configuration.
        strips: configuration -> strip of frames.
        strips_note: what the strips show.
        changes: configuration -> what it changes.
        command: how to do the same again.
        facts: name -> value, how the results were made.
        files: name in the folder -> what it holds.
    """

    title: str
    lead: str
    warning: str
    learner: str
    summaries: Mapping[str, Entries]
    curves: Path
    chart: Path
    strips: Mapping[str, Path]
    strips_note: str
    changes: Mapping[str, str]
    command: str
    facts: Mapping[str, str]
    files: Mapping[str, str]


def write(report: Report, path: Path) -> None:
    """Write the page."""
    path.write_text(html(report), encoding="utf-8")


def html(report: Report) -> str:
    """The whole page."""
    entries = report.summaries[report.learner]
    body = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="lead">{escape(report.lead)}</p>',
        f'<p class="warning">{escape(report.warning)}</p>' if report.warning else "",
        _cards(report),
        "<h2>Success under every shift</h2>",
        "<p>Dot: mean over seeds and levels. Band: 95 % bootstrap interval, resampling seeds and "
        "levels. Ticks: single seeds. Dashed: the training configuration.</p>",
        figure(report.chart, "success once under every configuration"),
        _table(report.summaries),
        '<p class="note">A gap is training minus shift, paired: the same seed on the same level '
        "with the same action noise. Success once: the goal distance was reached at least once; "
        "success: still reached at the end of the episode.</p>",
        "<h2>Learning curves</h2>",
        f"<p>One line per seed, {escape(entries[0]['config'])}, averages of the episodes that "
        "ended.</p>",
        figure(report.curves, "learning curves of all seeds"),
        "<h2>The agent under every shift</h2>",
        f"<p>{escape(report.strips_note)}</p>",
        *(_strip(report, entry) for entry in entries if entry["config"] in report.strips),
        "<h2>How this was made</h2>",
        f"<pre>{escape(report.command)}</pre>",
        definitions(report.facts),
        "<h2>Files</h2>",
        "<p>Every number on this page comes from these files, beside it.</p>",
        definitions({f"{name}": text for name, text in report.files.items()}),
    ]
    return document(report.title, body)


def _cards(report: Report) -> str:
    entries = report.summaries[report.learner]
    train, shifts = entries[0], entries[1:]
    agent, lowest = lowest_agent(train)
    value = train["metrics"][GAP_METRIC]["mean"]
    found = [
        (
            "train",
            _percent(value),
            f"success once in training, lowest seed ({agent}) {_percent(lowest)}",
        ),
    ]
    if shifts:
        average = sum(entry["metrics"][GAP_METRIC]["mean"] for entry in shifts) / len(shifts)
        worst = max(shifts, key=lambda entry: entry["gaps"][GAP_METRIC]["mean"])
        points = 100 * worst["gaps"][GAP_METRIC]["mean"]
        others = (
            sum(
                entry["gaps"][GAP_METRIC]["mean"] == worst["gaps"][GAP_METRIC]["mean"]
                for entry in shifts
            )
            - 1
        )
        where = f"under {worst['config']}" + (f" and {others} others" if others else "")
        found += [
            ("shift", _percent(average), f"success once under shift, mean of {len(shifts)}"),
            ("shift", f"{points:.0f} points", f"largest gap, {where}"),
        ]
    for policy, other in report.summaries.items():
        if policy != report.learner:
            value = other[0]["metrics"][GAP_METRIC]["mean"]
            found.append(("", _percent(value), f"{policy} policy, success once"))
    return cards(found)


def _table(summaries: Mapping[str, Entries]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ["policy", *headings()])
    lines = []
    for policy, entries in summaries.items():
        same = len(entries) > 1 and blind(entries)
        for number, cells in enumerate(rows(entries[:1] if same else entries)):
            first = number == 0
            kind = "first trained" if first and not same else "first" if first else ""
            config = "all configs" if same else cells[0]
            texts = [policy if first else "", config, *cells[1:]]
            columns = "".join(f"<td>{escape(text)}</td>" for text in texts)
            lines.append(f'<tr class="{kind}">{columns}</tr>')
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>'
        "</table></div>"
    )


def _strip(report: Report, entry: Mapping[str, Any]) -> str:
    config = entry["config"]
    value = entry["metrics"][GAP_METRIC]["mean"]
    return (
        f'<figure class="strip"><header><h3>{escape(config)}</h3>'
        f"<span>{escape(report.changes.get(config, ''))}</span>"
        f'<span class="value">success once {_percent(value)}</span></header>'
        f'<img src="{inline(report.strips[config])}" alt="frames of {escape(config)}"></figure>'
    )


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
