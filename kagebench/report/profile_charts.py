"""Figures of response curves: one axis, a profile of many, a grid of two, interactions.

They draw what `kagebench.profiles` describes, and the frames of `kagebench.profile_sweep`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kagebench.profile_axes import find
from kagebench.profiles import METRIC
from kagebench.report.curves import INK, REFERENCE, SHIFT, STYLE, TRAIN

Entry = Mapping[str, Any]

_SUCCESS = LinearSegmentedColormap.from_list("success", ["#ffffff", "#9fbbdd", TRAIN, "#12345c"])
_SIGNED = LinearSegmentedColormap.from_list("signed", [SHIFT, "#f0c8be", "#fff", "#b5cbe6", TRAIN])
_LABELS = {"success_once": "success once", "distance": "distance (px)"}
# Everything below is in inches.
_LEFT, _RIGHT, _GAP = 0.62, 0.2, 0.05
_COLUMNS, _PANEL, _BETWEEN, _THUMB = 5, (1.62, 1.0), 0.3, 0.5
_HEAD = 0.62  # of a page, for its title
_WIDE = 7.2  # the plot of one axis
_CELL = 1.15, 0.62  # of the interactions
_MANY = 12  # cells along an axis of a heat map beyond which numbers do not fit


class _Page:
    """A figure that is laid out in inches from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.size = width, height
        self.figure = Figure(figsize=self.size)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        w, h = self.size
        return self.figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))

    def canvas(self) -> Axes:
        """Axes without a frame over the whole page, in inches, y downwards."""
        canvas = self.axes(0, 0, *self.size)
        canvas.set(xlim=(0, self.size[0]), ylim=(self.size[1], 0), zorder=-1)
        canvas.axis("off")
        return canvas

    def save(self, path: Path) -> None:
        self.figure.savefig(path, dpi=150)


# --- One axis -------------------------------------------------------------------------------------


def axis_chart(
    entry: Entry, frames: np.ndarray, path: Path, about: Entry, seen: np.ndarray | None = None
) -> None:
    """Draw success and distance along an axis, and frames under it.

    Args:
        entry: `kagebench.profiles.describe_curve`.
        frames: uint8 [shown, H, W, 3].
        path: PNG to write.
        about: policy, train, seeds and episodes.
        seen: what the agent sees of the frames, where it is less, uint8 [shown, h, w, 3].
    """
    rows = [frames] if seen is None else [frames, seen]
    side = min(1.0, _WIDE / len(frames) - _GAP)
    heights = {"success_once": 2.0, "distance": 1.1}
    below = _HEAD + sum(heights.values()) + 0.15 * len(heights)
    height = below + len(rows) * (side + _GAP) + 0.52
    with mpl.rc_context(STYLE):
        page = _Page(_LEFT + _WIDE + _RIGHT, height)
        canvas, top, axis = page.canvas(), _HEAD, None
        _write(canvas, 0.15, 0.27, f"{about['policy']} along {entry['key']}", size=12)
        _write(canvas, 0.15, 0.48, f"{_who(about)}; {_verdict(entry)}", color=REFERENCE)
        for metric, size in heights.items():
            axis = page.axes(_LEFT, top, _WIDE, size)
            _curve(axis, entry, metric)
            axis.set_ylabel(_LABELS[metric])
            axis.set_xticks(np.take(entry["positions"], entry["shown"]), [])
            top += size + 0.15
        assert axis is not None
        middles = _LEFT + (np.arange(len(frames)) + 0.5) * _WIDE / len(frames)
        _strip(canvas, axis, entry, rows, middles, below - 0.15, side, entry["shown"])
        _write(canvas, _LEFT + _WIDE / 2, height - 0.12, entry["title"], ha="center")
        page.save(path)


def _curve(axis: Axes, entry: Entry, metric: str) -> None:
    """Mean with interval, the agents, and the neutral value."""
    x, found = entry["positions"], entry["metrics"][metric]
    axis.fill_between(x, found["low"], found["high"], color=TRAIN, alpha=0.18, lw=0)
    agents = np.array(found["per_agent"]).T
    for values in agents if len(agents) > 1 else ():
        axis.plot(x, values, color=TRAIN, alpha=0.35, lw=0.8)
    axis.plot(x, found["mean"], "-", color=TRAIN, lw=1.8, marker="o", ms=3, clip_on=False)
    at = entry["values"].index(entry["neutral"])
    axis.axvline(x[at], color=REFERENCE, lw=1, ls=(0, (1, 2)))
    axis.set_xlim(*_limits(x))
    if metric == METRIC:
        axis.set_ylim(0, 1)
        axis.set_yticks([0, 0.5, 1])
        _mark(axis, entry, found["mean"][at], size=8)
    else:
        axis.set_ylim(0, None)


def _mark(axis: Axes, entry: Entry, reference: float, size: float) -> None:
    """The neutral value, half of its success, and where that is reached."""
    at = entry["values"].index(entry["neutral"])
    axis.plot(entry["positions"][at], reference, "o", color=INK, ms=size * 0.7, clip_on=False)
    if reference > 0:
        axis.axhline(reference / 2, color=SHIFT, lw=0.8, ls=(0, (4, 3)))
    for value in entry["thresholds"].values():
        if value is not None:
            place = find(entry["key"]).positions(value)
            axis.plot(place, reference / 2, "v", color=SHIFT, ms=size, clip_on=False, zorder=4)


def _strip(
    canvas: Axes,
    axis: Axes,
    entry: Entry,
    rows: Sequence[np.ndarray],
    middles: Sequence[float] | np.ndarray,
    top: float,
    side: float,
    shown: Sequence[int],
) -> None:
    """Frames below an axis, each joined to its place on it, with its value below."""
    low, high = axis.get_xlim()
    box = axis.get_position()
    left, width = (share * canvas.get_xlim()[1] for share in (box.x0, box.width))
    for column, (index, middle) in enumerate(zip(shown, middles)):
        place = left + width * (entry["positions"][index] - low) / (high - low)
        neutral = entry["values"][index] == entry["neutral"]
        canvas.plot([place, place, middle], [top, top + 0.05, top + 0.2], color="#b9b3a7", lw=0.7)
        for row, pictures in enumerate(rows):
            corner = middle - side / 2, top + 0.22 + row * (side + _GAP)
            _picture(canvas, pictures[column], corner, side, INK if neutral else None)
        text = f"{entry['values'][index]:g}"
        bottom = top + 0.22 + len(rows) * (side + _GAP)
        _write(canvas, middle, bottom + 0.1, text, ha="center", weight="bold" * neutral or None)


def _picture(
    canvas: Axes, picture: np.ndarray, corner: tuple[float, float], side: float, edge: str | None
) -> None:
    """One frame with its upper left corner at a place of the canvas."""
    x, y = corner
    limits = canvas.get_xlim(), canvas.get_ylim()
    canvas.imshow(picture, extent=(x, x + side, y + side, y), interpolation="none")
    if edge:
        canvas.add_patch(Rectangle(corner, side, side, fill=False, color=edge, lw=1.6))
    canvas.set(xlim=limits[0], ylim=limits[1], aspect="auto")


# --- A profile ------------------------------------------------------------------------------------


def profile_chart(
    entries: Sequence[Entry], frames: Mapping[str, np.ndarray], path: Path, about: Entry
) -> None:
    """Draw success along every axis, as small panels in the given order.

    Args:
        entries: elements of ``axes`` of `kagebench.profiles.describe_profile`.
        frames: key -> uint8 [shown, H, W, 3].
        path: PNG to write.
        about: policy, train, seeds, episodes and robustness.
    """
    columns, rows = min(_COLUMNS, len(entries)), -(-len(entries) // _COLUMNS)
    width, height = _PANEL
    step = width + _BETWEEN, 0.38 + height + 0.22 + _THUMB + 0.24
    with mpl.rc_context(STYLE | {"font.size": 8}):
        page = _Page(_LEFT + max(columns, 4) * step[0], _HEAD + rows * step[1] + 0.05)
        canvas = page.canvas()
        title = f"Generalization profile of {about['policy']}: robustness {about['robustness']:.2f}"
        _write(canvas, 0.15, 0.27, title, size=13)
        _write(canvas, 0.15, 0.48, f"{_who(about)}. {_LEGEND}", color=REFERENCE)
        for index, entry in enumerate(entries):
            row, column = divmod(index, columns)
            left, top = _LEFT + column * step[0], _HEAD + row * step[1] + 0.38
            axis = page.axes(left, top, width, height)
            _panel(axis, entry, labelled=column == 0)
            _write(canvas, left, top - 0.08, entry["title"], size=8.5)
            found = entry["robustness"]
            text = f"{found['mean']:.2f}"
            _write(canvas, left + width, top - 0.08, text, ha="right", weight="bold", size=8.5)
            three = _three(entry)
            ends = left + _THUMB / 2, left + width - _THUMB / 2
            middles = np.linspace(*ends, 3)[: len(three)] if len(three) > 2 else ends[: len(three)]
            pictures = frames[entry["key"]][[entry["shown"].index(i) for i in three]]
            _strip(canvas, axis, entry, [pictures], middles, top + height, _THUMB, three)
        page.save(path)


_LEGEND = (
    "Success once, 95 % interval; bold: robustness, the area under the curve. "
    "Dot: training value; triangle: success has halved."
)


def _panel(axis: Axes, entry: Entry, labelled: bool) -> None:
    x, found = entry["positions"], entry["metrics"][METRIC]
    axis.fill_between(x, 0, found["mean"], color=TRAIN, alpha=0.1, lw=0)
    axis.fill_between(x, found["low"], found["high"], color=TRAIN, alpha=0.25, lw=0)
    axis.plot(x, found["mean"], color=TRAIN, lw=1.6, clip_on=False)
    axis.set_xlim(*_limits(x))
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 0.5, 1], ["0", "", "1"] if labelled else [])
    axis.set_xticks([])
    axis.grid(visible=False)
    _mark(axis, entry, found["mean"][entry["values"].index(entry["neutral"])], size=5)


def _three(entry: Entry) -> list[int]:
    """Positions of the frames of a panel: both ends and the neutral value, or the middle one."""
    shown, last = entry["shown"], len(entry["values"]) - 1
    at = entry["values"].index(entry["neutral"])
    middle = at if at not in (0, last) else shown[len(shown) // 2]
    return sorted({0, middle, last})


# --- Two axes -------------------------------------------------------------------------------------


def grid_chart(entry: Entry, frames: np.ndarray, path: Path, about: Entry) -> None:
    """Draw success on a grid of two axes, and frames at some of its points.

    Args:
        entry: `kagebench.profiles.describe_grid`; its first axis runs upwards.
        frames: uint8 [shown, shown, H, W, 3].
        path: PNG to write.
        about: policy, train, seeds and episodes.
    """
    first, second = entry["axes"]
    side, left = 3.4, 0.85
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        page = _Page(2 * (left + side) + 0.3, _HEAD + side + 0.75)
        canvas = page.canvas()
        title = f"{about['policy']} along {first['key']} and {second['key']}"
        _write(canvas, 0.15, 0.27, title, size=12)
        _write(canvas, 0.15, 0.48, f"{_who(about)}; success once", color=REFERENCE)
        axis = page.axes(left, _HEAD + 0.1, side, side)
        means = np.array(entry["metrics"][METRIC]["mean"])
        _heat(axis, means, _SUCCESS, Normalize(0, 1), numbers=max(means.shape) <= _MANY)
        _name(axis, entry["axes"], [range(len(one["values"])) for one in entry["axes"]])
        places = [one["values"].index(one["neutral"]) for one in entry["axes"]]
        corner = places[1] - 0.5, places[0] - 0.5
        axis.add_patch(Rectangle(corner, 1, 1, fill=False, color=INK, lw=1.8, zorder=3))

        sheet = page.axes(2 * left + side, _HEAD + 0.1, side, side)
        for row, line in enumerate(frames):
            for column, picture in enumerate(line):
                extent = column - 0.48, column + 0.48, row - 0.48, row + 0.48
                sheet.imshow(picture, extent=extent, interpolation="none")
        sheet.set(xlim=(-0.5, len(frames[0]) - 0.5), ylim=(-0.5, len(frames) - 0.5), aspect="auto")
        _name(sheet, entry["axes"], [one["shown"] for one in entry["axes"]])
        page.save(path)


def _name(axis: Axes, axes: Sequence[Entry], shown: Sequence[Sequence[int]]) -> None:
    """Values of two axes, the first upwards, of which those at `shown` are drawn."""
    for one, places, ticks, label in zip(
        axes, shown, (axis.set_yticks, axis.set_xticks), (axis.set_ylabel, axis.set_xlabel)
    ):
        some = range(0, len(places), -(-len(places) // _MANY))
        ticks(some, [f"{one['values'][places[i]]:g}" for i in some])
        label(one["title"])
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


# --- Interactions ---------------------------------------------------------------------------------


def interaction_chart(data: Entry, path: Path, about: Entry) -> None:
    """Draw the mean interaction of every pair of axes as a triangle.

    Args:
        data: keys, titles and pairs of ``interactions.json``.
        path: PNG to write.
        about: policy, train, seeds and episodes.
    """
    count = len(data["keys"])
    values, sure = np.full((count, count), np.nan), np.zeros((count, count), bool)
    for pair in data["pairs"]:
        column, row = sorted(data["keys"].index(one["key"]) for one in pair["axes"])
        found = pair["interaction"]
        if found is not None:
            values[row, column] = found["mean"]
            sure[row, column] = found["low"] > 0 or found["high"] < 0
    limit = max(0.1, float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0)
    width, height = _CELL[0] * count, _CELL[1] * count
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        page = _Page(max(width + 0.3, 5.0), _HEAD + height + 0.15)
        canvas = page.canvas()
        _write(canvas, 0.15, 0.27, f"Interactions of shifts: {about['policy']}", size=12)
        _write(canvas, 0.15, 0.48, f"{_who(about)}. {_BOLD}", color=REFERENCE)
        axis = page.axes(0.15, _HEAD, width, height)
        _heat(axis, values[::-1], _SIGNED, Normalize(-limit, limit), True, sure[::-1])
        for index, text in enumerate(_stressed(data)):
            axis.text(index, count - 1 - index, text, color=INK, fontsize=8, **_CENTER)
        axis.axis("off")
        if count > 3:
            top, right = count - 0.75, count - 0.55
            style: Any = {"color": REFERENCE, "fontsize": 8, "linespacing": 1.5}
            axis.text(right, top, _EXPLANATION, ha="right", va="top", **style)
        page.save(path)


def _stressed(data: Entry) -> list[str]:
    """Title of every axis, and the values at which it was evaluated."""
    axes = {one["key"]: one for pair in data["pairs"] for one in pair["axes"]}
    values = [[v for v in axes[k]["values"] if v != axes[k]["neutral"]] for k in data["keys"]]
    texts = [", ".join(f"{value:g}" for value in some) for some in values]
    return [f"{title}\n{text}" for title, text in zip(data["titles"], texts)]


_CENTER: Any = {"ha": "center", "va": "center"}
_BOLD = "Bold: the 95 % interval does not contain 0."
_EXPLANATION = """relative success under both shifts
minus the product of those under each alone

blue: together they cost less than that
red: more"""


def _heat(
    axis: Axes,
    values: np.ndarray,
    colors: Colormap,
    scale: Normalize,
    numbers: bool,
    bold: np.ndarray | None = None,
) -> None:
    """Cells [rows, columns], the first row at the bottom, with their values."""
    axis.imshow(values, cmap=colors, norm=scale, origin="lower", aspect="auto")
    signed = (scale.vmin or 0) < 0
    for (row, column), value in np.ndenumerate(values):
        if not numbers or np.isnan(value):
            continue
        corner = column - 0.5, row - 0.5
        axis.add_patch(Rectangle(corner, 1, 1, fill=False, color="#e8e3d9", lw=0.6, clip_on=False))
        red, green, blue, _ = colors(scale(value))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.55
        text = f"{value:+.2f}" if signed else f"{value:.2f}".removeprefix("0")
        text = "0" if float(text) == 0 else text
        weight = "bold" if bold is not None and bold[row, column] else "normal"
        color = "white" if dark else INK
        axis.text(column, row, text, fontsize=7.5, color=color, weight=weight, **_CENTER)


# --- Texts ----------------------------------------------------------------------------------------


def _write(canvas: Axes, x: float, y: float, text: str, **options: Any) -> None:
    canvas.text(x, y, text, **{"color": INK, "va": "baseline", **options})


def _limits(positions: Sequence[float]) -> tuple[float, float]:
    low, high = positions[0], positions[-1]
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _who(about: Entry) -> str:
    count = len(about["seeds"])
    agents = f"{count} agents" if count > 1 else "1 agent"
    return f"{agents}, training config {about['train']}, {about['episodes']} levels"


def _verdict(entry: Entry) -> str:
    found = entry["robustness"]
    text = f"robustness {found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    halved = [f"{value:.3g}" for value in entry["thresholds"].values() if value is not None]
    return (
        f"{text}; success halves at {' and '.join(halved)}"
        if halved
        else f"{text}; success does not halve"
    )
