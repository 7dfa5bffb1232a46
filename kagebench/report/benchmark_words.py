"""What the benchmark's page says in words: what was measured, how, and what it does not show."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kagebench.benchmark.result import Result
from kagebench.benchmark.scores import Scores, agents_by_base
from kagebench.benchmark.table import OVERALL, Row
from kagebench.report.benchmark_charts import METRIC
from kagebench.report.results import SOLVED
from kagebench.schema import show
from kagebench.suites import BASES, PAIRS

BARS = (
    "Success once: the goal distance was reached at least once in an episode. Bars: means over "
    "agents, then over the pairs of the suite. Whiskers: 95 % bootstrap intervals, resampling "
    "agents together with all their pairs. Diamonds: what the paper reports, second-hand."
)
GAPS = (
    "Blue: the training configuration. Red: the same agents under the shift. Bands: 95 % bootstrap "
    "intervals over agents. Pairs of one base share their agents and so their blue dot."
)
CURVES = (
    "Success once in training against environment steps, one line per seed, averages of the "
    "episodes that ended. These are training levels: the tables come from the evaluation."
)
CHECKPOINTS = (
    "Evaluations in the course of training. Lines: means over agents and pairs. Bands: standard "
    "error over the means of pairs."
)
CLIPS = (
    "The pair with the largest gap in success once of each suite. Left the training configuration, "
    "right the shift: the same level and action noise, the whole episode, at most every fourth "
    "step. Then frames under the shift, and below them what the agent sees of it, if that is less. "
    "Agent and level are the first ones, whatever happens there: one episode is no statistic."
)
LEADERBOARD = (
    "Means over agents, then over pairs; the brackets are 95 % bootstrap intervals, resampling the "
    "agents of each algorithm with all their pairs. Rank 1 is the best mean in validation; ties "
    "share their average rank. Of jumps, fewer are better."
)
IMPROVEMENT = (
    "Probability that a random agent of the algorithm in the line beats one of that in the column "
    "on a pair, averaged over pairs, ties half, with 95 % bootstrap intervals. 0.5: no difference."
)
_SPACE = "\N{NO-BREAK SPACE}"
_STATISTICS = {
    "last": "the last checkpoint",
    "max": "the maximum over checkpoints, chosen on the very evaluations it is reported for",
    "mean": "the mean over checkpoints, the untrained agent among them if it was evaluated",
    "median": "the median over checkpoints",
    "min": "the minimum over checkpoints",
}
_PROTOCOLS = {
    "paired": "paired: training and validation share levels and action noise, so that a gap, "
    "training minus validation, is a paired difference",
    "reference": "reference: fresh levels for every evaluation; a gap is |training - validation| "
    "at each checkpoint, reduced over checkpoints afterwards",
}
_ART = {
    "shipped": "shipped: drawn for this implementation; rows with images or characters are "
    "comparable with the paper only with KAGEBENCH_ASSETS set",
    "external": "external: the art pack that KAGEBENCH_ASSETS or --assets named",
}


def lead(result: Result, scores: Scores) -> str:
    """One sentence: who, how much training, on what evaluated, which statistic."""
    agents = agents_by_base(scores.pairs)
    total = sum(map(len, agents.values()))
    return (
        f"{total} agents on {len(agents)} training configurations, "
        f"{_steps(result.training_steps)} environment steps each, evaluated under "
        f"{len(scores.pairs)} visual shifts that leave task and dynamics as they are. Statistic: "
        f"{_STATISTICS[scores.statistic]}."
    )


def comparison(num_pairs: int, scores: Scores) -> str:
    """One sentence about what algorithms are compared on."""
    which = "all 34 pairs" if num_pairs == len(PAIRS) else f"the {num_pairs} pairs all of them have"
    return (
        f"Compared on {which}, by {METRIC.replace('_', ' ')} unless another metric is chosen. "
        f"Statistic: {_STATISTICS[scores.statistic]}."
    )


def differences(results: Sequence[Result], scores: Sequence[Scores]) -> str:
    """A warning about what makes results incomparable, empty if nothing does."""
    facts = [short(*made) for made in zip(results, scores)]
    names = ("observation", "art", "protocol", "training", "actions")
    found = [name for name in names if len({fact[name] for fact in facts}) > 1]
    if not found:
        return ""
    which = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
    return f"Not made alike, compare with care: these results differ in {which}, see below."


def short(result: Result, scores: Scores) -> dict[str, str]:
    """Name -> how the result was made, in few words."""
    options, agents = result.observation, agents_by_base(scores.pairs)
    size = options["obs_size"] or 128
    return {
        "observation": "state" if options["obs"] == "state" else f"pixels, {size}x{size}",
        "art": options["art"],
        "protocol": result.protocol,
        "training": f"{_steps(result.training_steps)} steps",
        "agents": f"{sum(map(len, agents.values()))} on {len(agents)} bases",
        "pairs": f"{len(scores.pairs)} of {len(PAIRS)}",
        "levels": str(result.episodes),
        "actions": result.actions,
    }


def warnings(result: Result, scores: Scores) -> list[str]:
    """What a reader must know before reading the numbers."""
    found = []
    if len(scores.pairs) < len(PAIRS):
        found.append(
            f"A partial result: {len(scores.pairs)} of {len(PAIRS)} pairs. Suites without any are "
            "left out, and the others are means over the pairs that are there."
        )
    few = sorted({len(seeds) for seeds in agents_by_base(scores.pairs).values()})[0]
    if few < 3:
        found.append(
            f"Only {few} {'agents' if few > 1 else 'agent'} per base: intervals say little about "
            "agents that were not trained."
        )
    if scores.statistic in ("max", "min"):
        found.append(f"Statistic: {_STATISTICS[scores.statistic]}; it is biased.")
    return found + unsolved(result)


def unsolved(result: Result) -> list[str]:
    """A warning about agents that do not solve their training configuration at the end."""
    last = result.evaluations.filter(
        pl.col("config") == pl.col("base"),
        pl.col("step") == pl.col("step").max().over("base", "seed"),
    )
    below = last.filter(pl.col(METRIC) < SOLVED)
    if below.is_empty():
        return []
    worst = below.sort(METRIC).row(0, named=True)
    return [
        f"The training task is not solved: {below.height} of {last.height} agents reach success "
        f"once below {SOLVED} in training, the lowest is seed {worst['seed']} on {worst['base']} "
        f"with {worst[METRIC]:.2f}. Gaps of agents that did not learn mean little."
    ]


def numbers(suites: Sequence[Row], pairs: Sequence[Row]) -> list[tuple[str, str, str]]:
    """The large numbers: (kind, number, what it is)."""
    overall = next(row for row in suites if row.name == OVERALL)
    train, shift = overall.train[METRIC], overall.validation[METRIC]
    suite = max((row for row in suites if row.name != OVERALL), key=_gap)
    pair = max(pairs, key=_gap)
    return [
        ("train", _percent(train.mean), f"success once in training, {_interval(train)}"),
        ("shift", _percent(shift.mean), f"success once under shift, {_interval(shift)}"),
        ("shift", _points(suite), f"largest gap of a suite: {suite.name.replace('_', ' ')}"),
        ("shift", _points(pair), f"largest gap of a pair: {pair.name}"),
    ]


def table_note(result: Result, scores: Scores, file: str, kind: str) -> str:
    """What the cells of a table are, and where each of them is."""
    spread = "agents" if kind == "pair" else "the means of its pairs"
    gap = (
        "Gap: training minus validation"
        if result.protocol == "paired"
        else "Gap: |training - validation| per checkpoint, then the statistic"
    )
    paper = "" if kind == "pair" else "Below ours: what the paper reports, second-hand. "
    return (
        f"Statistic: {_STATISTICS[scores.statistic]}. {gap}; gap{_SPACE}%: of the training mean. "
        f"{paper}± is the standard error over {spread}, IQM the interquartile mean over agents and "
        "pairs, brackets are 95 % bootstrap intervals, resampling agents with all their pairs. "
        f"Every cell: {file}, line with its name, metric and split (train, validation, gap, "
        "relative_gap), columns mean, sem, iqm, low, high, iqm_low, iqm_high; computed from the "
        "evaluations in result.json."
    )


def facts(result: Result, scores: Scores) -> dict[str, str]:
    """Name -> how the result was made."""
    agents = agents_by_base(scores.pairs)
    found = {
        "protocol": _PROTOCOLS[result.protocol],
        "observation": observation(result.observation),
        "art": _ART[result.observation["art"]],
        "statistic": _STATISTICS[scores.statistic],
        "agents": _agents(agents),
        "training": f"{_steps(result.training_steps)} environment steps per agent",
        "evaluation": f"{result.episodes} levels per agent, configuration and checkpoint, one "
        f"episode each, actions {result.actions}",
    }
    return found | machine(result.machine)


def machine(described: Mapping[str, Any]) -> dict[str, str]:
    """Name -> what the result was made on, as far as it is known."""
    if not described:
        return {"machine": "not given"}
    known = {name: value for name, value in described.items() if value is not None}
    hardware = [known[name] for name in ("cpu", "device", "backend", "platform") if name in known]
    if "cores" in known:
        hardware.append(f"{known['cores']} cores")
    software = [f"{name} {known[name]}" for name in ("kagebench", "python", "jax") if name in known]
    found = {"machine": ", ".join(dict.fromkeys(map(str, hardware)))}
    if software:
        found["versions"] = ", ".join(software)
    if "git_revision" in known:
        changed = " with changes" if known.get("git_modified") else ""
        found["revision"] = f"{known['git_revision']}{changed}"
    return {name: text for name, text in found.items() if text} or {"machine": "not given"}


def observation(options: Mapping[str, Any]) -> str:
    """What the agents saw."""
    size = options["obs_size"]
    if options["obs"] == "state":
        return "the privileged state, no pixels: not a result on the benchmark"
    if size is None:
        return "pixels, 128x128: the benchmark's own resolution"
    return (
        f"pixels, the {size}x{size} track ({options['pooling']} of blocks): not comparable with "
        "results at full resolution"
    )


def profile(data: Mapping[str, Any]) -> str:
    """What a generalization profile shows."""
    return (
        f"Agents of {data['policy']} trained on {data['train']}, seeds "
        f"{', '.join(map(str, data['seeds']))}, {data['episodes']} levels, one axis at a time. "
        "Robustness: area under the curve of success once over the axis, between 0 and 1; "
        "relative: divided by the success where nothing is changed; halves: where success falls to "
        "half of that, on either side, – if it never does."
    )


def changes(values: Mapping[str, Any]) -> str:
    """What a pair changes, in words of the configuration file."""
    return ", ".join(f"{key} = {show(value)}" for key, value in values.items())


def _agents(agents: Mapping[str, Sequence[int]]) -> str:
    """Bases with their seeds, equal ones together."""
    same: dict[tuple[int, ...], list[str]] = {}
    for base in sorted(agents, key=list(BASES.values()).index):
        same.setdefault(tuple(agents[base]), []).append(base)
    return "; ".join(
        f"{', '.join(bases)}: seeds {', '.join(map(str, seeds))}" for seeds, bases in same.items()
    )


def _gap(row: Row) -> float:
    return row.gap[METRIC].mean


def _points(row: Row) -> str:
    return f"{100 * _gap(row):.0f} points"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}{_SPACE}%"


def _interval(stat: Any) -> str:
    return f"95{_SPACE}% interval {100 * stat.low:.0f} to {100 * stat.high:.0f}{_SPACE}%"


def _steps(steps: int) -> str:
    return f"{steps / 1e6:.3g} M" if steps >= 1e5 else f"{steps:,}"
