"""The table of all configuration keys: type, default, allowed range and meaning of each.

The key set is that of KAGE-Bench (arXiv 2601.14232). A key is named by its dotted path
(``filters.brightness``; keys of the top level have no dot). Lengths are pixels, times are
environment steps (1/60 s) and speeds pixels per step, unless the meaning says otherwise.
"""

import difflib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from kagebench.palettes import (
    BACKGROUND_COLORS,
    BACKGROUND_MODES,
    LIGHT_COLORS,
    PRESETS,
    SHAPE_COLORS,
    SHAPES,
)

INT32_MAX = 2**31 - 1
FLOAT32_MAX = 3.4028234e38
EXACT_FLOAT32 = 2**24  # positions are float32: larger integers lose their last digit
MAX_FRAME = 4096


@dataclass(frozen=True)
class Key:
    """One configuration key.

    Attributes:
        name: key inside its section.
        kind: "int", "float", "bool", "name", "names", "path", "paths", "ints" or "color".
        default: value when the key is absent.
        meaning: one line with the unit.
        low, high: inclusive bounds of a number (of each number of an "ints" list).
        above: exclusive lower bound of a number.
        names: allowed names.
        nullable: whether null is allowed; for "paths" null and [] mean the default.
        single: whether one name may stand for a pool of one.
        empty: whether a pool of names may be empty.
    """

    name: str
    kind: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    names: tuple[str, ...] = ()
    nullable: bool = False
    single: bool = False
    empty: bool = False


def _int(name: str, default: int | None, meaning: str, **limits: Any) -> Key:
    return Key(name, "int", default, meaning, nullable=default is None, **limits)


def _float(name: str, default: float | None, meaning: str, **limits: Any) -> Key:
    return Key(name, "float", default, meaning, nullable=default is None, **limits)


def _bool(name: str, default: bool, meaning: str) -> Key:
    return Key(name, "bool", default, meaning)


def _pool(name: str, default: str, names: Iterable[str], meaning: str, single: bool = True) -> Key:
    return Key(name, "names", [default], meaning, names=tuple(names), single=single)


def _path(name: str, meaning: str) -> Key:
    return Key(name, "path", None, meaning, nullable=True)


def _paths(name: str, default: list[str] | None, meaning: str) -> Key:
    return Key(name, "paths", default, meaning, nullable=True)


def _color(name: str, default: list[int], meaning: str) -> Key:
    return Key(name, "color", default, meaning)


SECTIONS: dict[str, tuple[Key, ...]] = {
    "": (
        _int("H", 128, "frame height", low=8, high=MAX_FRAME),
        _int("W", 128, "frame width", low=8, high=MAX_FRAME),
        _int("episode_length", 500, "steps until truncation", low=1),
        _float("forward_reward_scale", 0.2, "reward per pixel of new progress"),
        _float("jump_penalty", 10.0, "cost of a step with the jump bit set"),
        _float("timestep_penalty", 0.1, "cost of every step"),
        _float("idle_penalty", 5.0, "cost of a step without horizontal motion"),
        _float("dist_to_success", 490.0, "distance from the start that counts as success"),
    ),
    "camera": (
        _int("left_margin", 40, "free space kept left of the player", low=0),
        _int("right_margin", 40, "free space kept right of the player", low=0),
    ),
    "background": (
        Key("mode", "name", "black", "kind of background", names=BACKGROUND_MODES),
        _path("image_path", "image mode: one image"),
        _path("image_dir", "image mode: folder of images, one drawn per episode"),
        _paths("image_paths", [], "image mode: list of images, one drawn per episode"),
        _float("parallax_factor", 0.5, "image scroll per pixel of camera motion"),
        _bool("tile_horizontal", True, "repeat the image sideways"),
        _float("switch_frequency", 0.0, "probability per step of a new draw", low=0, high=1),
        _pool("color_names", "black", BACKGROUND_COLORS, "color mode: pool", single=False),
    ),
    "character": (
        _int("width", 16, "width of the collision box", low=1),
        _int("height", 24, "height of the collision box", low=1),
        _bool("use_sprites", False, "draw the player as a sprite"),
        _bool("use_shape", False, "draw the player as a shape"),
        _path("sprite_dir", "folder of skins, one drawn per episode"),
        _paths("sprite_paths", None, "list of skins, one drawn per episode"),
        _path("sprite_path", "one skin"),
        _bool("enable_animation", True, "animate the sprite while moving"),
        _float("animation_fps", 10.0, "sprite frames per second", above=0),
        _int("idle_sprite_idx", 0, "sprite frame at rest", low=0),
        _pool("shape_types", "circle", SHAPES, "pool of shapes, one drawn per episode"),
        _pool("shape_colors", "red", SHAPE_COLORS, "pool of colours, one drawn per episode"),
        _bool("shape_rotate", False, "rotate the shape"),
        _float("shape_rotation_speed", 2.0, "degrees per step"),
        _color("fallback_color", [255, 0, 0], "colour of the plain rectangle"),
    ),
    "npc": (
        _bool("enabled", False, "characters that stand in the level"),
        _int("min_npc_count", 2, "fewest per level", low=0),
        _int("max_npc_count", 5, "most per level", low=0),
        _float("animation_fps", 8.0, "sprite frames per second, both kinds", above=0),
        _int("spawn_y_offset", 0, "raises the characters, both kinds"),
        _path("sprite_dir", "folder of skins"),
        _paths("sprite_paths", [], "list of skins"),
        _path("sprite_path", "one skin"),
        _bool("sticky_enabled", False, "characters that follow the player"),
        _int("min_sticky_count", 1, "fewest per episode", low=0),
        _int("max_sticky_count", 3, "most per episode", low=0),
        _path("sticky_sprite_dir", "folder of skins"),
        _paths("sticky_sprite_dirs", [], "list of skins"),
        _path("sticky_sprite_path", "one skin"),
        _bool("sticky_can_jump", False, "let them jump at random"),
        _float("sticky_jump_probability", 0.01, "per step and character", low=0, high=1),
        Key("sticky_x_offsets", "ints", [-40, 40], "offsets from the player, used in turn"),
        _int("sticky_x_min", None, "smallest random offset, without sticky_x_offsets"),
        _int("sticky_x_max", None, "largest random offset, without sticky_x_offsets"),
        _bool("sticky_y_randomize", True, "random height; else the smallest offset"),
        _int("sticky_y_min_offset", -30, "smallest offset from the ground row, negative is up"),
        _int("sticky_y_max_offset", 0, "largest offset from the ground row"),
    ),
    "distractors": (
        _bool("enabled", False, "shapes that float behind the level"),
        _int("count", 3, "number of shapes", low=0),
        _pool("shape_types", "circle", SHAPES, "pool of shapes, one drawn per item"),
        _pool("shape_colors", "red", SHAPE_COLORS, "pool of colours, one drawn per item"),
        _bool("can_move", True, "let them move"),
        _float("min_speed", 0.5, "without effect, as in KAGE-Bench", low=0),
        _float("max_speed", 2.0, "largest speed per axis", low=0),
        _bool("can_rotate", True, "let them rotate"),
        _float("min_rotation_speed", -10.0, "smallest angle added per step"),
        _float("max_rotation_speed", 10.0, "largest angle added per step"),
        _int("min_size", 3, "smallest size", low=1),
        _int("max_size", 8, "largest size", low=1),
    ),
    "filters": (
        _float("brightness", 0.0, "adds 100 grey levels per unit", low=-1, high=1),
        _float("contrast", 1.0, "factor around grey level 128", above=0),
        _float("gamma", 1.0, "exponent", low=0.5, high=2),
        _float("saturation", 1.0, "factor of the HSV saturation", low=0, high=2),
        _float("hue_shift", 0.0, "degrees", low=-180, high=180),
        _float("color_temp", 0.0, "positive is warmer", low=-1, high=1),
        _float("color_jitter_std", 0.0, "deviation of the colour matrix, new per frame", low=0),
        _float("gaussian_noise_std", 0.0, "grey levels, new per frame", low=0),
        _float("poisson_noise_scale", 0.0, "photons per grey level", low=0, high=1),
        _float("blur_sigma", 0.0, "share of a 3x3 mean, complete at 2.5", low=0),
        _float("sharpen_amount", 0.0, "gain of the unsharp mask", low=0),
        _int("pixelate_factor", 1, "side of a block, 1 is off", low=1),
        _float("vignette_strength", 0.0, "darkening towards the corners", low=0),
        _float("radial_light_strength", 0.0, "light in the centre", low=0),
        _color("radial_light_color", [255, 255, 200], "colour of that light"),
        Key("pop_filter_list", "names", [], "presets, one per episode", names=PRESETS, empty=True),
        Key("pop_filter", "name", None, "one fixed preset", names=PRESETS, nullable=True),
        _float("jpeg_quality", None, "without effect, as in KAGE-Bench", low=0, high=1),
        _int("seed", None, "without effect, as in KAGE-Bench"),
    ),
    "effects": (
        _bool("point_light_enabled", False, "lights at random places of the frame"),
        _float("point_light_intensity", 3.0, "factor of the light colour", low=0.1, high=5),
        _float("point_light_radius", 0.1, "fraction of the frame diagonal", low=0.01, high=1),
        _float("point_light_falloff", 2.0, "exponent of the distance", low=1, high=4),
        _int("point_light_count", 1, "number of lights", low=1, high=5),
        _pool("point_light_color_names", "warm_white", LIGHT_COLORS, "used in turn", single=False),
    ),
    "layout": (
        _int("length", 128, "columns; 16 W without layout section", low=8, high=EXACT_FLOAT32),
        _int("height_px", 128, "rows; H without layout section", low=8, high=EXACT_FLOAT32),
        _int("base_ground_y", 96, "row of the ground at height 0", low=0),
        _int("pix_per_unit", 2, "pixels per unit of height", low=0),
        _int("ground_thickness", 2, "rows of solid ground", low=1),
        _int("run_width", 20, "columns between height changes", low=1),
        _float("p_change", 0.5, "probability of a change per run", low=0, high=1),
        _float("p_up_given_change", 0.5, "probability that a change goes up", low=0, high=1),
        _int("min_step_height", 5, "smallest change, units", low=0),
        _int("max_step_height", 10, "largest change, units", low=0),
        _int("min_height", 0, "lowest ground, units"),
        _int("max_height", 20, "highest ground, units"),
        _pool("layout_colors", "gray", BACKGROUND_COLORS, "pool of ground colours"),
    ),
    "physics": (
        _float("gravity", 0.5, "pixels per step^2", low=0),
        _float("max_speed_x", 3.0, "largest horizontal speed", low=0),
        _float("jump_velocity", -6.0, "vertical speed after a jump, negative is up", high=0),
        _float("terminal_velocity", 8.0, "largest falling speed", low=0),
        _float("ground_friction", 0.8, "speed kept per step on the ground", low=0, high=1),
        _float("air_resistance", 0.98, "speed kept per step in the air", low=0, high=1),
        _int("coyote_time", 3, "steps after leaving the ground in which a jump works", low=0),
        _float("ground_accel", 1.0, "pixels per step^2 on the ground", low=0),
        _float("air_accel", 0.4, "pixels per step^2 in the air", low=0),
        _int("ground_snap_dist", 2, "rows below the feet that count as contact", low=0),
    ),
}


def dotted(section: str, name: object) -> str:
    """Dotted path of key ``name`` in ``section`` ("" is the top level)."""
    return f"{section}.{name}" if section else str(name)


SCHEMA: dict[str, Key] = {dotted(s, key.name): key for s, keys in SECTIONS.items() for key in keys}

# Alias -> (canonical key, rule of the alias). `move_speed` is stricter than what it stands for.
ALIASES: dict[str, tuple[str, Key]] = {
    "physics.move_speed": ("physics.max_speed_x", _int("move_speed", 3, "speed", low=1)),
    "physics.jump_force": ("physics.jump_velocity", SCHEMA["physics.jump_velocity"]),
    "physics.max_fall_speed": ("physics.terminal_velocity", SCHEMA["physics.terminal_velocity"]),
}

IMAGE_SOURCES = ("background.image_path", "background.image_dir", "background.image_paths")
SKIN_SOURCES = ("character.sprite_dir", "character.sprite_paths", "character.sprite_path")
NPC_SOURCES = ("npc.sprite_dir", "npc.sprite_paths", "npc.sprite_path")
STICKY_SOURCES = ("npc.sticky_sprite_dir", "npc.sticky_sprite_dirs", "npc.sticky_sprite_path")
SOURCES = (IMAGE_SOURCES, SKIN_SOURCES, NPC_SOURCES, STICKY_SOURCES)
LOOKS = ("character.use_sprites", "character.use_shape")

# Which switch asks for a source of which group: (key, value of the key, group).
NEEDS = (
    ("background.mode", "image", IMAGE_SOURCES),
    ("character.use_sprites", True, SKIN_SOURCES),
    ("npc.enabled", True, NPC_SOURCES),
    ("npc.sticky_enabled", True, STICKY_SOURCES),
)

# (key, other key, whether they may be equal): the first must not exceed the second.
ORDERED = (
    ("npc.min_npc_count", "npc.max_npc_count", True),
    ("npc.min_sticky_count", "npc.max_sticky_count", True),
    ("npc.sticky_x_min", "npc.sticky_x_max", True),
    ("npc.sticky_y_min_offset", "npc.sticky_y_max_offset", True),
    ("distractors.min_speed", "distractors.max_speed", True),
    ("distractors.min_rotation_speed", "distractors.max_rotation_speed", True),
    ("distractors.min_size", "distractors.max_size", True),
    ("layout.min_step_height", "layout.max_step_height", True),
    ("layout.min_height", "layout.max_height", True),
    ("layout.base_ground_y", "layout.height_px", False),
    ("character.width", "layout.length", False),
    ("character.height", "layout.height_px", False),
    ("filters.pixelate_factor", "H", True),
    ("filters.pixelate_factor", "W", True),
    ("W", "layout.length", True),
)


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Nested configuration (sections are mappings) -> ``{dotted key: value}``."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= {dotted(name, leaf): inner for leaf, inner in value.items()}
        else:
            flat[name] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """``{dotted key: value}`` -> nested configuration, keys in the given order."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def show(value: object) -> str:
    """``value`` as it appears in an error message: one line of at most 60 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, or None when none is alike."""
    matches = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def parse(key: Key, value: object) -> Any:
    """Check ``value`` against ``key`` and return it in canonical form.

    Raises:
        ValueError: one line with the value and what is allowed.
    """
    if value is None and key.nullable:
        return key.default
    return _PARSERS[key.kind](key, value)


def _parse_int(key: Key, value: Any) -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or abs(int(value)) > INT32_MAX or not _in_range(key, int(value)):
        raise _rejection(value, _number_text(key, "a whole number"))
    return int(value)


def _parse_float(key: Key, value: Any) -> float:
    number = _as_float(value)
    if math.isnan(number) or not _in_range(key, number):
        raise _rejection(value, _number_text(key, "a finite number"))
    return number


def _as_float(value: Any) -> float:
    """`value` as a float; NaN for what is no number or does not fit a float32."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if abs(number) <= FLOAT32_MAX else math.nan


def _parse_bool(key: Key, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _rejection(value, "true or false")
    return value


def _parse_name(key: Key, value: Any) -> str:
    if isinstance(value, str) and value in key.names:
        return str(value)
    near = nearest(value, key.names) if isinstance(value, str) else None
    hint = f" (did you mean {near!r}?)" if near else ""
    raise ValueError(f"got {show(value)}{hint}, allowed: {' '.join(key.names)}{_or_null(key)}")


def _parse_names(key: Key, value: Any) -> list[str]:
    if isinstance(value, str) and key.single:
        value = [value]
    if not isinstance(value, list | tuple) or not (value or key.empty):
        size = "a list" if key.empty else "a non-empty list"
        also = ", or one name" if key.single else ""
        raise _rejection(value, f"{size} of {' '.join(key.names)}{also}")
    return [_parse_name(key, name) for name in value]


def _parse_path(key: Key, value: Any) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value.strip():
        raise _rejection(value, "a path or null" if key.kind == "path" else "a list of paths")
    return str(value)


def _parse_paths(key: Key, value: Any) -> list[str] | None:
    if not isinstance(value, list | tuple):
        raise _rejection(value, "a list of paths")
    return [_parse_path(key, path) for path in value] or key.default


def _parse_ints(key: Key, value: Any) -> list[int]:
    if not isinstance(value, list | tuple):
        raise _rejection(value, "a list of whole numbers")
    return [_parse_int(key, number) for number in value]


def _parse_color(key: Key, value: Any) -> list[int]:
    component = Key(key.name, "int", 0, key.meaning, low=0, high=255)
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise _rejection(value, "three whole numbers in [0, 255]")
    return [_parse_int(component, number) for number in value]


_PARSERS: dict[str, Callable[[Key, Any], Any]] = {
    "int": _parse_int,
    "float": _parse_float,
    "bool": _parse_bool,
    "name": _parse_name,
    "names": _parse_names,
    "path": _parse_path,
    "paths": _parse_paths,
    "ints": _parse_ints,
    "color": _parse_color,
}


def _rejection(value: object, allowed: str) -> ValueError:
    return ValueError(f"got {show(value)}, allowed: {allowed}")


def _in_range(key: Key, number: float) -> bool:
    return (
        (key.low is None or number >= key.low)
        and (key.high is None or number <= key.high)
        and (key.above is None or number > key.above)
    )


def _number_text(key: Key, noun: str) -> str:
    bounds = {">": key.above, ">=": key.low, "<=": key.high}
    given = [f"{sign} {bound}" for sign, bound in bounds.items() if bound is not None]
    if key.low is not None and key.high is not None:
        given = [f"in [{key.low}, {key.high}]"]
    return " ".join([noun, *given]) + _or_null(key)


def _or_null(key: Key) -> str:
    return " or null" if key.nullable else ""
