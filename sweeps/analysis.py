"""Statistics of a finished study, from study.yaml, trials.parquet and metrics.parquet alone.

The score of a point is the mean over its seeds. Points are compared only if all their seeds have a
score: a mean over the seeds that survived would make a point look better than it is. A trial that
came to its end without a score is no failure: the metric may be missing because episodes last long.

Whatever is the best of many is so by luck too, the more so the more there are. What it scores on
seeds that had no part in choosing it is free of that (`reestimates`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import polars as pl

from kagebench.benchmark import resampling
from sweeps import scales, study
from sweeps.scales import Scale
from sweeps.search import Grid
from sweeps.store import FolderError
from sweeps.study import Study

RESAMPLES = 10_000
TAIL = 0.5 * (1.0 - resampling.LEVEL)
FEWEST_SEEDS = 4  # to choose on one half and to report on the other
_MOST_SPLITS = 252
_BLOCK = 256
_CURVE_BINS = 60


@dataclass(frozen=True)
class Results:
    """A study's trials and points.

    Attributes:
        folder: of the study.
        study: what was searched.
        trials: content of trials.parquet.
        points: one row per point, in order: point, status ("failed", "missing", "stopped",
            "unscored" if one of its seeds failed, has not been run, was stopped by a scheduler,
            came to its end without a score, in this order; otherwise "finished"), score (mean over
            the seeds that have one), lowest, highest, low, high (95 % interval over seeds, of
            finished points with several), seeds (number of those with a score), failed, missing,
            stopped, unscored (number of such seeds), then the parameters.
        numbers: of the finished points [P].
        scores: of their trials, float64 [P, S].
    """

    folder: Path
    study: Study
    trials: pl.DataFrame
    points: pl.DataFrame
    numbers: np.ndarray
    scores: np.ndarray

    @property
    def sign(self) -> float:
        """1 if high scores are good, -1 if low ones are."""
        return -1.0 if self.study.objective.mode == "min" else 1.0

    @property
    def scheduler(self) -> str | None:
        """Name of the scheduler, None without one."""
        return next(iter(self.study.scheduler), None) if self.study.scheduler else None

    @property
    def finished(self) -> pl.DataFrame:
        """Rows of the finished points."""
        return self.points.filter(status="finished")

    @property
    def num_failed(self) -> int:
        """Points that failed."""
        return self.points.filter(status="failed").height

    @property
    def ranking(self) -> np.ndarray:
        """Rows of `scores`, the best first."""
        return np.argsort(-self.sign * self.scores.mean(axis=1), kind="stable")

    @property
    def scales(self) -> dict[str, Scale]:
        """Axes of the parameters that have several values."""
        return scales.of_study(self.study)

    @property
    def exact(self) -> bool:
        """Whether the finished points are all combinations of some values."""
        conditional = any(self.study.space[name].when for name in self.study.space)
        everything = len(self.numbers) == self.points.height
        return isinstance(self.study.search, Grid) and everything and not conditional


# --- Reading --------------------------------------------------------------------------------------


def read(folder: Path) -> Results:
    """Read the folder of a study.

    Raises:
        sweeps.store.FolderError: it holds no study, or none with a finished point.
    """
    if not (folder / "study.yaml").is_file():
        raise FolderError(f"{folder}: holds no study (study.yaml not found)")
    what = study.load(folder / "study.yaml")
    trials = _read_trials(folder, what)
    results = _summarise(folder, what, trials)
    if not len(results.numbers):
        raise FolderError(
            f"{folder}: no point has a score of all its {len(what.seeds)} seeds, allowed: one or "
            f"more ({_count_text(trials)})"
        )
    return results


def before_first_decision(results: Results, metrics: pl.LazyFrame) -> Results:
    """The same with scores from before a scheduler stopped any point, where all can be compared.

    Args:
        results: of a study with a scheduler that stops points.
        metrics: of `read_metrics`.

    Returns:
        results in which all points that had a score then are finished; there may be none.
    """
    first = lengths(metrics).group_by("group").agg(pl.col("updates").min())
    start = (1.0 - results.study.objective.last) * pl.col("updates")
    scores = (
        metrics.join(first.lazy(), on="group")
        .filter(pl.col("update").is_between(start, "updates", closed="right"))
        .filter(pl.col("value").is_not_nan())
        .group_by("trial")
        .agg(pl.col("value").cast(pl.Float64).mean().alias("score"))
        .collect()
    )
    trials = results.trials.drop("score").join(
        scores, on="trial", how="left", maintain_order="left"
    )
    status = pl.col("status").replace({"stopped": "finished"})
    return _summarise(results.folder, results.study, trials.with_columns(status))


def _summarise(folder: Path, what: Study, trials: pl.DataFrame) -> Results:
    points = _points(trials, what)
    finished = points.filter(status="finished")
    rows = trials.filter(pl.col("point").is_in(finished["point"].implode())).sort("point", "trial")
    scores = rows["score"].to_numpy().reshape(finished.height, len(what.seeds))
    low, high = seed_intervals(scores)
    ends = pl.DataFrame({"point": finished["point"], "low": low, "high": high}).fill_nan(None)
    points = points.join(ends, on="point", how="left", maintain_order="left").select(
        *("point", "status", "score", "lowest", "highest", "low", "high", "seeds", "failed"),
        *("missing", "stopped", "unscored", *what.space),
    )
    return Results(folder, what, trials, points, finished["point"].to_numpy(), scores)


def _read_trials(folder: Path, what: Study) -> pl.DataFrame:
    path = folder / "trials.parquet"
    if not path.is_file():
        raise FolderError(f"{folder}: nothing has been run (trials.parquet not found)")
    try:
        trials = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FolderError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    for name in ("trial", "point", "seed", "status", "score", *what.space):
        if name not in trials.columns:
            raise FolderError(f"{path}: column {name} not found")
    sizes = trials.group_by("point").len()
    if sizes.is_empty() or set(sizes["len"]) != {len(what.seeds)}:
        raise FolderError(f"{path}: got other numbers of seeds, allowed: {len(what.seeds)} a point")
    return trials.with_columns(pl.col("score").cast(pl.Float64).fill_nan(None)).sort("trial")


def _points(trials: pl.DataFrame, what: Study) -> pl.DataFrame:
    score, status = pl.col("score"), pl.col("status")
    absent = {
        "failed": status == "failed",
        "missing": status == "waiting",
        "stopped": status == "stopped",
        "unscored": (status == "finished") & score.is_null(),
    }
    found = pl.lit("finished")
    for name in reversed(absent):
        found = pl.when(pl.col(name) > 0).then(pl.lit(name)).otherwise(found)
    return (
        trials.group_by("point", maintain_order=True)
        .agg(
            score.mean(),
            score.min().alias("lowest"),
            score.max().alias("highest"),
            score.count().cast(pl.Int64).alias("seeds"),
            *(condition.sum().cast(pl.Int64).alias(name) for name, condition in absent.items()),
            *(pl.col(name).first() for name in what.space),
        )
        .with_columns(status=found)
        .sort("point")
    )


def _count_text(trials: pl.DataFrame) -> str:
    counts = trials.group_by("status", maintain_order=True).len()
    scored = trials["score"].count()
    found = ", ".join(f"{count} {status}" for status, count in counts.iter_rows())
    return f"{found}; {scored} with a score"


# --- Scores and seeds -----------------------------------------------------------------------------


def seed_intervals(scores: np.ndarray, resamples: int = RESAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """95 % bootstrap intervals (low, high) of the mean of every point [P]; NaN for one seed.

    All points are given the same draws of seeds.
    """
    points, seeds = scores.shape
    if seeds == 1 or not points:
        return np.full(points, np.nan), np.full(points, np.nan)
    drawn = resampling.draw_counts({"": seeds}, resamples)[""].astype(np.float64) / seeds
    ends = [
        resampling.interval(drawn @ scores[start : start + _BLOCK].T)
        for start in range(0, points, _BLOCK)
    ]
    low, high = (np.concatenate(parts) for parts in zip(*ends, strict=True))
    return low, high


def splits(seeds: int) -> Iterator[tuple[list[int], list[int]]]:
    """Halves of the seeds: (those to choose on, the rest); all, or some where there are many.

    Of an odd number, the smaller half chooses.
    """
    half = seeds // 2
    if comb(seeds, half) <= _MOST_SPLITS:
        chosen = combinations(range(seeds), half)
    else:
        rng = np.random.default_rng(0)
        draws = (rng.choice(seeds, half, replace=False) for _ in range(_MOST_SPLITS))
        chosen = (tuple(sorted(draw.tolist())) for draw in draws)
    for one in chosen:
        yield list(one), [seed for seed in range(seeds) if seed not in one]


def reestimates(scores: np.ndarray, sign: float) -> np.ndarray | None:
    """What points score on seeds that did not rank them: float64 [splits, P], None for few seeds.

    In every split, points are ranked by one half of the seeds, from bad to good, and have their
    mean over the other half as value. Points of equal rank share the average of their values, as if
    drawn by lot.
    """
    if scores.shape[1] < FEWEST_SEEDS:
        return None
    found = []
    for select, report in splits(scores.shape[1]):
        ranks = _ranks(sign * scores[:, select].mean(axis=1))
        shared = np.bincount(ranks, scores[:, report].mean(axis=1)) / np.bincount(ranks)
        found.append(shared[np.sort(ranks)])
    return np.stack(found)


def first_shares(scores: np.ndarray, sign: float) -> np.ndarray | None:
    """Share of the splits of `reestimates` that choose each point [P]; None for few seeds."""
    if scores.shape[1] < FEWEST_SEEDS:
        return None
    found = []
    for select, _ in splits(scores.shape[1]):
        ranks = _ranks(sign * scores[:, select].mean(axis=1))
        first = ranks == ranks.max()
        found.append(first / first.sum())
    return np.mean(found, axis=0)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values have the same one; values that differ by rounding are equal."""
    size = np.abs(values).max(initial=0.0) or 1.0
    return np.unique(np.round(values / size, 12), return_inverse=True)[1]


# --- How much tuning ------------------------------------------------------------------------------


def expected_best(ordered: np.ndarray) -> np.ndarray:
    """Expected last one of k of n values, drawn without replacement, for k = 1 ... n.

    Value i of n, from 1, is the last of k with probability C(i-1, k-1) / C(n, k). This is the
    expected validation performance of Dodge et al. 2019 (arXiv 1909.03004) without its bias, which
    is due to drawing with replacement (Tang et al. 2020, arXiv 2004.13705).

    Args:
        ordered: [..., n], from bad to good.

    Returns:
        [..., n].
    """
    size = ordered.shape[-1]
    below = np.arange(size + 1) / size  # that all of k are among the first 0 ... n
    found = []
    for drawn in range(1, size + 1):
        found.append(ordered @ np.diff(below))
        below = below * (np.arange(size + 1) - drawn).clip(0) / max(size - drawn, 1)
    return np.stack(found, axis=-1)


def best_quantiles(size: int, levels: Sequence[float]) -> np.ndarray:
    """Quantiles of the last one of k of n ordered values: positions, int [levels, n]."""
    below = np.arange(1, size + 1) / size
    found = []
    for drawn in range(1, size + 1):
        found.append([np.searchsorted(below, level - 1e-12) for level in levels])
        below = below * (np.arange(1, size + 1) - drawn).clip(0) / max(size - drawn, 1)
    return np.array(found).T.clip(0, size - 1)


def tuning(results: Results) -> pl.DataFrame:
    """Score of the best of k points drawn from those of the study, for every k.

    A failed point counts as the worst score of all.

    Returns:
        columns k, expected, low, high (what 95 % of such draws lie between), reestimate (expected
        score of that best point on seeds that had no part in choosing it; null for few seeds).
    """
    sign, failed = results.sign, results.num_failed
    ordered = np.sort(sign * results.scores.mean(axis=1))
    ordered = np.concatenate([np.full(failed, ordered[0]), ordered])
    low, high = ordered[best_quantiles(len(ordered), (TAIL, 1.0 - TAIL))]
    columns = {
        "k": np.arange(1, len(ordered) + 1),
        "expected": sign * expected_best(ordered),
        "low": sign * (low if sign > 0 else high),
        "high": sign * (high if sign > 0 else low),
    }
    again = reestimates(results.scores, sign)
    if again is not None:
        values = sign * again.mean(axis=0)
        values = np.concatenate([np.full(failed, values.min()), values])
        columns["reestimate"] = sign * expected_best(values)
    frame = pl.DataFrame(columns)
    return frame if again is not None else frame.with_columns(reestimate=pl.lit(None, pl.Float64))


def share_within(results: Results, tolerance: float) -> tuple[int, int]:
    """How many points are within a share of the best score, and of how many; failed ones are not.

    Args:
        results: of a study.
        tolerance: 0.05 for scores that miss the best one by at most 5 % of its size.
    """
    goodness = results.sign * results.scores.mean(axis=1)
    best = goodness.max()
    near = int((goodness >= best - tolerance * abs(best)).sum())
    return near, len(goodness) + results.num_failed


# --- Learning curves ------------------------------------------------------------------------------


def read_metrics(results: Results) -> pl.LazyFrame:
    """Columns trial, update, step, value (the metric of the objective), point, group.

    Raises:
        sweeps.store.FolderError: the file cannot be read.
    """
    path, name = results.folder / "metrics.parquet", results.study.objective.metric
    if not path.is_file():
        raise FolderError(f"{results.folder}: metrics.parquet not found")
    try:
        metrics = pl.scan_parquet(path)
        known = metrics.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FolderError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    for column in ("trial", "update", "step", name):
        if column not in known:
            raise FolderError(f"{path}: column {column} not found")
    groups = "group" if "group" in results.trials.columns else pl.lit(0).alias("group")
    owner = results.trials.select(pl.col("trial").cast(pl.Int64), "point", groups).lazy()
    number = pl.col("trial").cast(pl.Int64)
    return metrics.select(number, "update", "step", value=pl.col(name)).join(owner, on="trial")


def curves(results: Results, metrics: pl.LazyFrame) -> pl.DataFrame:
    """Learning curve of every point, averaged in sixtieths of the longest run, without NaN.

    Returns:
        columns point, step, mean (over seeds), lowest, highest; sorted.
    """
    last = metrics.select(pl.col("step").max()).collect().item()
    if not last:
        schema = dict.fromkeys(("step", "mean", "lowest", "highest"), pl.Float64)
        return pl.DataFrame(schema={"point": pl.Int64} | schema)
    part = ((pl.col("step").cast(pl.Int64) * _CURVE_BINS - 1) // last).alias("part")
    return (
        metrics.filter(pl.col("value").is_finite())
        .group_by("point", "trial", part)
        .agg(pl.col("value").cast(pl.Float64).mean(), pl.col("step").mean())
        .group_by("point", "part")
        .agg(
            pl.col("step").mean(),
            pl.col("value").mean().alias("mean"),
            pl.col("value").min().alias("lowest"),
            pl.col("value").max().alias("highest"),
        )
        .sort("point", "part")
        .drop("part")
        .collect()
    )


def lengths(metrics: pl.LazyFrame) -> pl.DataFrame:
    """How many points ran how long: columns group, updates, points; sorted.

    More than one row per group means that a scheduler stopped some of them.
    """
    return (
        metrics.group_by("group", "point")
        .agg(pl.col("update").max().alias("updates"))
        .group_by("group", "updates")
        .agg(pl.len().cast(pl.Int64).alias("points"))
        .sort("group", "updates")
        .collect()
    )
