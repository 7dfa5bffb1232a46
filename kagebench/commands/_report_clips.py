"""Clips and strips of trained agents under the shifts that cost them most."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from kagebench.assets import default_pack, loader
from kagebench.benchmark.result import Result
from kagebench.benchmark.table import Row
from kagebench.commands import _trained
from kagebench.commands._trained import Trained
from kagebench.evaluate import record
from kagebench.registry import make
from kagebench.report import media, strips
from kagebench.report.benchmark_charts import METRIC
from kagebench.report.benchmark_page import Clip
from kagebench.suites import PAIRS, SUITES
from kagebench.visuals import STEP_SECONDS
from sweeps import store

EVERY = 4  # steps between two frames of a clip
STRIP_FRAMES = 8
STRIP_COLORS = 128


def trained_blocks(folder: Path) -> dict[str, list[Path]]:
    """Base -> folders of its finished trainings, that with the lowest seed first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("training/*/*/metrics.parquet")):
        found.setdefault(path.parent.parent.name, []).append(path.parent)
    return {base: sorted(blocks, key=_lowest_seed) for base, blocks in found.items()}


def worst_pairs(rows: Iterable[Row], bases: Iterable[str], count: int) -> list[str]:
    """Of every suite the pair with the largest gap among those of some bases; `count` at most,
    those with the largest gaps, in the order of suites."""
    bases = set(bases)
    worst: dict[str, Row] = {}
    for row in rows:
        if row.base in bases and (row.suite not in worst or _gap(row) > _gap(worst[row.suite])):
            worst[row.suite] = row
    kept = sorted(worst.values(), key=_gap, reverse=True)[:count]
    return [row.name for row in sorted(kept, key=lambda row: list(SUITES).index(row.suite))]


def other_art(result: Result, blocks: Mapping[str, Sequence[Path]]) -> str:
    """Why frames would not show what the agents saw, if they would not."""
    options = store.read_plan(next(iter(blocks.values()))[0]).task
    try:
        here = default_pack(options.get("assets")).root
    except loader.AssetError as error:
        return f"No frames: {error}"
    shipped = here == Path(loader.__file__).parent / "pack"
    if shipped == (result.observation["art"] == "shipped"):
        return ""
    wanted = "without" if result.observation["art"] == "shipped" else "with"
    return (
        f"No frames: the result was made with {result.observation['art']} art, which is not the "
        f"one in use here. Make the page {wanted} KAGEBENCH_ASSETS."
    )


def draw(
    folder: Path, blocks: Mapping[str, Sequence[Path]], names: Sequence[str], limit: int
) -> list[Clip]:
    """Record the first agent of every base on the first level and write clips and strips.

    Args:
        folder: to write to.
        blocks: base -> trainings (`trained_blocks`).
        names: of the pairs.
        limit: wanted size of a clip in bytes.
    """
    folder.mkdir()
    found: dict[str, Clip] = {}
    for base in dict.fromkeys(PAIRS[name].base for name in names):
        own = [name for name in names if PAIRS[name].base == base]
        for clip in _base(folder, _trained.load_trained(blocks[base][0]), own, limit):
            found[clip.pair] = clip
    return [found[name] for name in names]


def _base(folder: Path, trained: Trained, names: Sequence[str], limit: int) -> list[Clip]:
    """Clips of the pairs of one base."""
    sources = [trained.config, *(PAIRS[name].validation for name in names)]
    seen, params = make(sources, **trained.options)
    full, _ = make(sources, **{**trained.options, "obs": "pixels", "obs_size": None})
    steps = trained.config["episode_length"]
    first = int(np.argmin(trained.seeds))
    agent = jax.tree.map(lambda leaf: leaf[first], trained.agents)
    policy = partial(_trained.act, trained.module, seen, False)
    states = record(seen, policy, steps, agent, params, _trained.level_keys(0, 1)[0])
    shown = strips.frames(full, states, params, np.arange(0, steps + 1, EVERY))
    times = strips.moments(steps, STRIP_FRAMES)
    large = strips.frames(full, states, params, times)
    small = strips.frames(seen, states, params, times) if _is_reduced(trained) else None
    distances = np.asarray(states.body.x[:, -1] - states.initial_x[:, -1])
    clips = []
    for index, name in enumerate(names, start=1):
        gif, strip = folder / f"{name}.gif", folder / f"{name}.png"
        both = media.beside(shown[0], shown[index])
        media.write_gif(gif, both, EVERY * STEP_SECONDS, limit)
        image = strips.strip(large[index], None if small is None else small[index])
        image.quantize(STRIP_COLORS, dither=Image.Dither.NONE).save(strip, optimize=True)
        text = (
            f"Seed {trained.seeds[first]}: {distances[0]:.0f} px in training, "
            f"{distances[index]:.0f} px under the shift, at the end of {steps} steps."
        )
        clips.append(Clip(name, gif, strip, text))
    return clips


def _is_reduced(trained: Trained) -> bool:
    """Whether agents see less than the full frame, as an image."""
    options: Mapping[str, Any] = trained.options
    return options.get("obs", "pixels") == "pixels" and options.get("obs_size") is not None


def _lowest_seed(block: Path) -> int:
    return min(trial.seed for trial in store.read_plan(block).trials)


def _gap(row: Row) -> float:
    return row.gap[METRIC].mean
