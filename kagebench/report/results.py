"""Evaluations as tables: one row per episode, and summaries with paired gaps.

An evaluation has one configuration that was trained on, always the first, and any number of shifts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from kagebench.evaluate import METRICS
from kagebench.stats import paired_gap, summarise

# Shown in tables, with the number of decimals.
COLUMNS = {"distance": 1, "progress": 2, "success_once": 2, "success": 2, "return": 0}
GAP_METRIC = "success_once"
SOLVED = 0.8  # of the episodes; gaps of agents that reach less in training mean little
_GAP_HEADING = "gap of success once, 95 % interval"
_WIDTHS = {"distance": 8, "progress": 8, "return": 6, _GAP_HEADING: 19}


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one policy.

    Attributes:
        policy: its name.
        agents: names of the A agents, for learned policies their seeds.
        configs: names of the C configurations, the training configuration first.
        values: metric -> float32 [A, C, E]; the same E levels for all agents and configurations.
    """

    policy: str
    agents: tuple[int, ...]
    configs: tuple[str, ...]
    values: Mapping[str, np.ndarray]


def to_frame(evaluation: Evaluation) -> pl.DataFrame:
    """One row per agent, configuration and episode, in this order: columns policy, agent, config,
    episode, and the metrics as float32."""
    shape = evaluation.values[METRICS[0]].shape
    agents, configs, episodes = (index.ravel() for index in np.indices(shape))
    return pl.DataFrame(
        {
            "policy": np.full(agents.size, evaluation.policy),
            "agent": np.array(evaluation.agents, np.int64)[agents],
            "config": np.array(evaluation.configs)[configs],
            "episode": episodes.astype(np.int32),
        }
        | {name: evaluation.values[name].ravel() for name in METRICS}
    )


def from_frame(frame: pl.DataFrame) -> Evaluation:
    """The evaluation that `to_frame` wrote."""
    agents, configs, episodes = (
        frame[name].unique(maintain_order=True).to_list() for name in ("agent", "config", "episode")
    )
    shape = len(agents), len(configs), len(episodes)
    values = {name: frame[name].to_numpy().reshape(shape) for name in METRICS}
    return Evaluation(frame["policy"][0], tuple(agents), tuple(configs), values)


def summary(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One entry per configuration: statistics of every metric, and of its gap to training.

    Returns:
        dicts with policy, config, agents, episodes, ``metrics`` and ``gaps``; the latter two map
        each metric to mean, sem, iqm, low and high (`kagebench.stats.summarise`), and ``metrics``
        also to per_agent, the mean of every agent. A gap is training minus shift, on the same
        level by the same agent; None for the training configuration.
    """
    return [_entry(evaluation, index) for index in range(len(evaluation.configs))]


def lowest_agent(entry: Mapping[str, Any], metric: str = GAP_METRIC) -> tuple[int, float]:
    """The agent with the lowest mean of a metric, and this mean, from an entry of `summary`."""
    means = entry["metrics"][metric]["per_agent"]
    index = int(np.argmin(means))
    return entry["agents"][index], means[index]


def blind(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a policy does the same in all configurations, as one that does not look does."""
    return all(
        entry["gaps"][name]["low"] == 0.0 == entry["gaps"][name]["high"]
        for entry in entries[1:]
        for name in METRICS
    )


def rows(entries: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """The entries of a summary as cells: config, the metrics of `COLUMNS`, gap with interval."""
    return [_row(entry) for entry in entries]


def headings() -> list[str]:
    """Headings of `rows`."""
    names = [name.replace("_", " ") for name in COLUMNS]
    return ["config", *names, _GAP_HEADING]


def print_tables(
    console: Console, tables: Mapping[str, Sequence[Mapping[str, Any]]], note: str = ""
) -> None:
    """Print one table with a section per policy.

    Args:
        console: where to.
        tables: name of a policy -> its summary. Of policies that do not look only the training
            configuration is shown, since all rows are equal.
        note: caption.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=note,
        caption_justify="left",
        padding=0,
        show_edge=False,
    )
    table.add_column("config", no_wrap=True)
    for name in headings()[1:]:
        table.add_column(name, justify="right", width=_WIDTHS.get(name, 7))
    for policy, entries in tables.items():
        same = len(entries) > 1 and blind(entries)
        table.add_row(f"[bold]{policy}[/]{' (all configs)' if same else ''}")
        for cells in rows(entries[:1] if same else entries):
            table.add_row(f" {cells[0]}", *cells[1:])
        table.add_section()
    console.print(table)


def _entry(evaluation: Evaluation, index: int) -> dict[str, Any]:
    metrics, gaps = {}, {}
    for name in METRICS:
        values = evaluation.values[name]
        per_agent = values[:, index].mean(axis=1, dtype=np.float64).tolist()
        metrics[name] = summarise(values[:, index]) | {"per_agent": per_agent}
        gaps[name] = summarise(paired_gap(values[:, 0], values[:, index]))
    return {
        "policy": evaluation.policy,
        "config": evaluation.configs[index],
        "agents": list(evaluation.agents),
        "episodes": evaluation.values[METRICS[0]].shape[2],
        "metrics": metrics,
        "gaps": gaps if index else None,
    }


def _row(entry: Mapping[str, Any]) -> list[str]:
    values = [f"{entry['metrics'][name]['mean']:.{places}f}" for name, places in COLUMNS.items()]
    gap = entry["gaps"] and entry["gaps"][GAP_METRIC]
    found = f"{gap['mean']:.2f} [{gap['low']:.2f}, {gap['high']:.2f}]" if gap else ""
    return [entry["config"], *values, found]
