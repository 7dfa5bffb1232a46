"""The leaderboard as CSV, Markdown and LaTeX (booktabs)."""

from pathlib import Path

import polars as pl

from kagebench.benchmark.files import write_whole
from kagebench.benchmark.table import Stat
from kagebench.benchmark.text import SHOWN
from kagebench.evaluate import METRICS
from kagebench.report.benchmark_tables import number, words
from kagebench.report.leaderboard import Leaderboard

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_MARKDOWN = {sign: f"\\{sign}" for sign in "\\|*_`[]<>"}


def write(folder: Path, board: Leaderboard) -> dict[str, str]:
    """Write the tables; returns names of the files and what they hold."""
    write_whole(folder / "leaderboard.csv", to_frame(board).write_csv())
    write_whole(folder / "leaderboard.md", markdown(board))
    write_whole(folder / "leaderboard.tex", latex(board))
    write_whole(folder / "improvement.csv", improvement_frame(board).write_csv())
    return {
        "leaderboard.csv": "means and ranks in validation with intervals: all algorithms, suites "
        "and metrics",
        "leaderboard.md": "the same of the paper's metrics in Markdown",
        "leaderboard.tex": "the same in LaTeX, for the package booktabs",
        "improvement.csv": "probabilities of improvement with intervals",
    }


def to_frame(board: Leaderboard) -> pl.DataFrame:
    """One line per metric, algorithm and suite: algorithm, name, metric, mean, low, high, rank,
    rank_low, rank_high, num_pairs."""
    ranks = {
        (metric, entry.algorithm, entry.name): entry
        for metric, entries in board.ranks.items()
        for entry in entries
    }
    lines = []
    for metric in METRICS:
        for label in board.labels:
            for row in board.rows[label]:
                stat, entry = row.validation[metric], ranks[metric, label, row.name]
                lines.append(
                    {
                        "algorithm": label,
                        "name": row.name,
                        "metric": metric,
                        "mean": stat.mean,
                        "low": stat.low,
                        "high": stat.high,
                        "rank": entry.rank,
                        "rank_low": entry.low,
                        "rank_high": entry.high,
                        "num_pairs": row.num_pairs,
                    }
                )
    return pl.DataFrame(lines)


def improvement_frame(board: Leaderboard) -> pl.DataFrame:
    """One line per two algorithms and suite: a, b, name, probability that a is better than b, low,
    high, num_pairs."""
    return pl.DataFrame(
        [
            {
                "a": a,
                "b": b,
                "name": entry.name,
                "probability": entry.probability,
                "low": entry.low,
                "high": entry.high,
                "num_pairs": entry.num_pairs,
            }
            for (a, b), entries in board.improvements.items()
            for entry in entries
        ]
    )


def markdown(board: Leaderboard) -> str:
    """One table per metric of the paper: algorithms x suites, mean [interval] (rank)."""
    headings = ["", *map(words, board.names)]
    rule = ["---", *["---:"] * len(board.names)]
    blocks = []
    for metric in SHOWN:
        lines = [headings, rule]
        lines += [[_escaped(line[0], _MARKDOWN), *line[1:]] for line in _lines(board, metric)]
        block = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        blocks.append(f"**{metric}** in validation, mean [95 % interval] (rank)\n\n{block}\n")
    return "\n".join(blocks)


def latex(board: Leaderboard) -> str:
    """One tabular with a block per metric of the paper."""
    size = len(board.names) + 1
    lines = [
        "% means in validation, 95 % bootstrap intervals, ranks",
        rf"\begin{{tabular}}{{l{'r' * (size - 1)}}}",
        r"\toprule",
        " & ".join(["", *map(words, board.names)]) + r" \\",
    ]
    for metric in SHOWN:
        title = _escaped(metric, _LATEX)
        lines += [r"\midrule", rf"\multicolumn{{{size}}}{{l}}{{\textbf{{{title}}}}} \\"]
        lines += [
            " & ".join([_escaped(label, _LATEX), *(cell.replace("-", "$-$") for cell in cells)])
            + r" \\"
            for label, *cells in _lines(board, metric)
        ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _lines(board: Leaderboard, metric: str) -> list[list[str]]:
    ranks = {(entry.algorithm, entry.name): entry.rank for entry in board.ranks[metric]}
    lines = []
    for label in board.labels:
        stats = {row.name: row.validation[metric] for row in board.rows[label]}
        cells = [_cell(stats[name], ranks[label, name], metric) for name in board.names]
        lines.append([label, *cells])
    return lines


def _cell(stat: Stat, rank: float, metric: str) -> str:
    mean, low, high = (number(value, metric) for value in (stat.mean, stat.low, stat.high))
    return f"{mean} [{low}, {high}] ({rank:g})"


def _escaped(text: str, signs: dict[str, str]) -> str:
    return "".join(signs.get(sign, sign) for sign in text)
