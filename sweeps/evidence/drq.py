"""DrQ: what shifting images and averaging over views does."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kagebench.benchmark.result import read
from kagebench.benchmark.scores import PairScores, collect
from kagebench.benchmark.table import by_suite
from sweeps import space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    in_words,
    interval,
    measured,
)
from sweeps.study import Objective, Study

RESULTS = Path(__file__).parents[2] / "results"
PAPER = "Kostrikov, Yarats, Fergus 2021, arXiv 2004.13649"
LAST = Objective("return", "max", 0.2)
RANDOM = 1.69  # return of random actions on fruits: the first update of the study


def fruits() -> Study:
    """Fruits on a small map seen from above, with few steps: shifts and views."""
    return Study(
        "drq",
        "grid/fruits",
        preset="minatar",
        task={"size": 5, "fruits": 3},
        seeds=5,
        set={
            "total_timesteps": 61_440,
            "learning_rate": 1e-3,
            "learning_starts": 1000,
            "target_interval": 100,
            "target_views": 1,
            "epsilon_fraction": 0.25,
            "buffer_size": 50_000,
            "env.max_steps_in_episode": 40,
        },
        space={
            "pad": space.choice(0, 1),
            "loss_views": space.choice(1, 2),
        },
        objective=LAST,
    )


def judge_fruits(points: list[Point]) -> Verdict:
    """Whether shifting helps, and averaging over views helps further, beyond random actions."""
    plain = find(points, pad=0, loss_views=1)
    one = find(points, pad=1, loss_views=1)
    two = find(points, pad=1, loss_views=2)
    shift, low, high = difference(one, plain, 2)
    views, views_low, views_high = difference(two, one, 2)
    helps = [low > 0 and interval(one.scores)[0] > RANDOM]
    helps.append(views_low > 0 and interval(two.scores)[0] > RANDOM)
    outcome = "reproduced" if all(helps) else "partly" if any(helps) else "not"
    return Verdict(
        outcome,
        f"no shift {in_words(plain, 2)}; a shift adds {shift:.2f} [{low:.2f}, {high:.2f}], a "
        f"second view adds {views:.2f} [{views_low:.2f}, {views_high:.2f}]; random actions have "
        f"{RANDOM}",
    )


def kage() -> Study:
    """KAGE-Bench at 32 x 32: the largest shift."""
    return Study(
        "drq",
        "kage/base-a",
        preset="quick",
        task={"obs_size": 32},
        seeds=3,
        set={"total_timesteps": 102_400},
        space={"pad": space.choice(0, 1, 2)},
        objective=LAST,
    )


# --- Gaps on the benchmark ------------------------------------------------------------------------

# kagebench reproduce --preset cpu --algorithm drq, and the same with --set pad=0; then bases A and
# B with hyper-parameters with which both learn there, see docs/reproduce.md.
ALL = (RESULTS / "kage-drq-cpu", RESULTS / "kage-drq-cpu-pad0")
BASES_AB = (RESULTS / "kage-drq-bases-ab", RESULTS / "kage-drq-bases-ab-pad0")
METRICS = {"success_once": 3, "distance": 1}  # digits
SIDES = ("train", "validation", "gap")


def gaps(augmented: Path, plain: Path) -> tuple[list[dict[str, Any]], Verdict]:
    """DrQ minus DrQ without shifts, per suite and per pair, on what both were evaluated on.

    Raises:
        OSError: a result file cannot be read.
        ValueError: they have no agent in common.
    """
    one, other = (collect(read(folder / "result.json")).pairs for folder in (augmented, plain))
    common = [
        name for name in one if name in other and set(one[name].seeds) & set(other[name].seeds)
    ]
    if not common:
        raise ValueError(f"{augmented} and {plain} have no pair with a common seed")
    rows, texts = [], []
    for metric, digits in METRICS.items():
        changes = {name: change(one[name], other[name], metric) for name in common}
        own = {name: summary([changes[name]]) for name in common}
        for suite, members in by_suite(changes):
            rows.append({"suite": suite, "metric": metric} | summary([changes[m] for m in members]))
        total = rows[-1]
        texts.append(f"{metric} {in_short(total, digits)}, {smaller(list(own.values()))}")
        rows += [{"pair": name, "metric": metric} | row for name, row in own.items()]
    return rows, Verdict(
        "measured",
        f"with minus without shifts, {total['agents']} agents, {len(common)} pairs: "
        f"{'; '.join(texts)}",
    )


def smaller(rows: list[dict[str, Any]]) -> str:
    """How many gaps are smaller, each by its own interval, which takes more than one agent."""
    highs = [row["gap_high"] for row in rows if "gap_high" in row]
    if not highs:
        return "one agent per pair, which says nothing about single pairs"
    return f"gap smaller in {sum(high < 0.0 for high in highs)} of {len(highs)} pairs"


def change(one: PairScores, other: PairScores, metric: str) -> dict[tuple[str, int], np.ndarray]:
    """(base, seed) -> differences (3,) of training, validation and gap, of agents in both."""
    seeds = sorted(set(one.seeds) & set(other.seeds))
    sides = (
        np.stack([getattr(own, side)[metric] for side in SIDES], axis=1)[
            [own.seeds.index(seed) for seed in seeds]
        ]
        for own in (one, other)
    )
    return dict(zip(((one.base, seed) for seed in seeds), next(sides) - next(sides)))


def summary(changes: list[dict[tuple[str, int], np.ndarray]]) -> dict[str, Any]:
    """Means over all agents and pairs, and 95 % intervals.

    The pairs of an agent are not independent, so agents are what is counted: Student's t for a
    ratio of sums over agents, with its linearised variance (Cochran 1977, chapter 6). One agent
    alone has no interval.
    """
    agents = sorted({agent for pair in changes for agent in pair})
    totals = np.stack([sum(pair.get(agent, np.zeros(3)) for pair in changes) for agent in agents])
    counts = np.array([sum(agent in pair for pair in changes) for agent in agents])
    mean = totals.sum(axis=0) / counts.sum()
    row: dict[str, Any] = {"agents": len(agents), "pairs": len(changes)}
    for i, side in enumerate(SIDES):
        row[side] = round(float(mean[i]), 4)
        if len(agents) > 1:
            # Their mean over agents is that of the pairs.
            values = mean[i] + (totals[:, i] - mean[i] * counts) / counts.mean()
            low, high = interval(values)
            row |= {f"{side}_low": round(low, 4), f"{side}_high": round(high, 4)}
    return row


def in_short(row: dict[str, Any], digits: int) -> str:
    """Differences with their intervals, as far as there are any."""
    texts = []
    for side in SIDES:
        ends = ""
        if f"{side}_low" in row:
            ends = f" [{row[f'{side}_low']:+.{digits}f}, {row[f'{side}_high']:+.{digits}f}]"
        texts.append(f"{side} {row[side]:+.{digits}f}{ends}")
    return ", ".join(texts)


EXPERIMENTS = (
    Sweep(
        key="fruits",
        paper=PAPER,
        claim="shifted views of replayed images make learning from pixels more data-efficient",
        study=fruits,
        judge=judge_fruits,
    ),
    Sweep(
        key="kage",
        paper=PAPER,
        claim="measured: return on KAGE-Bench at 32 x 32, by the largest shift",
        study=kage,
        judge=measured,
    ),
    Measurement(
        key="gaps",
        paper=PAPER,
        claim="measured: whether shifted views close the gaps of KAGE-Bench",
        env="the 34 pairs, preset cpu",
        measure=partial(gaps, *ALL),
    ),
    Measurement(
        key="gaps-bases-ab",
        paper=PAPER,
        claim="the same where agents learn without shifts, too",
        env="the 17 pairs of bases A and B",
        measure=partial(gaps, *BASES_AB),
    ),
)
