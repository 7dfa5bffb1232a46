"""Plots of benchmark results: suites, pairs, learning curves, checkpoints and comparisons."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kagebench.benchmark.published import Published
from kagebench.benchmark.result import Result
from kagebench.benchmark.table import Row, Stat
from kagebench.report.curves import INK, SHIFT, TRAIN, style
from kagebench.suites import SUITES

METRIC = "success_once"
PALETTE = ("#2563a8", "#c8442f", "#3d8b5f", "#8a5aa8", "#c98a1b", "#2b9aa8", "#7a756c", "#a8476b")
_LEGEND = {"frameon": False, "fontsize": 8}
_DPI = 150


def suite_bars(
    rows: Sequence[Row], published: Mapping[tuple[str, str, str], Published], path: Path
) -> None:
    """Draw success once of every suite: train and validation with 95 % intervals.

    Args:
        rows: of suites (`kagebench.benchmark.table.suites`).
        published: `kagebench.benchmark.published.values`, drawn as marks.
        path: PNG to write.
    """
    with style():
        figure = Figure(figsize=(9.6, 3.3), layout="constrained")
        axis = figure.subplots()
        places = np.arange(len(rows))
        for split, shift, color in (("train", -0.19, TRAIN), ("validation", 0.19, SHIFT)):
            stats = [getattr(row, split)[METRIC] for row in rows]
            at = places + shift
            axis.bar(at, [stat.mean for stat in stats], 0.36, color=color, alpha=0.85, label=split)
            axis.errorbar(at, *_whiskers(stats), fmt="none", ecolor=INK, elinewidth=1, capsize=2.5)
            known = [published.get((row.name, METRIC, split)) for row in rows]
            marks = [entry.value if entry else np.nan for entry in known]
            label = "paper, second-hand" if split == "validation" else None
            style_ = {"mfc": "white", "mec": INK, "ms": 6, "ls": "none", "zorder": 5}
            axis.plot(at, marks, "D", label=label, **style_)
        axis.set_xticks(places, [title(row.name) for row in rows])
        axis.set_ylim(0, 1.04)
        axis.set_ylabel(METRIC.replace("_", " "))
        axis.grid(axis="x", visible=False)
        axis.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), **_LEGEND)
        figure.savefig(path, dpi=_DPI)


def pair_gaps(rows: Sequence[Row], path: Path) -> None:
    """Draw success once of every pair, from training to validation, in the order of suites.

    Args:
        rows: of pairs (`kagebench.benchmark.table.pairs`).
        path: PNG to write.
    """
    places, at = [], 0.0
    for before, row in zip([None, *rows], rows):
        at += 1.0 if before is None or before.suite == row.suite else 1.7
        places.append(at)
    with style():
        figure = Figure(figsize=(9.6, 0.9 + 0.2 * at), layout="constrained")
        axis = figure.subplots()
        for place, row in zip(places, rows):
            train, shift = row.train[METRIC], row.validation[METRIC]
            axis.plot([train.mean, shift.mean], [place, place], color="#cfc8ba", lw=2, zorder=1)
            for stat, color in ((train, TRAIN), (shift, SHIFT)):
                axis.plot([stat.low, stat.high], [place, place], color=color, lw=5, alpha=0.25)
                axis.plot(stat.mean, place, "o", color=color, ms=5, zorder=3)
        axis.set_yticks(places, [row.name for row in rows], fontsize=8)
        axis.set_ylim(at + 0.7, 0.0)
        axis.set_xlim(-0.02, 1.02)
        axis.set_xlabel(METRIC.replace("_", " "))
        axis.grid(axis="y", visible=False)
        figure.savefig(path, dpi=_DPI)


def base_curves(lines: Mapping[str, pl.DataFrame], path: Path) -> None:
    """Draw success once in training against environment steps, a panel per base, a line per seed.

    Args:
        lines: base -> success once of every seed (`kagebench.report.curves.smooth`).
        path: PNG to write.
    """
    columns = min(4, len(lines))
    height = -(-len(lines) // columns)
    with style():
        size = (max(4.8, 2.4 * columns), 0.3 + 1.8 * height)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(height, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axis in axes[len(lines) :]:
            axis.set_axis_off()
        for axis, (base, frame) in zip(axes, lines.items()):
            for line in frame.partition_by("seed", maintain_order=True):
                axis.plot(line["step"], line["value"], color=TRAIN, lw=1, alpha=0.7)
            axis.set_title(base, loc="left", color=INK, fontsize=9)
            axis.set_xlim(0)
            axis.set_ylim(-0.02, 1.02)
            axis.xaxis.set_major_formatter(FuncFormatter(_millions))
            axis.tick_params(labelbottom=True)
        figure.supxlabel("environment steps", fontsize=9)
        figure.supylabel("success once", fontsize=9)
        figure.savefig(path, dpi=_DPI)


def checkpoint_curves(result: Result, path: Path) -> None:
    """Draw success once of evaluated checkpoints, a panel per suite, mean +- SEM over its pairs.

    Args:
        result: with several steps per agent.
        path: PNG to write.
    """
    frame = result.evaluations
    found = {
        suite: [pair for pair in pairs if pair.name in set(frame["config"])]
        for suite, pairs in SUITES.items()
    }
    found = {suite: pairs for suite, pairs in found.items() if pairs}
    with style():
        figure = Figure(figsize=(9.6, 2.2), layout="constrained")
        axes = figure.subplots(1, len(found), sharey=True, squeeze=False).ravel()
        for axis, (suite, pairs) in zip(axes, found.items()):
            for label, color, configs in (
                ("train", TRAIN, [pair.base for pair in pairs]),
                ("validation", SHIFT, [pair.name for pair in pairs]),
            ):
                _checkpoint_line(axis, frame, configs, color, label)
            axis.set_title(title(suite), loc="left", color=INK, fontsize=9)
            axis.set_ylim(-0.02, 1.02)
            axis.xaxis.set_major_formatter(FuncFormatter(_millions))
        axes[0].legend(**_LEGEND)
        figure.supxlabel("environment steps", fontsize=9)
        figure.savefig(path, dpi=_DPI)


def comparison(tables: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Draw success once in validation of several algorithms, suite by suite, with intervals.

    Args:
        tables: algorithm -> rows of suites.
        path: PNG to write.
    """
    names = [*SUITES, "overall"]
    with style():
        figure = Figure(figsize=(9.6, 3.3), layout="constrained")
        axis = figure.subplots()
        offsets = (np.arange(len(tables)) - (len(tables) - 1) / 2) * min(0.16, 0.8 / len(tables))
        for index, ((label, rows), offset) in enumerate(zip(tables.items(), offsets)):
            stats = {row.name: row.validation[METRIC] for row in rows}
            at = [names.index(name) + offset for name in stats]
            look = {"color": PALETTE[index % len(PALETTE)], "capsize": 2.5, "elinewidth": 1.4}
            axis.errorbar(at, *_whiskers(list(stats.values())), fmt="o", ms=5, label=label, **look)
        axis.set_xticks(range(len(names)), [title(name) for name in names])
        axis.set_ylim(-0.02, 1.02)
        axis.set_ylabel(f"{METRIC.replace('_', ' ')}, validation")
        axis.grid(axis="x", visible=False)
        axis.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), **_LEGEND)
        figure.savefig(path, dpi=_DPI)


def title(name: str) -> str:
    """A suite's name in words."""
    return name.replace("_", " ")


def _checkpoint_line(
    axis: Axes, frame: pl.DataFrame, configs: Sequence[str], color: str, label: str
) -> None:
    # A base counts once per pair that trains on it.
    wanted = pl.DataFrame({"config": configs}).with_row_index("pair")
    means = (
        wanted.join(frame, on="config")
        .group_by("step", "pair")
        .agg(pl.col(METRIC).mean())
        .group_by("step")
        .agg(mean=pl.col(METRIC).mean(), sem=pl.col(METRIC).std() / pl.len().sqrt())
        .with_columns(pl.col("sem").fill_null(0.0))
        .sort("step")
    )
    low, high = means["mean"] - means["sem"], means["mean"] + means["sem"]
    axis.plot(means["step"], means["mean"], color=color, lw=1.6, label=label)
    axis.fill_between(means["step"], low, high, color=color, alpha=0.18, lw=0)


def _whiskers(stats: Sequence[Stat]) -> tuple[np.ndarray, np.ndarray]:
    """Means, and how far their intervals reach below and above."""
    means = np.array([stat.mean for stat in stats])
    low, high = (np.array([getattr(stat, end) for stat in stats]) for end in ("low", "high"))
    return means, np.stack([means - low, high - means]).clip(0)


def _millions(value: float, _: int) -> str:
    return f"{value / 1e6:g} M" if value else "0"
