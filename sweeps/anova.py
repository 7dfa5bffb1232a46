"""Which parameters matter: mean scores along each one, and shares of the variance.

The functional analysis of variance (Hoeffding 1948; for hyper-parameters: Hutter, Hoos and
Leyton-Brown 2014) splits the variance of the scores over the space into main effects of parameters,
interactions of pairs, and what is left:

    V_i  = Var E[f | x_i]        V_ij = Var E[f | x_i, x_j] - V_i - V_j

A full grid gives all of these exactly. Otherwise they are estimated from the points themselves, as
variance between bins (Pearson's correlation ratio; Plischke, Borgonovo and Smith 2013), without a
model such as a random forest in between. Bins explain some variance by chance; the part to be
expected is subtracted (epsilon squared: Kelley 1935), so that a parameter without influence has 0
on average, and sometimes a little less. Where there are points enough, the main effects of the
other parameters, in coarse bins, are taken out first, which makes small shares visible.

Arguments that all functions share: P points with S seeds each,

    scales   parameter -> its axis
    places   parameter -> where the points are on it [P], NaN where it does not exist
    scores   [P, S]
    exact    whether the points are a full grid
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from kagebench import stats
from sweeps.scales import Scale, short

RESAMPLES = 2000
FEWEST = 8  # points, below which no share is estimated
_FOLDS = 20
_ABSENT = -1

Places = Mapping[str, np.ndarray]
Scales = Mapping[str, Scale]


# --- Mean scores along a parameter ----------------------------------------------------------------


def effects(
    scales: Scales, places: Places, scores: np.ndarray, exact: bool, resamples: int = RESAMPLES
) -> pl.DataFrame:
    """Mean score in every bin of every parameter, with 95 % bootstrap intervals.

    Bins are the levels of a discrete parameter, else quantiles with equally many points. Intervals
    draw seeds with replacement, and points of the bin too unless they are all there are.

    Returns:
        one row per bin: parameter, label, place (of the level, or the median), first, last (ends
        of the bin), mean, low, high (NaN for one score), points.
    """
    rows = []
    for name, scale in scales.items():
        codes = level_codes(scale, places[name])
        if not scale.levels:
            codes = bins(scale, places[name], num_bins(int((codes >= 0).sum())))
        for code in range(codes.max(initial=_ABSENT) + 1):
            rows.append(_effect(scale, places[name], scores, codes == code, exact, resamples))
    return pl.DataFrame(rows, schema=_EFFECTS, orient="row")


_EFFECTS = {
    **{"parameter": pl.String, "label": pl.String},
    **dict.fromkeys(("place", "first", "last", "mean", "low", "high"), pl.Float64),
    "points": pl.Int64,
}


def _effect(
    scale: Scale,
    places: np.ndarray,
    scores: np.ndarray,
    here: np.ndarray,
    exact: bool,
    resamples: int,
) -> tuple[str | float | int, ...]:
    values, found = scores[here], places[here]
    first, last = found.min(), found.max()
    crossed = values.T if exact else values
    low, high = stats.bootstrap(crossed, resamples=resamples, resample_levels=not exact)
    if crossed.size == 1 or (exact and len(crossed) == 1):
        low = high = np.nan
    place = float(np.median(found))
    ends = float(first), float(last), float(values.mean()), float(low), float(high)
    return scale.name, _label(scale, first, last), place, *ends, len(values)


# --- Shares of the variance -----------------------------------------------------------------------


def importance(scales: Scales, places: Places, scores: np.ndarray, exact: bool) -> pl.DataFrame:
    """Shares of the variance of point scores: main effects, then pairs, the largest first.

    A share of a parameter that exists at some points only, and of its pairs, is one of the variance
    among these points.

    Returns:
        one row per parameter and pair: parameter, other (null for a main effect), share (null
        where there are too few points), error (its standard error, from leaving out twentieths of
        the points, of a grid its seeds, in turn; null where there are too few), points.
    """
    design = _Design.make(scales, places, exact)
    terms = [(name,) for name in scales] + list(combinations(scales, 2))
    shares, errors = _all_shares(design, terms, scores)
    rows = []
    for term, share, error in zip(terms, shares, errors, strict=True):
        name, other = term if len(term) == 2 else (*term, None)
        rows.append((name, other, share, error, int(design.exist(term).sum())))
    types = {"parameter": pl.String, "other": pl.String, "share": pl.Float64, "error": pl.Float64}
    frame = pl.DataFrame(rows, schema=types | {"points": pl.Int64}, orient="row")
    last = pl.col("other").is_not_null()
    return frame.fill_nan(None).sort(last, -pl.col("share"), nulls_last=True, maintain_order=True)


def seed_noise(scores: np.ndarray) -> float:
    """Variance of the mean score of a point that its seeds cause; NaN for one seed or point.

    What all points have in common under a seed does not count: points are compared under the same
    seeds.
    """
    points, seeds = scores.shape
    if points < 2 or seeds < 2:
        return np.nan
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    return float((rest**2).sum() / ((points - 1) * (seeds - 1)) / seeds)


def noise_share(scores: np.ndarray) -> float:
    """Share of the variance of point scores that seeds cause; NaN if it is unknown."""
    variance = scores.mean(axis=1).var(ddof=1) if len(scores) > 1 else 0.0
    return min(seed_noise(scores) / variance, 1.0) if variance > 0.0 else np.nan


def pair_means(
    scales: Scales, places: Places, scores: np.ndarray, parameter: str, other: str, exact: bool
) -> pl.DataFrame:
    """Mean score in the bins of two parameters together, of points where both exist.

    Returns:
        one row per pair of bins with points: parameter, other, a, b (numbers of the bins),
        label_a, label_b, mean, points.
    """
    design = _Design.make(scales, places, exact)
    codes = [design.coarse[name] for name in (parameter, other)]
    here = design.exist((parameter, other))
    labels = [
        _labels(scales[name], places[name][here], code[here])
        for name, code in zip((parameter, other), codes)
    ]
    return (
        pl.DataFrame({"a": codes[0][here], "b": codes[1][here], "mean": scores.mean(axis=1)[here]})
        .group_by("a", "b")
        .agg(pl.col("mean").mean(), pl.len().cast(pl.Int64).alias("points"))
        .sort("a", "b")
        .select(
            pl.lit(parameter).alias("parameter"),
            pl.lit(other).alias("other"),
            *("a", "b"),
            pl.col("a").replace_strict(labels[0], return_dtype=pl.String).alias("label_a"),
            pl.col("b").replace_strict(labels[1], return_dtype=pl.String).alias("label_b"),
            *("mean", "points"),
        )
    )


def _labels(scale: Scale, places: np.ndarray, codes: np.ndarray) -> dict[int, str]:
    """Number of a bin -> its values in words."""
    found = {}
    for code in np.unique(codes).tolist():
        here = places[codes == code]
        found[code] = _label(scale, here.min(), here.max())
    return found


def _label(scale: Scale, first: float, last: float) -> str:
    ends = [
        scale.labels[int(end)] if scale.levels else short(end)
        for end in ([first] if first == last else [first, last])
    ]
    return " to ".join(ends)


# --- Bins -----------------------------------------------------------------------------------------


def num_bins(points: int) -> int:
    """Bins of a continuous parameter."""
    return int(np.clip(round(points**0.5), 2, 10))


def num_coarse_bins(points: int) -> int:
    """Bins of each of two parameters together, and of those that are taken out."""
    return int(np.clip((points / 6) ** 0.5, 2, 6))


def level_codes(scale: Scale, places: np.ndarray) -> np.ndarray:
    """Levels that occur, numbered in order: int [P], -1 where the parameter does not exist."""
    codes = np.full(len(places), _ABSENT)
    exists = ~np.isnan(places)
    codes[exists] = np.unique(places[exists], return_inverse=True)[1]
    return codes


def bins(scale: Scale, places: np.ndarray, count: int) -> np.ndarray:
    """Bins with equally many points as far as possible: int [P], -1 where absent.

    Equal values are in one bin, and levels without an order are bins of their own.
    """
    codes = level_codes(scale, places)
    if not scale.ordered or codes.max(initial=_ABSENT) < count:
        return codes
    exists = codes >= 0
    sizes = np.bincount(codes[exists])
    middle = np.cumsum(sizes) - sizes / 2
    groups = np.unique((middle * count / sizes.sum()).astype(int), return_inverse=True)[1]
    codes[exists] = groups[codes[exists]]
    return codes


# --- Nested models --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Design:
    """Bins of all points, fine for a parameter alone, coarse for two together."""

    fine: Mapping[str, np.ndarray]
    coarse: Mapping[str, np.ndarray]
    exact: bool

    @classmethod
    def make(cls, scales: Scales, places: Places, exact: bool) -> "_Design":
        codes = {name: level_codes(scale, places[name]) for name, scale in scales.items()}
        if exact:
            return cls(codes, codes, exact)
        sizes = {name: int((found >= 0).sum()) for name, found in codes.items()}
        fine, coarse = (
            {name: bins(scale, places[name], count(sizes[name])) for name, scale in scales.items()}
            for count in (num_bins, num_coarse_bins)
        )
        return cls(fine, coarse, exact)

    def exist(self, term: Sequence[str]) -> np.ndarray:
        """Points where all parameters of a term exist."""
        return np.all([self.fine[name] >= 0 for name in term], axis=0)

    def rest(self, term: Sequence[str], here: np.ndarray) -> list[np.ndarray]:
        """Coarse bins of the other parameters that exist at all these points."""
        others = (found[here] for name, found in self.coarse.items() if name not in term)
        return [found for found in others if not self.exact and (found >= 0).all()]


def _all_shares(
    design: _Design, terms: Sequence[Sequence[str]], scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shares of all terms, and their errors: grouped jackknife (Quenouille 1956; Tukey 1958)."""
    if not terms:
        return np.empty(0), np.empty(0)
    points, seeds = scores.shape
    folds = np.random.default_rng(0).permutation(points) % min(_FOLDS, points)
    variants = [scores]
    if design.exact:
        folds[:] = 0
        variants += [np.delete(scores, seed, axis=1) for seed in range(seeds if seeds > 2 else 0)]
    means = np.stack([variant.mean(axis=1) for variant in variants])
    noise = np.nan_to_num([seed_noise(variant) for variant in variants])
    found = np.array([_shares(design, term, means, noise, folds) for term in terms])
    without = found[:, 1:]
    if without.shape[1] < 2:
        return found[:, 0], np.full(len(terms), np.nan)
    spread = ((without - without.mean(axis=1, keepdims=True)) ** 2).mean(axis=1)
    return found[:, 0], np.sqrt((without.shape[1] - 1) * spread)


def _shares(
    design: _Design, term: Sequence[str], means: np.ndarray, noise: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Variance that a term explains beyond its parts, as a share of all; NaN if it is unknown.

    Args:
        design: bins.
        term: one or two parameters.
        means: scores of points [V, P]: as they are, then variants of them.
        noise: variance of each of them that seeds cause [V].
        folds: number of the fold of each point [P].

    Returns:
        [V] for a grid, otherwise [1 + folds]: of all points, then without each fold.
    """
    here = design.exist(term)
    values, size = means[:, here], int(here.sum())
    num_folds = 0 if design.exact else folds.max() + 1
    unknown = np.full(1 + num_folds if num_folds else len(means), np.nan)
    values = values - values.mean(axis=1, keepdims=True) if size else values
    total = (values**2).sum(axis=1)
    # Equal scores may differ by rounding.
    if (total <= size * (1e-12 * np.abs(means).max(initial=0.0)) ** 2).any():
        return unknown
    chosen = design.fine if len(term) == 1 else design.coarse
    parts = [chosen[name][here] for name in term]
    cells = np.unique(np.stack(parts), axis=1, return_inverse=True)[1].ravel()
    own = parts if len(term) == 2 else []
    sums = _Sums.of([own, design.rest(term, here), [cells]], values, folds[here], num_folds)
    base, full = sums.fits(0, 1), sums.fits(0, 1, 2)
    if base.rank[0] > size / 5:
        base, full = sums.fits(0), sums.fits(0, 2)
    added = full.rank - base.rank
    if added[0] == 0:
        return unknown
    if design.exact:
        return (base.error - full.error - added * noise) / sums.total
    if size < FEWEST or full.rank[0] > size / 2:
        return unknown
    by_chance = added * full.error / (sums.size - full.rank)
    # So much of any function is taken out together with the parts, in points drawn at random.
    left = 1.0 - base.rank / sums.size
    return (base.error - full.error - by_chance) / sums.total / left


class _Fit(NamedTuple):
    """Least squares: sums of squared residuals, and ranks."""

    error: np.ndarray
    rank: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """What least squares on bins needs of the points, for several sets of points or scores.

    Attributes:
        products: of indicators and, last, scores with each other [V, K + 1, K + 1].
        size: number of points [V].
        blocks: which of the K indicators are in which block; the constant is the first.
    """

    products: np.ndarray
    size: np.ndarray
    blocks: list[range]

    @property
    def total(self) -> np.ndarray:
        """Squared deviations of the scores [V]."""
        return self.products[:, -1, -1] - self.products[:, 0, -1] ** 2 / self.size

    @classmethod
    def of(
        cls,
        blocks: Sequence[Sequence[np.ndarray]],
        values: np.ndarray,
        folds: np.ndarray,
        num_folds: int,
    ) -> "_Sums":
        """Sums of all points, and without each fold; if there are none, of each row of values."""
        columns, ends = [np.ones((values.shape[1], 1))], [0]
        for block in blocks:
            columns += [np.eye(codes.max() + 1)[codes] for codes in block]
            ends.append(sum(column.shape[1] for column in columns))
        design = np.hstack(columns)
        if not num_folds:
            tables = [np.column_stack([design, row]) for row in values]
            products = np.stack([_products(table) for table in tables])
        else:
            table = np.column_stack([design, values[0]])
            parts = [_products(table[folds == fold]) for fold in range(num_folds)]
            products = np.concatenate([np.sum(parts, axis=0)[None], np.sum(parts, axis=0) - parts])
        return cls(products, products[:, 0, 0], [range(*pair) for pair in pairwise(ends)])

    def fits(self, *blocks: int) -> _Fit:
        """Least squares on some blocks of indicators, which may depend on each other.

        One indicator after the other is swept out of all products (Goodnight 1979), unless nothing
        of it is left.
        """
        left = self.products.copy()
        rank = np.zeros(len(left), int)
        for column in (number for block in blocks for number in self.blocks[block]):
            pivot = left[:, column, column]
            known = pivot > 1e-9 * self.products[:, column, column]
            factor = np.where(known, 1.0 / np.where(known, pivot, 1.0), 0.0)
            row = left[:, column]
            left = left - (factor[:, None] * row)[:, :, None] * row[:, None, :]
            rank += known
        return _Fit(left[:, -1, -1], rank)


def _products(table: np.ndarray) -> np.ndarray:
    # Not by BLAS, whose threads cost more than they gain on tables this small.
    return np.einsum("nk,nl->kl", table, table)
