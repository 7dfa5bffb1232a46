"""The train/validation pairs of KAGE-Bench (arXiv 2601.14232) and its additional experiments.

Each of the 34 pairs trains on one of seven visual bases and validates on the same base with one
visual factor changed (two pairs change two). The dynamics and the reward are the same in all.
Configurations that differ only in keys without influence are one environment: `effective`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kagebench import config as configs
from kagebench.effective import effective
from kagebench.schema import nearest, nest

__all__ = [
    "BASES",
    "EXPERIMENTS",
    "PAIRS",
    "SUITES",
    "Experiment",
    "Pair",
    "derive",
    "effective",
    "get_experiment",
    "get_pair",
    "get_suite",
]

BASES: dict[str, str] = {letter: f"base-{letter.lower()}" for letter in "ABCDEFG"}


def derive(base: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical configuration of a shipped one with ``{dotted key: value}`` changed.

    Raises:
        ConfigError: a key or value is not allowed.
    """
    return configs.load({"base": base, **nest(changes)})


@dataclass(frozen=True)
class Pair:
    """A training configuration and the one on which generalisation is measured.

    Attributes:
        suite: name of the suite.
        id: number inside the suite, from 1.
        base: shipped configuration to train on.
        changes: ``{dotted key: value}`` of the validation configuration on top of `base`.
    """

    suite: str
    id: int
    base: str
    changes: Mapping[str, Any] = field(hash=False)

    @property
    def name(self) -> str:
        """For example ``background-5``."""
        return f"{self.suite}-{self.id}"

    @property
    def train(self) -> dict[str, Any]:
        """Canonical configuration for training."""
        return configs.load(self.base)

    @property
    def validation(self) -> dict[str, Any]:
        """Canonical configuration for validation."""
        return derive(self.base, self.changes)


@dataclass(frozen=True)
class Experiment:
    """One training configuration and a series of validation configurations.

    Attributes:
        name: name in the paper.
        base: shipped configuration to train on.
        changes: label of each validation configuration -> its changes on top of `base`.
    """

    name: str
    base: str
    changes: Mapping[str, Mapping[str, Any]] = field(hash=False)

    @property
    def train(self) -> dict[str, Any]:
        """Canonical configuration for training."""
        return configs.load(self.base)

    @property
    def validation(self) -> dict[str, dict[str, Any]]:
        """Canonical configuration for validation of each label."""
        return {label: derive(self.base, changes) for label, changes in self.changes.items()}


SKELETON, CLOWN = ["sprites/skeleton"], ["sprites/clown"]
IMAGE_128 = {"background.image_paths": ["backgrounds/bg-128.jpeg"]}
ALL_SKINS = "sprites"


def _circles(count: int) -> dict[str, Any]:
    """Distractors that look like the player of base A."""
    return {
        "distractors.enabled": True,
        "distractors.count": count,
        "distractors.shape_types": ["circle"],
        "distractors.shape_colors": ["teal"],
        "distractors.min_size": 16,
        "distractors.max_size": 16,
    }


def _colors(*names: str) -> dict[str, Any]:
    return {"background.mode": "color", "background.color_names": list(names)}


def _lights(**changes: float) -> dict[str, Any]:
    return {"effects.point_light_enabled": True} | {
        f"effects.point_light_{name}": value for name, value in changes.items()
    }


_LINE = {"character.shape_types": ["line"]}
_PINK = {"character.shape_colors": ["pink"]}

# Suite -> (base, changes) of its pairs in order.
_TABLE: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "agent_appearance": (
        ("A", _LINE),
        ("A", _PINK),
        ("A", _LINE | _PINK),
        ("A", {"character.use_sprites": True, "character.sprite_paths": SKELETON}),
        ("B", {"character.sprite_paths": CLOWN}),
    ),
    "background": (
        ("A", {"background.mode": "noise"}),
        ("A", _colors("purple")),
        ("A", _colors("purple", "lime", "indigo")),
        ("C", {"background.color_names": ["purple", "lime", "indigo"]}),
        ("A", {"background.mode": "image", "background.image_dir": "backgrounds"}),
        ("D", IMAGE_128),
        ("E", IMAGE_128),
        ("B", _colors("purple")),
        ("F", IMAGE_128),
        ("G", IMAGE_128),
    ),
    "distractors": (
        ("B", {"npc.enabled": True, "npc.sprite_paths": SKELETON}),
        ("B", {"npc.enabled": True, "npc.sprite_dir": ALL_SKINS}),
        ("B", {"npc.sticky_enabled": True, "npc.sticky_sprite_dirs": SKELETON}),
        ("B", {"npc.sticky_enabled": True, "npc.sticky_sprite_dir": ALL_SKINS}),
        ("A", _circles(7)),
        ("A", _circles(1) | {"character.shape_colors": ["indigo"]}),
    ),
    "effects": (
        ("F", _lights(intensity=0.5)),
        ("F", _lights(falloff=4.0)),
        ("F", _lights()),
    ),
    "filters": (
        ("F", {"filters.brightness": 1.0}),
        ("F", {"filters.contrast": 128.0}),
        ("F", {"filters.saturation": 0.0}),
        ("F", {"filters.hue_shift": 180.0}),
        ("F", {"filters.color_jitter_std": 2.0}),
        ("F", {"filters.gaussian_noise_std": 100.0}),
        ("F", {"filters.pixelate_factor": 3}),
        ("F", {"filters.vignette_strength": 10.0}),
        ("F", {"filters.radial_light_strength": 1.0}),
    ),
    "layout": (("A", {"layout.layout_colors": ["red"]}),),
}

SUITES: dict[str, tuple[Pair, ...]] = {
    suite: tuple(Pair(suite, i, BASES[base], new) for i, (base, new) in enumerate(rows, start=1))
    for suite, rows in _TABLE.items()
}

PAIRS: dict[str, Pair] = {pair.name: pair for pairs in SUITES.values() for pair in pairs}

_GROWING = ("black", "white", "red", "green", "blue")

# Names as in the paper's code. `sticky_npcs` varies the number of circle distractors, not of
# characters, and `num_of_train_bg_colors` the number of colours in validation, not in training.
EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "radial_light",
            BASES["F"],
            {str(s): {"filters.radial_light_strength": s} for s in (0.0, 0.25, 0.5, 0.75, 1.0)},
        ),
        Experiment(
            "sticky_npcs",
            BASES["A"],
            {"0": {}} | {str(count): _circles(count) for count in (1, 2, 3, 5, 7, 9, 11)},
        ),
        Experiment(
            "num_of_train_bg_colors",
            BASES["A"],
            {"_".join(_GROWING[:n]): _colors(*_GROWING[:n]) for n in range(1, 6)},
        ),
    )
}


def get_suite(name: str) -> tuple[Pair, ...]:
    """The pairs of a suite.

    Raises:
        ValueError: no suite has that name.
    """
    return SUITES[_known("suite", name, SUITES)]


def get_pair(name: str) -> Pair:
    """The pair called `name`, for example ``background-5``.

    Raises:
        ValueError: no pair has that name.
    """
    return PAIRS[_known("pair", name, PAIRS)]


def get_experiment(name: str) -> Experiment:
    """The additional experiment called `name`.

    Raises:
        ValueError: no experiment has that name.
    """
    return EXPERIMENTS[_known("experiment", name, EXPERIMENTS)]


def _known(kind: str, name: str, names: Iterable[str]) -> str:
    names = list(names)
    if name in names:
        return name
    near = nearest(name, names)
    hint = f" (did you mean {near}?)" if near else ""
    raise ValueError(f"{kind}: got {name!r}{hint}, allowed: {' '.join(names)}")
