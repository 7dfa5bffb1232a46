"""Plots: learning curves of all seeds, and success under every shift."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

TRAIN, SHIFT, REFERENCE, INK = "#2563a8", "#c8442f", "#7a756c", "#2b2823"
PANELS = {
    "success_once": ("success once", (-0.02, 1.02)),
    "passed_distance": ("distance (px)", (-10, 530)),
    "return": ("return", None),
}
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#b9b3a7",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#e8e3d9",
    "axes.axisbelow": True,
}


def smooth(metrics: pl.DataFrame, name: str, points: int = 60) -> pl.DataFrame:
    """Learning curve of every seed: columns seed, step, value.

    Each point is the average of the episodes that ended in 1 / `points` of the run; rollouts
    without an end of an episode (NaN) are left out.
    """
    steps = metrics["step"].max()
    width = max(steps / points, 1.0)  # pyright: ignore
    return (
        metrics.filter(pl.col(name).is_not_nan())
        .with_columns(bin=(pl.col("step") / width).ceil().cast(pl.Int64))
        .group_by("seed", "bin")
        .agg(
            step=pl.col("step").mean(),
            value=(pl.col(name) * pl.col("episodes")).sum() / pl.col("episodes").sum(),
        )
        .sort("seed", "step")
    )


def learning_curves(
    metrics: pl.DataFrame, path: Path, references: Mapping[str, Mapping[str, float]]
) -> None:
    """Draw success, distance and return against environment steps, one thin line per seed.

    Args:
        metrics: of a run (`sweeps.store.read_metrics`), with columns seed, step, episodes.
        path: PNG to write.
        references: label -> values of horizontal lines, named like the columns of `metrics`.
    """
    with style():
        figure = Figure(figsize=(10, 2.9), layout="constrained")
        axes = figure.subplots(1, len(PANELS))
        for axis, (name, (label, limits)) in zip(axes, PANELS.items()):
            _curve_panel(axis, smooth(metrics, name), label)
            for text, values in references.items():
                axis.axhline(values[name], color=REFERENCE, lw=1, ls=(0, (4, 3)))
                axis.annotate(text, (1, values[name]), (-2, 2), color=REFERENCE, **_AT_RIGHT)
            axis.set_xlim(0, metrics["step"].max())
            if limits:
                axis.set_ylim(*limits)
        axes[-1].set_yscale("symlog", linthresh=100)
        axes[-1].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        if axes[0].get_legend_handles_labels()[0]:
            axes[0].legend(frameon=False, loc="center right", fontsize=8)
        figure.savefig(path, dpi=150)


def shift_chart(entries: Sequence[Mapping[str, Any]], path: Path, metric: str) -> None:
    """Draw a metric under every configuration: mean with interval, and a mark per agent.

    Args:
        entries: summary of one policy (`kagebench.report.results.summary`).
        path: PNG to write.
        metric: which one.
    """
    with style():
        figure = Figure(figsize=(7, 0.6 + 0.3 * len(entries)), layout="constrained")
        axis = figure.subplots()
        for row, entry in enumerate(entries):
            found = entry["metrics"][metric]
            color = SHIFT if entry["gaps"] else TRAIN
            axis.plot([found["low"], found["high"]], [row, row], color=color, lw=5, alpha=0.3)
            axis.plot(found["per_agent"], [row] * len(found["per_agent"]), "|", color=color, ms=9)
            axis.plot(found["mean"], row, "o", color=color, ms=6)
        axis.axvline(entries[0]["metrics"][metric]["mean"], color=TRAIN, lw=1, ls=(0, (4, 3)))
        axis.set_yticks(range(len(entries)), [entry["config"] for entry in entries])
        axis.set_ylim(len(entries) - 0.4, -0.6)
        axis.set_xlim(-0.02, 1.02)
        axis.set_xlabel(metric.replace("_", " "))
        axis.grid(axis="y", visible=False)
        figure.savefig(path, dpi=150)


_AT_RIGHT: dict[str, Any] = {
    "xycoords": ("axes fraction", "data"),
    "textcoords": "offset points",
    "ha": "right",
    "va": "bottom",
    "fontsize": 8,
}


def style():
    """The look of all plots, as a context."""
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def _curve_panel(axis: Axes, curve: pl.DataFrame, label: str) -> None:
    seeds = curve["seed"].unique(maintain_order=True).to_list()
    shades = np.linspace(1.0, 0.45, len(seeds))
    for seed, shade in zip(seeds, shades):
        line = curve.filter(pl.col("seed") == seed)
        axis.plot(
            line["step"], line["value"], color=TRAIN, alpha=shade, lw=1.6, label=f"seed {seed}"
        )
    axis.set_title(label, loc="left", color=INK, fontsize=10)
    axis.set_xlabel("environment steps")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g} M"))
