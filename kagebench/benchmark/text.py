"""The benchmark's tables for the terminal and as Markdown, LaTeX (booktabs) and CSV.

One block of lines per metric. Beside the lines of the suites stands what the paper reports, where
it is known (`kagebench.benchmark.published`).
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from kagebench.benchmark import published
from kagebench.benchmark.files import write_whole
from kagebench.benchmark.scores import Scores, agents_by_base
from kagebench.benchmark.table import OVERALL, Row, Stat, to_frame
from kagebench.suites import PAIRS, SUITES

SHOWN = ("distance", "progress", "success_once", "return")
HEADINGS = ("name", "train", "validation", "IQM", "gap, 95 % interval", "gap %")
PUBLISHED_HEADINGS = ("published train", "published validation", "published gap %")
_PUBLISHED_SPLITS = ("train", "validation", "relative_gap")
# Decimals; 3 for those that are not named.
_PLACES = {"distance": 1, "return": 0, "jump_count": 1}


def note(scores: Scores) -> str:
    """What the figures of a table are, in one line."""
    sizes = sorted({len(seeds) for seeds in agents_by_base(scores.pairs).values()})
    agents = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
    last = scores.statistic == "last"
    checkpoint = "last checkpoint" if last else f"{scores.statistic} over checkpoints"
    return (
        f"{scores.algorithm}, {scores.protocol} protocol, agents per base: {agents}, {checkpoint}. "
        "± is the standard error over agents (pairs) or over the means of pairs (suites). "
        "IQM: interquartile mean of validation. Intervals: bootstrap over agents with all their "
        "pairs. Published: second-hand, from reviews of the paper."
    )


def cells(row: Row, metric: str) -> list[str]:
    """The cells of one line in the order of `HEADINGS`; of one agent alone there is no interval."""
    gap, relative = row.gap[metric], row.relative_gap[metric]
    mean, low, high = (_number(value, metric) for value in (gap.mean, gap.low, gap.high))
    return [
        _name(row),
        _mean_and_sem(row.train[metric], metric),
        _mean_and_sem(row.validation[metric], metric),
        _number(row.validation[metric].iqm, metric),
        f"{mean} [{low}, {high}]" if row.num_agents > 1 else mean,
        f"{relative.mean:.1f}" if relative else "",
    ]


def published_cells(row: Row, metric: str) -> list[str]:
    """What the paper reports for this line, in the order of `PUBLISHED_HEADINGS`.

    "" where it is not known, or our line does not have all pairs of the suite.
    """
    known = published.values() if _complete(row) else {}
    found = (known.get((row.name, metric, split)) for split in _PUBLISHED_SPLITS)
    return [f"{entry.value:g}" if entry else "" for entry in found]


def print_table(console: Console, rows: Sequence[Row], metrics: Sequence[str] = SHOWN) -> None:
    """Print the lines of some metrics; published values stand under ours."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for i, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if i else "left", no_wrap=i == 0)
    for metric in metrics:
        table.add_row(f"[bold]{metric}[/]")
        for row in rows:
            table.add_row(*cells(row, metric))
            known = published_cells(row, metric)
            if any(known):
                train, validation, gap = known
                table.add_row("  published", train, validation, "", "", gap, style="italic")
        table.add_section()
    console.print(table)


def markdown(rows: Sequence[Row], metrics: Sequence[str] = SHOWN) -> str:
    """One Markdown table per metric."""
    headings = _headings(rows)
    rule = ["---", *["---:"] * (len(headings) - 1)]
    blocks = []
    for metric in metrics:
        lines = [headings, rule, *(_line(row, metric) for row in rows)]
        block = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        blocks.append(f"**{metric}**\n\n{block}\n")
    return "\n".join(blocks)


def latex(rows: Sequence[Row], metrics: Sequence[str] = SHOWN) -> str:
    """One LaTeX tabular with a block per metric; needs the package booktabs."""
    headings = _headings(rows)
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        r"\toprule",
        _latex_line(headings),
    ]
    for metric in metrics:
        title = rf"\multicolumn{{{len(headings)}}}{{l}}{{\textbf{{{_escaped(metric)}}}}} \\"
        lines += [r"\midrule", title, *(_latex_line(_line(row, metric)) for row in rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def csv(rows: Sequence[Row]) -> str:
    """`kagebench.benchmark.table.to_frame` with the published values, all metrics."""
    complete = {row.name for row in rows if _complete(row)}
    known = [
        {"name": suite, "metric": metric, "split": split, "published": entry.value}
        for (suite, metric, split), entry in published.values().items()
        if suite in complete
    ]
    index = ["name", "metric", "split"]
    beside = pl.DataFrame(known, dict.fromkeys(index, pl.String) | {"published": pl.Float64})
    return to_frame(rows).join(beside, index, "left", maintain_order="left").write_csv()


def write(folder: Path, suites: Sequence[Row], pairs: Sequence[Row], caption: str) -> list[Path]:
    """Write ``suites`` and ``pairs`` as .md, .tex and .csv and return the paths.

    Args:
        folder: where to; made if need be.
        suites, pairs: from `kagebench.benchmark.table`.
        caption: `note`; stands under the Markdown and as a comment in the LaTeX.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in (("suites", suites), ("pairs", pairs)):
        texts = {
            "md": f"{markdown(rows)}\n{caption}\n",
            "tex": f"% {caption}\n{latex(rows)}",
            "csv": csv(rows),
        }
        for ending, text in texts.items():
            paths.append(folder / f"{name}.{ending}")
            write_whole(paths[-1], text)
    return paths


def _name(row: Row) -> str:
    """The name of a line; of a suite that is not complete, with its number of pairs."""
    return row.name if _complete(row) else f"{row.name} ({row.num_pairs}/{_size(row)})"


def _complete(row: Row) -> bool:
    return row.num_pairs == _size(row)


def _size(row: Row) -> int:
    """Number of pairs that a line stands for."""
    return len(PAIRS) if row.name == OVERALL else len(SUITES.get(row.name, (row.name,)))


def _mean_and_sem(stat: Stat, metric: str) -> str:
    return f"{_number(stat.mean, metric)}±{_number(stat.sem, metric)}"


def _number(value: float, metric: str) -> str:
    text = f"{value:.{_PLACES.get(metric, 3)}f}"
    return text if float(text) else text.removeprefix("-")


def _headings(rows: Sequence[Row]) -> list[str]:
    return [*HEADINGS, *(() if _of_pairs(rows) else PUBLISHED_HEADINGS)]


def _line(row: Row, metric: str) -> list[str]:
    return [*cells(row, metric), *(() if _of_pairs([row]) else published_cells(row, metric))]


def _of_pairs(rows: Sequence[Row]) -> bool:
    """Whether the lines are pairs, for which the paper has no figures."""
    return all(row.base for row in rows)


def _latex_line(texts: Sequence[str]) -> str:
    name, *numbers = texts
    numbers = [text.replace("±", r" $\pm$ ").replace("-", "$-$") for text in numbers]
    return " & ".join(_escaped(text) for text in [name, *numbers]) + r" \\"


def _escaped(text: str) -> str:
    """A text with what is special to LaTeX and occurs in tables escaped."""
    return text.replace("%", r"\%").replace("_", r"\_")
