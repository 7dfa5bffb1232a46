"""Every visual axis of the environment at several values: what the gallery shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagebench.palettes import PRESETS

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """One row, or half a row, of the gallery.

    Attributes:
        title: what varies.
        base: dotted key -> value, common to all cells, on top of base A.
        cells: caption of each cell -> its changes on top of `base`.
        zoom: magnification; above 1 only the surroundings of the player are shown.
    """

    title: str
    base: Changes
    cells: Mapping[str, Changes]
    zoom: int = 1


COLORS = "gray white brown red orange yellow lime green cyan blue indigo pink".split()  # noqa: SIM905
IMAGES = (1, 5, 9, 20, 15, 28, 46, 62, 78, 89, 106, 118)
LAYOUT_COLORS = ("gray", "white", "red", "yellow", "cyan", "magenta")
SHAPES = {
    "circle": "teal",
    "cross": "red",
    "diamond": "gold",
    "ellipse": "coral",
    "line": "pink",
    "polygon": "lime",
    "square": "blue",
    "star": "yellow",
    "triangle": "magenta",
}
SKINS = "boy chibi clown cowboy dark_knight dog elf enchanter girl_2 robot warrior woman_2".split()  # noqa: SIM905
FILTERS: dict[str, Sequence[float]] = {
    "brightness": (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0),
    "contrast": (0.25, 0.5, 1.5, 2.0, 8.0, 128.0),
    "gamma": (0.5, 0.65, 0.8, 1.25, 1.6, 2.0),
    "saturation": (0.0, 0.25, 0.5, 1.25, 1.5, 2.0),
    "hue_shift": (-120.0, -60.0, 30.0, 60.0, 120.0, 180.0),
    "color_temp": (-1.0, -0.6, -0.3, 0.3, 0.6, 1.0),
    "color_jitter_std": (0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
    "gaussian_noise_std": (5.0, 20.0, 50.0, 100.0),
    "poisson_noise_scale": (1.0, 0.2, 0.05, 0.01),
    "blur_sigma": (0.0, 0.5, 1.0, 1.5, 2.0, 2.5),
    "sharpen_amount": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
    "pixelate_factor": (2, 3, 4, 6, 8, 16),
    "vignette_strength": (0.25, 0.5, 1.0, 2.0, 5.0, 10.0),
    "radial_light_strength": (0.1, 0.25, 0.5, 0.75, 1.0, 2.0),
}


def axes() -> list[Axis]:
    """What the gallery shows, from top to bottom."""
    return [
        Axis("Background: one colour", SKELETON, {name: _color(name) for name in COLORS}),
        Axis("Background: images", SKELETON, {f"bg-{n}": _image(n) for n in IMAGES}),
        Axis("Background: noise, parallax of an image", SKELETON, _scrolling()),
        Axis("Layout colour", SKELETON, _one_of("layout.layout_colors", LAYOUT_COLORS)),
        Axis("Player: shape, colour, rotation", SHAPE, {**_shapes(), **_rotations()}, zoom=4),
        Axis("Player: skin", {}, {name: _skin(name) for name in SKINS}, zoom=4),
        Axis("NPCs that stand in the level", SKELETON, _crowds()),
        Axis("NPCs that stay beside the player", SKELETON, _escorts()),
        Axis("Distractors: number and size", SKELETON, _swarms()),
        Axis("Distractors: shape", SKELETON, _kinds()),
        *(Axis(f"filters.{name}", SCENERY, _values(name)) for name in FILTERS),
        Axis("filters.pop_filter_list", SCENERY, _one_of("filters.pop_filter_list", PRESETS)),
        Axis("Point lights", NIGHT, _lights()),
    ]


def _one_of(key: str, names: Sequence[str]) -> dict[str, Changes]:
    """A pool of one name per cell."""
    return {name: {key: [name]} for name in names}


def _color(name: str) -> Changes:
    return {"background.mode": "color", "background.color_names": [name]}


def _image(number: int) -> Changes:
    path = f"backgrounds/bg-{number}.jpeg"
    return {"background.mode": "image", "background.image_paths": [path]}


def _skin(name: str) -> Changes:
    return {"character.use_sprites": True, "character.sprite_paths": [f"sprites/{name}"]}


SKELETON = _skin("skeleton")
SHAPE: Changes = {"character.use_sprites": False, "character.use_shape": True}
SCENERY: Changes = {**SKELETON, **_image(128)}
NIGHT: Changes = {**SKELETON, **_image(3)}


def _scrolling() -> dict[str, Changes]:
    factors = (0.0, 0.25, 0.5, 1.0, 2.0)
    scroll = {f"factor {f}": {**_image(16), "background.parallax_factor": f} for f in factors}
    return {"noise": {"background.mode": "noise"}, **scroll}


def _shape(shape: str, color: str) -> Changes:
    return {"character.shape_types": [shape], "character.shape_colors": [color]}


def _shapes() -> dict[str, Changes]:
    return {f"{color} {shape}": _shape(shape, color) for shape, color in SHAPES.items()}


def _rotations() -> dict[str, Changes]:
    def turning(speed: float) -> Changes:
        rotation = {"shape_rotate": True, "shape_rotation_speed": speed}
        named = {f"character.{key}": value for key, value in rotation.items()}
        return {**_shape("square", "silver"), **named}

    return {f"{speed}° per step": turning(speed) for speed in (0.25, 1.3, 5.2)}


def _crowd(count: int, **changes: Any) -> Changes:
    common = {"enabled": True, "min_npc_count": count, "max_npc_count": count}
    return {f"npc.{key}": value for key, value in {**common, **changes}.items()}


def _crowds() -> dict[str, Changes]:
    counts = {f"{n} in the level": _crowd(n, sprite_dir="sprites") for n in (5, 20, 40, 80)}
    return {
        **counts,
        "80 skeletons": _crowd(80, sprite_paths=["sprites/skeleton"]),
        "raised 24 px": _crowd(80, sprite_dir="sprites", spawn_y_offset=24),
    }


def _escort(count: int, **changes: Any) -> Changes:
    common = {
        "enabled": True,
        "x_min": -56,
        "x_max": 40,
        "y_min_offset": -40,
        "y_max_offset": -10,
    }
    counts = {"npc.min_sticky_count": count, "npc.max_sticky_count": count}
    named = {f"npc.sticky_{key}": value for key, value in {**common, **changes}.items()}
    return {**counts, **named}


def _escorts() -> dict[str, Changes]:
    counts = {f"{n} beside it": _escort(n, sprite_dir="sprites") for n in (1, 2, 3, 5)}
    return {
        **counts,
        "5 skeletons": _escort(5, sprite_dirs=["sprites/skeleton"]),
        "5, jumping": _escort(5, sprite_dir="sprites", jump_probability=0.2),
    }


def _distractors(count: int, shapes: Mapping[str, str], size: int) -> Changes:
    values = {
        "enabled": True,
        "count": count,
        "shape_types": list(shapes),
        "shape_colors": list(shapes.values()),
        "min_size": size,
        "max_size": size,
    }
    return {f"distractors.{key}": value for key, value in values.items()}


def _swarms() -> dict[str, Changes]:
    circle = {"circle": "teal"}
    circles = {f"{n} of size 16": _distractors(n, circle, 16) for n in (1, 7, 11)}
    mixed = {f"20 of size {size}": _distractors(20, SHAPES, size) for size in (4, 8, 12)}
    return {**circles, **mixed}


def _kinds() -> dict[str, Changes]:
    names = ("cross", "diamond", "ellipse", "square", "star", "triangle")
    return {name: _distractors(8, {name: SHAPES[name]}, 14) for name in names}


def _values(name: str) -> dict[str, Changes]:
    return {str(value): {f"filters.{name}": value} for value in FILTERS[name]}


def _light(count: int, color: str, **changes: float) -> Changes:
    common = {"enabled": True, "count": count, "color_names": [color]}
    values = {**common, **changes}
    return {f"effects.point_light_{key}": value for key, value in values.items()}


def _lights() -> dict[str, Changes]:
    return {
        "1 light": _light(1, "warm_white"),
        "3 lights": _light(3, "pink"),
        "5 lights": _light(5, "blue"),
        "intensity 0.3": _light(4, "green", intensity=0.3),
        "radius 0.2": _light(4, "gold", radius=0.2, intensity=0.5),
        "falloff 4": _light(4, "fire", falloff=4.0),
    }
