"""Data, figures and tables of ``kagebench profile``."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from kagebench import profiles
from kagebench.commands._output import replacing
from kagebench.profile_sweep import Sweep
from kagebench.render.frame import pool
from kagebench.report import profile_charts

Data = dict[str, Any]


def write_curves(
    folder: Path, sweeps: Sequence[Sweep], about: Data, console: Console, whole: bool
) -> None:
    """Write every axis as a figure, and either the profile or the data of the one axis."""
    entries = {sweep.grid.name: profiles.describe_curve(sweep) for sweep in sweeps}
    for sweep in sweeps:
        name = sweep.grid.name
        with replacing(folder / f"{name}.png") as part:
            profile_charts.axis_chart(entries[name], sweep.frames, part, about, seen(sweep, about))
    if not whole:
        (name,) = entries
        write_json(folder / f"{name}.json", about | entries[name])
        console.print(values_table(entries[name]))
        _point(console, folder / f"{name}.png")
        return
    profile = about | profiles.describe_profile(list(entries.values()))
    frames = {sweep.grid.name: sweep.frames for sweep in sweeps}
    write_json(folder / "profile.json", profile)
    with replacing(folder / "profile.png") as part:
        profile_charts.profile_chart(profile["axes"], frames, part, profile)
    console.print(profile_table(profile))
    _point(console, folder / "profile.png")


def write_grid(folder: Path, sweep: Sweep, about: Data, console: Console) -> None:
    """Write data and figure of a grid of two axes."""
    entry = profiles.describe_grid(sweep)
    write_json(folder / f"{sweep.grid.name}.json", about | entry)
    with replacing(folder / f"{sweep.grid.name}.png") as part:
        profile_charts.grid_chart(entry, sweep.frames, part, about)
    console.print(_effect(entry))
    _point(console, folder / f"{sweep.grid.name}.png")


def write_interactions(
    folder: Path, sweeps: Sequence[Sweep], about: Data, console: Console
) -> None:
    """Write data and figure of the interactions of all pairs."""
    axes = {axis.key: axis.title for sweep in sweeps for axis in sweep.grid.axes}
    pairs = [profiles.describe_grid(sweep) for sweep in sweeps]
    data = about | {"keys": list(axes), "titles": list(axes.values()), "pairs": pairs}
    write_json(folder / "interactions.json", data)
    with replacing(folder / "interactions.png") as part:
        profile_charts.interaction_chart(data, part, about)
    for pair in pairs:
        console.print(_effect(pair))
    _point(console, folder / "interactions.png")


def seen(sweep: Sweep, about: Data) -> np.ndarray | None:
    """What agents see of the frames [shown, h, w, 3]; None if it is all of them, or no picture."""
    observation = about["observation"]
    if observation["obs"] != "pixels" or observation["obs_size"] is None:
        return None
    frames = jnp.asarray(sweep.frames)
    return np.asarray(pool(frames, observation["obs_size"], observation["pooling"]))


def profile_table(profile: Mapping[str, Any]) -> Table:
    """One row per axis."""
    agents = len(profile["seeds"])
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=f"{agents} agents, {profile['episodes']} levels; mean robustness "
        f"{profile['robustness']:.2f}",
        caption_justify="left",
        show_edge=False,
        padding=0,
    )
    table.add_column("axis", no_wrap=True)
    for heading in ("range", "train", "robustness", "halves at"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in profile["axes"]:
        found = entry["robustness"]
        first, last = entry["values"][0], entry["values"][-1]
        table.add_row(
            entry["key"],
            f"{first:g}..{last:g}",
            f"{entry['neutral']:g}",
            f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]",
            _halved(entry),
        )
    return table


def values_table(entry: Mapping[str, Any]) -> Table:
    """One row per value of an axis."""
    found = entry["robustness"]
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=f"robustness {found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]; "
        f"success {_halves(entry)}",
        caption_justify="left",
        show_edge=False,
        padding=(0, 1),
    )
    table.add_column(entry["key"], justify="right")
    for heading in ("success once", "95 % interval", "gap", "distance", "return"):
        table.add_column(heading, justify="right")
    metrics, gap = entry["metrics"], entry["gaps"][profiles.METRIC]["mean"]
    success = metrics[profiles.METRIC]
    for i, value in enumerate(entry["values"]):
        train = " (train)" if value == entry["neutral"] else ""
        table.add_row(
            f"{value:g}{train}",
            f"{success['mean'][i]:.2f}",
            f"[{success['low'][i]:.2f}, {success['high'][i]:.2f}]",
            f"{gap[i]:.2f}",
            f"{metrics['distance']['mean'][i]:.0f}",
            f"{metrics['return']['mean'][i]:.0f}",
        )
    return table


def write_json(path: Path, data: Any) -> None:
    """Write JSON with lists of numbers on one line; the file is complete or absent."""
    text = json.dumps(data, indent=1)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", _on_one_line, text)
    with replacing(path) as part:
        part.write_text(text + "\n")


def _on_one_line(match: re.Match[str]) -> str:
    return f"[{' '.join(match[1].split())}]"


def _halved(entry: Mapping[str, Any]) -> str:
    places = [f"{value:.3g}" for value in entry["thresholds"].values() if value is not None]
    return ", ".join(places) or "-"


def _halves(entry: Mapping[str, Any]) -> str:
    places = _halved(entry)
    return "does not halve" if places == "-" else f"halves at {places}"


def _effect(entry: Mapping[str, Any]) -> str:
    first, second = (one["key"] for one in entry["axes"])
    found = entry["interaction"]
    if found is None:
        return f"{first} x {second}: no interaction, the agents never succeed without a shift"
    interval = f"[{found['low']:+.2f}, {found['high']:+.2f}]"
    return f"{first} x {second}: interaction {found['mean']:+.2f} {interval}"


def _point(console: Console, path: Path) -> None:
    console.print(f"figure: {path}, data: {path.with_suffix('.json').name}", soft_wrap=True)
