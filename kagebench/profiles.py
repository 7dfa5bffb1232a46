"""Response curves: how far an agent gets as one numeric key of its configuration moves away.

An agent, or several that were trained alike, is evaluated at every value of an axis and at the
neutral value, which is that of its training configuration, all in one program and on the same
levels with the same action noise. Statistics of an axis (positions are `Axis.positions`, values as
they are drawn, S the mean of success_once over agents and levels):

* threshold: the place nearest to the neutral value, on each side of it, at which S, interpolated
  linearly between evaluated positions, has fallen to half of S at the neutral value.
* robustness: area under S from the first to the last evaluated position (trapezoids), divided by
  their distance, so between 0 and 1; relative to S at the neutral value, too.
* interaction of two axes: with R(x, y) = S(x, y) / S(neutral, neutral),
  I(x, y) = R(x, y) - R(x, neutral) R(neutral, y), averaged over the x and y of a grid that are not
  neutral. It is 0 if effects multiply, positive if two shifts cost less together than that,
  negative if more.

Intervals are 95 % bootstrap intervals clustered by agent (`kagebench.stats.bootstrap`). One axis
gives (``KEY.json`` and the elements of ``axes`` in ``profile.json``)

    key, title, scale       the axis; scale says how values are laid out (`Axis.scale`)
    settings                dotted key -> value of what was switched on away from the neutral value
    tied                    keys that took the same value
    neutral                 value of the training configuration, 0 for what is absent there
    values                  [n], as drawn, the neutral value among them
    positions               [n]
    metrics                 metric -> mean, low, high: [n]; per_agent: [n][agents]
    gaps                    metric -> mean, low, high: [n]; at the neutral value minus at the value,
                            the same agent on the same level
    thresholds              left, right: values, or null where success never halves
    robustness              mean, low, high, relative (null if the agent never succeeds)
    shown                   positions in `values` of the frames in the figures
    seconds                 wall-clock time of the evaluation, compilation included

A grid of two axes (``KEY--KEY.json``) has ``axes`` (two, each with key, title, scale, settings,
tied, neutral, values, positions, shown), metrics and gaps with [n][m] in place of [n], and
``interaction``: values [n][m] (0 where one of them is neutral), mean, low, high; null if the agent
never succeeds. ``profile.json`` is ``{"schema", ABOUT, "axes": [...], "robustness"}``, axes sorted
from the least robust to the most, robustness being the mean of theirs. ``interactions.json`` is
``{"schema", ABOUT, "keys": [...], "titles": [...], "pairs": [grids]}``. ABOUT is what all files
have: policy, agent (where it was read from), train (name of the training configuration), seeds,
episodes, level_seed, actions, observation, machine.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from kagebench import stats
from kagebench.evaluate import METRICS
from kagebench.profile_axes import Number, away, find, tidy
from kagebench.profile_sweep import Sweep

SCHEMA = "kagebench-profile/1"
METRIC = "success_once"
_DIGITS = 6  # after the point, of results in files


def describe_curve(sweep: Sweep) -> dict[str, Any]:
    """One axis as data, see the module."""
    (axis,), (values,), (neutral,) = sweep.grid.axes, sweep.grid.values, sweep.grid.neutral
    positions = axis.positions(values)
    success = sweep.results[METRIC].astype(np.float64)
    found = halving(positions, success.mean((0, 1)), neutral)
    return {
        **_describe_axis(sweep, 0),
        **_statistics(sweep),
        "thresholds": {
            side: None if place is None else _round(axis.value_at(place))
            for side, place in found.items()
        },
        "robustness": robustness(positions, success, neutral),
        "seconds": round(sweep.seconds, 1),
    }


def describe_grid(sweep: Sweep) -> dict[str, Any]:
    """A grid of two axes as data, see the module."""
    return {
        "axes": [_describe_axis(sweep, 0), _describe_axis(sweep, 1)],
        **_statistics(sweep),
        "interaction": interaction(sweep.results[METRIC], sweep.grid.neutral),
        "seconds": round(sweep.seconds, 1),
    }


def describe_profile(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Curves (`describe_curve`), the least robust first, and their mean robustness."""
    ordered = sorted(entries, key=lambda entry: entry["robustness"]["mean"])
    areas = [entry["robustness"]["mean"] for entry in entries]
    return {"axes": ordered, "robustness": _round(np.mean(areas))}


def stress(entry: Mapping[str, Any]) -> tuple[Number, ...]:
    """Where interactions of an axis (`describe_curve`) are measured, if nothing else is asked for.

    The threshold that is nearest to the neutral value, or without one the farther end of the axis,
    and the point half-way to it.
    """
    axis, neutral = find(entry["key"]), entry["neutral"]
    at = float(axis.positions(neutral))
    places = [float(axis.positions(v)) for v in entry["thresholds"].values() if v is not None]
    ends = entry["positions"][0], entry["positions"][-1]
    distance = partial(_distance, at)
    strong = min(places, key=distance) if places else max(ends, key=distance)
    return tidy(axis, [away(axis, place, neutral) for place in ((at + strong) / 2, strong)])


def halving(positions: np.ndarray, curve: np.ndarray, neutral: int) -> dict[str, float | None]:
    """Where a curve first falls to half of its value at the neutral position, on each side of it.

    Args:
        positions: increasing, float [n].
        curve: float [n], linear between them.
        neutral: index of the neutral position.

    Returns:
        Positions "left" and "right" of the neutral one; None where the curve stays above half, or
        is 0 at the neutral position.
    """
    half = curve[neutral] / 2
    sides = {"left": range(neutral - 1, -1, -1), "right": range(neutral + 1, len(curve))}
    found: dict[str, float | None] = {}
    for side, indices in sides.items():
        outer = next((i for i in indices if curve[i] <= half), None) if half > 0 else None
        found[side] = None
        if outer is not None:
            inner = outer + (1 if side == "left" else -1)
            share = (curve[inner] - half) / (curve[inner] - curve[outer])
            found[side] = float(positions[inner] + share * (positions[outer] - positions[inner]))
    return found


def area(positions: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Area under curves [..., n] over increasing positions [n] rescaled to [0, 1]: [...].

    A single position counts as a constant curve.
    """
    if len(positions) == 1:
        return np.asarray(curves, np.float64)[..., 0]
    curves = np.asarray(curves, np.float64)
    steps = np.diff(positions) / (positions[-1] - positions[0])
    return ((curves[..., :-1] + curves[..., 1:]) / 2 * steps).sum(-1)


def robustness(positions: np.ndarray, success: np.ndarray, neutral: int) -> dict[str, Any]:
    """Area under success [A, E, n]: mean, interval, and the mean relative to the neutral value."""
    areas = area(positions, success)
    low, high = stats.bootstrap(areas)
    mean, reference = float(areas.mean()), float(success[..., neutral].mean())
    return {
        "mean": _round(mean),
        "low": _round(low),
        "high": _round(high),
        "relative": _round(mean / reference) if reference > 0 else None,
    }


def interaction(success: np.ndarray, neutral: tuple[int, ...]) -> dict[str, Any] | None:
    """Interaction of two axes (see the module) from success [A, E, n, m] on their grid.

    Returns:
        values [n][m] and the mean, low, high of those away from both neutral values; None if the
        agents never succeed at the neutral point, or nothing else was evaluated.
    """
    if min(success.shape[2:]) < 2 or not success[:, :, *neutral].any():
        return None
    average = partial(_mean_interaction, neutral)
    low, high = stats.bootstrap(success, average)
    means = np.asarray(success, np.float64).mean((0, 1))
    return {
        "values": _numbers(_interactions(means, neutral)),
        "mean": _round(_average(_interactions(means, neutral), neutral)),
        "low": _round(low),
        "high": _round(high),
    }


def _interactions(success: np.ndarray, neutral: tuple[int, ...]) -> np.ndarray:
    """I(x, y) of mean success [..., n, m]; 0 where the agents never succeed."""
    row, column = neutral
    reference = success[..., row, column][..., None, None]
    relative = success / np.where(reference > 0, reference, np.inf)
    return relative - relative[..., :, column, None] * relative[..., None, row, :]


def _average(values: np.ndarray, neutral: tuple[int, ...]) -> np.ndarray:
    """Mean over the last two axes without the neutral row and column."""
    for axis, index in zip((-2, -1), neutral):
        values = np.delete(values, index, axis)
    return values.mean((-2, -1))


def _mean_interaction(neutral: tuple[int, ...], success: np.ndarray) -> np.ndarray:
    return _average(_interactions(success.mean(0), neutral), neutral)


def _distance(origin: float, position: float) -> float:
    return abs(position - origin)


def _statistics(sweep: Sweep) -> dict[str, Any]:
    metrics, gaps = {}, {}
    for name in METRICS:
        values = sweep.results[name].astype(np.float64)
        neutral = values[:, :, *(slice(at, at + 1) for at in sweep.grid.neutral)]
        per_agent = np.moveaxis(values.mean(1), 0, -1)
        metrics[name] = _interval(values) | {"per_agent": _numbers(per_agent)}
        gaps[name] = _interval(neutral - values)
    return {"metrics": metrics, "gaps": gaps}


def _interval(values: np.ndarray) -> dict[str, Any]:
    low, high = stats.bootstrap(values)
    return {"mean": _numbers(values.mean((0, 1))), "low": _numbers(low), "high": _numbers(high)}


def _numbers(values: np.ndarray) -> list[Any]:
    return (np.round(values, _DIGITS) + 0.0).tolist()  # no negative zeros


def _round(value: Any) -> float:
    return round(float(value), _DIGITS)


def _describe_axis(sweep: Sweep, index: int) -> dict[str, Any]:
    axis, values = sweep.grid.axes[index], sweep.grid.values[index]
    return {
        "key": axis.key,
        "title": axis.title,
        "scale": axis.scale,
        "settings": dict(axis.settings),
        "tied": list(axis.tied),
        "neutral": values[sweep.grid.neutral[index]],
        "values": list(values),
        "positions": axis.positions(values).tolist(),
        "shown": list(sweep.shown[index]) if sweep.shown else [],
    }
