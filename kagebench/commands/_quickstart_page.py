"""What the quickstart's page says, and the images on it."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import polars as pl

from kagebench.commands import _trained
from kagebench.commands._trained import Config, Trained
from kagebench.evaluate import record
from kagebench.registry import make
from kagebench.report import curves, page, strips
from kagebench.report.results import GAP_METRIC, SOLVED, lowest_agent
from kagebench.schema import show
from kagebench.suites import PAIRS
from sweeps import store

STRIP_FRAMES = 8
FILES = {
    "training/": "the run: plan, metrics of every update (metrics.parquet), checkpoint, machine",
    "episodes-*.parquet": "one row per policy, agent, config and level",
    "summary.json": "the statistics of the table: means, SEM, IQM, intervals, gaps",
    "quickstart.json": "settings, machine and times",
    "curves.png, shifts.png, strips/": "the images",
}
# Columns of the training metrics -> metrics of the evaluation.
_METRIC = {"success_once": "success_once", "passed_distance": "distance", "return": "return"}
_SMOKE = (
    "Smoke test: hardly any training, few levels, a part of the shifts. It shows that everything "
    "works and nothing about generalization, and does not require the training task to be solved."
)


def draw_images(
    folder: Path,
    trained: Trained,
    shifts: Mapping[str, Config],
    key: jax.Array,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Path]:
    """Write curves.png, shifts.png and the strips; returns the paths of the latter by config.

    Args:
        folder: of the quickstart.
        trained: the agents.
        shifts: what they were evaluated on besides their training configuration.
        key: of the episode that the strips show.
        tables: policy -> summary, the trained algorithm among them.
    """
    references = {
        policy: {name: entries[0]["metrics"][_METRIC[name]]["mean"] for name in curves.PANELS}
        for policy, entries in tables.items()
        if policy != trained.algorithm
    }
    metrics = store.read_metrics(folder / "training").collect()
    curves.learning_curves(metrics, folder / "curves.png", references)
    curves.shift_chart(tables[trained.algorithm], folder / "shifts.png", GAP_METRIC)
    return _draw_strips(folder / "strips", trained, shifts, key)


def write_page(
    folder: Path,
    trained: Trained,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    pictures: Mapping[str, Path],
    about: Mapping[str, Any],
    command: str,
    smoke: bool,
) -> None:
    """Write index.html.

    Args:
        folder, trained, tables: as for `draw_images`.
        pictures: what it returned.
        about: content of quickstart.json.
        command: how to do the same again.
        smoke: whether this is only a test.
    """
    entries = tables[trained.algorithm]
    report = page.Report(
        title="PPO under visual shift" + (": smoke test" if smoke else ""),
        lead=_lead(folder, trained, len(entries) - 1, smoke),
        warning=_SMOKE if smoke else unsolved(entries),
        learner=trained.algorithm,
        summaries=tables,
        curves=folder / "curves.png",
        chart=folder / "shifts.png",
        strips=pictures,
        strips_note=(
            f"Seed {trained.seeds[0]} on the first level of the evaluation, at the same "
            f"{STRIP_FRAMES} moments of the episode. Above the frame, below what the agent sees "
            "of it: 32x32 pixels, the averages of blocks of 4x4."
        ),
        changes=_changes(trained.name),
        command=command,
        facts=_facts(trained, entries, about),
        files=FILES,
    )
    page.write(report, folder / "index.html")


def unsolved(entries: Sequence[Mapping[str, Any]]) -> str:
    """A sentence if a seed did not solve the training task, otherwise empty."""
    agent, lowest = lowest_agent(entries[0])
    if lowest >= SOLVED:
        return ""
    return (
        f"The training task is not solved: seed {agent} has {GAP_METRIC} {lowest:.2f}, below "
        f"{SOLVED}. Gaps of agents that did not learn mean little."
    )


def _draw_strips(
    folder: Path, trained: Trained, shifts: Mapping[str, Config], key: jax.Array
) -> dict[str, Path]:
    sources = [trained.config, *shifts.values()]
    seen, params = make(sources, **trained.options)
    full, _ = make(sources, **{**trained.options, "obs_size": None})
    agent = jax.tree.map(lambda leaf: leaf[0], trained.agents)
    policy = partial(_trained.act, trained.module, seen, False)
    num_steps = trained.config["episode_length"]
    states = record(seen, policy, num_steps, agent, params, key)
    times = strips.moments(num_steps, STRIP_FRAMES)
    frames = [strips.frames(env, states, params, times) for env in (full, seen)]
    return strips.save_strips(folder, (trained.name, *shifts), *frames)


def _lead(folder: Path, trained: Trained, shifts: int, smoke: bool) -> str:
    steps = store.read_metrics(folder / "training").select(pl.col("step").max()).collect().item()
    which = "some" if smoke else "all"
    return (
        f"{len(trained.seeds)} agents trained for {steps / 1e6:.2g} M steps each to run and jump, "
        f"from 32x32 pixels on a black background. Then only the look of the world changed, in "
        f"{shifts} ways: {which} pairs of KAGE-Bench that train on base A. The task, the levels "
        "and the agents stayed the same."
    )


def _changes(train: str) -> dict[str, str]:
    """Configuration -> what it changes, in words of the configuration file."""
    texts = {
        pair.name: ", ".join(f"{key} = {show(value)}" for key, value in pair.changes.items())
        for pair in PAIRS.values()
    }
    return texts | {train: "the training configuration"}


def _facts(
    trained: Trained, entries: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> dict[str, str]:
    described = about["machine"]
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in about["seconds"].items())
    return {
        "observation": "the 32x32 track, a variant of the benchmark: not comparable with results "
        "at full resolution",
        "seeds": ", ".join(map(str, trained.seeds)),
        "levels": f"{entries[0]['episodes']}, the same for all policies, seeds and configs, one "
        "episode each",
        "actions": "sampled from the policy",
        "machine": f"{described['cpu']}, {described['cores']} cores, {described['backend']}",
        "versions": f"kagebench {described['kagebench']}, JAX {described['jax']}, "
        f"Python {described['python']}",
        "revision": f"{described['git_revision'] or 'not a checkout'}"
        f"{' with changes' if described['git_modified'] else ''}",
        "wall-clock time": f"{seconds}, compilation included",
    }
