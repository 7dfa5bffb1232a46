"""Numeric axes of a configuration along which agents are evaluated: what varies, and how far.

Any numeric key is an axis. The 20 of `AXES` are those of a generalization profile; they also say
what has to be switched on where the training configuration lacks the thing that the axis counts or
scales (`Axis.settings`). The range of each reaches what the benchmark's own pairs use. None of them
touches the dynamics.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from kagebench import config as configs
from kagebench import schema
from kagebench.effective import effective
from kagebench.schema import SCHEMA, flatten, nest, show

Config = dict[str, Any]
Number = int | float
# How values are laid out along the axis: as they are, by their logarithm, or by 1 / sqrt(value), to
# which the deviation of shot noise is proportional; 0, its absence, lies at 0.
Scale = Literal["linear", "log", "inverse_root"]

MAX_VALUES = 1000
POINTS = 9


@dataclass(frozen=True)
class Axis:
    """One numeric key and what belongs to it.

    Attributes:
        key: dotted key.
        title: short name for figures.
        low, high: ends of the default range, in the order in which they are drawn; None without.
        scale: how values are laid out.
        tied: keys that take the same value.
        switch: key that turns the thing on, which is absent at value 0.
        settings: dotted key -> value where the training configuration does not have the thing.
    """

    key: str
    title: str
    low: Number | None = None
    high: Number | None = None
    scale: Scale = "linear"
    tied: tuple[str, ...] = ()
    switch: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return SCHEMA[self.key].kind == "int"

    def positions(self, values: Any) -> np.ndarray:
        """Where values lie along the axis (float64), increasing as the axis is drawn."""
        values = np.asarray(values, np.float64)
        if self.scale == "log":
            return np.log2(values)
        if self.scale == "inverse_root":
            return np.where(values > 0, np.where(values > 0, values, 1.0) ** -0.5, 0.0)
        return values

    def value_at(self, position: float) -> float:
        """The inverse of `positions`, for one number."""
        if self.scale == "log":
            return float(2.0**position)
        if self.scale == "inverse_root":
            return float(position**-2.0) if position > 0 else 0.0
        return float(position)


def _filter(name: str, low: Number, high: Number, title: str = "", scale: Scale = "linear") -> Axis:
    return Axis(f"filters.{name}", title or name.replace("_", " "), low, high, scale)


def _light(name: str, title: str, high: Number) -> Axis:
    switch = "effects.point_light_enabled"
    return Axis(
        f"effects.point_light_{name}", title, 0, high, switch=switch, settings={switch: True}
    )


_CIRCLES = {
    "distractors.enabled": True,
    "distractors.shape_types": ["circle"],
    "distractors.shape_colors": ["teal"],
    "distractors.min_size": 16,
    "distractors.max_size": 16,
}
_SKINS = {"npc.enabled": True, "npc.sprite_dir": "sprites"}
_STICKY_SKINS = {"npc.sticky_enabled": True, "npc.sticky_sprite_dir": "sprites"}

AXES: tuple[Axis, ...] = (
    _filter("brightness", -1.0, 1.0),
    _filter("contrast", 0.125, 128.0, scale="log"),
    _filter("gamma", 0.5, 2.0, scale="log"),
    _filter("saturation", 0.0, 2.0),
    _filter("hue_shift", -180.0, 180.0, "hue shift (°)"),
    _filter("color_temp", -1.0, 1.0, "color temperature"),
    _filter("color_jitter_std", 0.0, 2.0, "color jitter"),
    _filter("gaussian_noise_std", 0.0, 100.0, "Gaussian noise"),
    _filter("poisson_noise_scale", 0.0, 0.01, "Poisson noise scale", "inverse_root"),
    _filter("blur_sigma", 0.0, 2.5, "blur"),
    _filter("sharpen_amount", 0.0, 8.0, "sharpening"),
    _filter("pixelate_factor", 1, 16, "pixelation (px)", "log"),
    _filter("vignette_strength", 0.0, 10.0, "vignette"),
    _filter("radial_light_strength", 0.0, 2.0, "radial light"),
    _light("intensity", "light intensity", 2.0),
    _light("count", "lights", 5),
    Axis(
        "distractors.count",
        "distractors",
        0,
        11,
        switch="distractors.enabled",
        settings=_CIRCLES,
    ),
    Axis(
        "npc.max_npc_count",
        "world NPCs",
        0,
        40,
        tied=("npc.min_npc_count",),
        switch="npc.enabled",
        settings=_SKINS,
    ),
    Axis(
        "npc.max_sticky_count",
        "sticky NPCs",
        0,
        8,
        tied=("npc.min_sticky_count",),
        switch="npc.sticky_enabled",
        settings=_STICKY_SKINS,
    ),
    Axis("camera.right_margin", "camera margin (px)", 8, 88),
)
# Axes of the default interactions, one of each kind.
INTERACTING = (
    "filters.brightness",
    "filters.hue_shift",
    "filters.gaussian_noise_std",
    "filters.vignette_strength",
    "effects.point_light_intensity",
    "distractors.count",
)
_BY_KEY = {axis.key: axis for axis in AXES}


def find(key: str) -> Axis:
    """The axis of a key: that of `AXES`, or a plain one.

    Raises:
        ValueError: there is no such key, or it holds no number.
    """
    key = schema.ALIASES[key][0] if key in schema.ALIASES else key
    if key in _BY_KEY:
        return _BY_KEY[key]
    if key not in SCHEMA:
        raise ValueError(f"axis: {_unknown(key)}")
    if SCHEMA[key].kind not in ("int", "float"):
        text = f"{key} is no number but a {SCHEMA[key].kind}"
        raise ValueError(f"axis: {text}, allowed: a numeric key such as filters.brightness")
    if key in ("H", "W"):
        raise ValueError(
            f"axis: {key} is the size of the frame, allowed: a key that leaves it alone"
        )
    return Axis(key, key)


def default_values(axis: Axis, points: int = POINTS) -> tuple[Number, ...]:
    """Values that are evenly spaced along the axis, rounded to three digits, without repeats.

    Raises:
        ValueError: the axis has no default range.
    """
    if axis.low is None or axis.high is None:
        raise ValueError(
            f"values: none given, and {axis.key} has no default range, allowed: LO:HI:COUNT"
        )
    low, high = axis.positions([axis.low, axis.high])
    found = [axis.value_at(position) for position in np.linspace(low, high, points)]
    return tidy(axis, [float(f"{value:.3g}") for value in found])


def parse_values(axis: Axis, text: str) -> tuple[Number, ...]:
    """Values from text: LO:HI:COUNT (evenly spaced, both ends included) or numbers and commas.

    Returns:
        Values in the order in which they are drawn, without repeats; rounded for whole numbers.

    Raises:
        ValueError: it is no such text, or a value is not allowed for the key.
    """
    low, high, count = (text.split(":") + ["", ""])[:3]
    try:
        if ":" not in text:
            found = [float(part) for part in text.split(",")]
        elif text.count(":") == 2 and 2 <= int(count) <= MAX_VALUES and float(low) < float(high):
            found = np.linspace(float(low), float(high), int(count)).tolist()
        else:
            raise ValueError
        if not np.isfinite(found).all() or len(found) > MAX_VALUES:
            raise ValueError
    except ValueError:
        allowed = f"LO:HI:COUNT with LO < HI and COUNT 2 to {MAX_VALUES}, or numbers and commas"
        raise ValueError(f"values: got {text!r}, allowed: {allowed}") from None
    numbers = [float(f"{value:.10g}") for value in found]
    for number in numbers:
        _check(axis, round(number) if axis.whole else number)
    return tidy(axis, numbers)


def tidy(axis: Axis, values: Sequence[float]) -> tuple[Number, ...]:
    """Values without repeats, as the axis is drawn; rounded where they are whole numbers."""
    numbers = {round(value) if axis.whole else float(value) for value in values}
    return tuple(sorted(numbers, key=lambda value: float(axis.positions(value))))


def away(axis: Axis, position: float, neutral: Number) -> Number:
    """An allowed value near a position: of three digits, or rounded away from the neutral value."""
    value, low = axis.value_at(position), SCHEMA[axis.key].low
    if axis.whole:
        return math.ceil(value) if value > neutral else math.floor(value)
    return float(f"{value if low is None else max(value, low):.3g}")


def neutral_value(axis: Axis, train: Config) -> Number:
    """The training configuration's own place on the axis.

    It is the configuration's value, or 0 where it does not have what the axis counts or scales.

    Raises:
        ValueError: the key has no influence there.
    """
    value = flatten(effective(train)).get(axis.key)
    if value is not None:
        return value
    if axis.switch:
        return 0 if axis.whole else 0.0
    raise ValueError(
        f"axis: {axis.key} has no influence on the training config, "
        "allowed: a numeric key that it uses, or an axis of the default set"
    )


def configure(train: Config, point: Mapping[Axis, Number]) -> Config:
    """The training configuration with axes at given values.

    An axis at its neutral value changes nothing.

    Raises:
        ValueError: the configuration is not allowed.
    """
    changes: dict[str, Any] = {}
    for axis, value in point.items():
        if value != neutral_value(axis, train):
            changes |= _changes(axis, value, train)
    try:
        return configs.load(nest(_replace(flatten(train), changes)))
    except configs.ConfigError as error:
        raise ValueError(f"values: {str(error).removeprefix('<dict>: ')}") from error


def check_grid(axes: Sequence[Axis], train: Config) -> None:
    """Make sure that axes can be combined.

    Raises:
        ValueError: two of them are the same, or both bring the same thing into existence, so that
            none of them has a neutral value beside the other.
    """
    for index, axis in enumerate(axes):
        for other in axes[:index]:
            if axis.key == other.key:
                raise ValueError(f"axis: got {axis.key} twice, allowed: different axes")
            if axis.switch and axis.switch == other.switch and not flatten(train)[axis.switch]:
                raise ValueError(
                    f"axis: {other.key} and {axis.key} both set {axis.switch}, allowed: one of them"
                )


def _changes(axis: Axis, value: Number, train: Config) -> dict[str, Any]:
    """Dotted key -> value of an axis away from its neutral value."""
    if axis.switch and value == 0:
        return {axis.switch: False}
    there = axis.key in flatten(effective(train))
    values = dict.fromkeys((axis.key, *axis.tied), value)
    return values if there else {**axis.settings, **values}


def _replace(flat: Config, changes: Mapping[str, Any]) -> Config:
    """Changed keys on top of a configuration; a new source of images or skins drops the others."""
    dropped = {
        key for group in schema.SOURCES if any(changes.get(one) for one in group) for key in group
    }
    return {key: value for key, value in flat.items() if key not in dropped} | dict(changes)


def _check(axis: Axis, value: Number) -> None:
    if axis.switch and value == 0:
        return
    for key in (axis.key, *axis.tied):
        try:
            schema.parse(SCHEMA[key], value)
        except ValueError as error:
            raise ValueError(f"values: {axis.key}: {error}") from error


def _unknown(key: str) -> str:
    """Why a configuration does not have a key, with the nearest that it has."""
    if key and key in schema.SECTIONS:
        names = " ".join(
            leaf.name for leaf in schema.SECTIONS[key] if leaf.kind in ("int", "float")
        )
        return f"got {show(key)}, a section, allowed: one of its keys {names}"
    if key and key != "base" and key.count(".") < 2:
        try:
            configs.load(nest({key: 0}))
        except configs.ConfigError as error:
            return str(error).removeprefix("<dict>: ")
    return f"got {show(key)}, allowed: a numeric key such as filters.brightness"
