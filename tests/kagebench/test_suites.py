"""The 34 pairs and the additional experiments."""

from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from kagebench.config import ConfigError, load
from kagebench.effective import effective
from kagebench.schema import SCHEMA, flatten
from kagebench.suites import (
    BASES,
    EXPERIMENTS,
    PAIRS,
    SUITES,
    Pair,
    derive,
    get_experiment,
    get_pair,
    get_suite,
)

ABSENT = "absent"
BLACK_TO_PURPLE = {
    "background.mode": ("black", "color"),
    "background.color_names": (ABSENT, ["purple"]),
    "background.switch_frequency": (ABSENT, 0.0),
}
PURPLE_LIME_INDIGO = ["purple", "lime", "indigo"]
BG_1, BG_128 = ["backgrounds/bg-1.jpeg"], ["backgrounds/bg-128.jpeg"]
BG_123 = [f"backgrounds/bg-{i}.jpeg" for i in (1, 2, 3)]

# Pair -> base letter, and the keys of the effective difference that say what was intended.
INTENDED: dict[str, tuple[str, dict[str, tuple[Any, Any]]]] = {
    "agent_appearance-1": ("A", {"character.shape_types": (["circle"], ["line"])}),
    "agent_appearance-2": ("A", {"character.shape_colors": (["teal"], ["pink"])}),
    "agent_appearance-3": (
        "A",
        {
            "character.shape_types": (["circle"], ["line"]),
            "character.shape_colors": (["teal"], ["pink"]),
        },
    ),
    "agent_appearance-5": (
        "B",
        {"character.sprite_paths": (["sprites/skeleton"], ["sprites/clown"])},
    ),
    "background-1": (
        "A",
        {"background.mode": ("black", "noise"), "background.switch_frequency": (ABSENT, 0.0)},
    ),
    "background-2": ("A", BLACK_TO_PURPLE),
    "background-3": (
        "A",
        BLACK_TO_PURPLE | {"background.color_names": (ABSENT, PURPLE_LIME_INDIGO)},
    ),
    "background-4": (
        "C",
        {"background.color_names": (["red", "green", "blue"], PURPLE_LIME_INDIGO)},
    ),
    "background-6": ("D", {"background.image_paths": (BG_1, BG_128)}),
    "background-7": ("E", {"background.image_paths": (BG_123, BG_128)}),
    "background-8": ("B", BLACK_TO_PURPLE),
    "background-9": ("F", {"background.image_paths": (BG_1, BG_128)}),
    "background-10": ("G", {"background.image_paths": (BG_123, BG_128)}),
    "filters-1": ("F", {"filters.brightness": (0.0, 1.0)}),
    "filters-2": ("F", {"filters.contrast": (1.0, 128.0)}),
    "filters-3": ("F", {"filters.saturation": (1.0, 0.0)}),
    "filters-4": ("F", {"filters.hue_shift": (0.0, 180.0)}),
    "filters-5": ("F", {"filters.color_jitter_std": (0.0, 2.0)}),
    "filters-6": ("F", {"filters.gaussian_noise_std": (0.0, 100.0)}),
    "filters-7": ("F", {"filters.pixelate_factor": (1, 3)}),
    "filters-8": ("F", {"filters.vignette_strength": (0.0, 10.0)}),
    "filters-9": (
        "F",
        {
            "filters.radial_light_strength": (0.0, 1.0),
            "filters.radial_light_color": (ABSENT, [255, 255, 200]),
        },
    ),
    "layout-1": ("A", {"layout.layout_colors": (["cyan"], ["red"])}),
}

# Pairs that switch a whole layer on: base letter, values in validation, and the only section
# (or sections) in which anything may differ.
SWITCHED_ON: dict[str, tuple[str, dict[str, Any]]] = {
    "agent_appearance-4": (
        "A",
        {
            "character.use_sprites": True,
            "character.use_shape": False,
            "character.sprite_paths": ["sprites/skeleton"],
            "character.sprite_dir": None,
        },
    ),
    "background-5": (
        "A",
        {
            "background.mode": "image",
            "background.image_dir": "backgrounds",
            "background.parallax_factor": 0.5,
            "background.tile_horizontal": True,
            "background.switch_frequency": 0.0,
        },
    ),
    "distractors-1": (
        "B",
        {
            "npc.enabled": True,
            "npc.sprite_paths": ["sprites/skeleton"],
            "npc.sprite_dir": None,
            "npc.min_npc_count": 5,
            "npc.max_npc_count": 20,
            "npc.sticky_enabled": False,
        },
    ),
    "distractors-2": (
        "B",
        {
            "npc.enabled": True,
            "npc.sprite_paths": [],
            "npc.sprite_dir": "sprites",
            "npc.sticky_enabled": False,
        },
    ),
    "distractors-3": (
        "B",
        {
            "npc.enabled": False,
            "npc.sticky_enabled": True,
            "npc.sticky_sprite_dirs": ["sprites/skeleton"],
            "npc.sticky_sprite_dir": None,
            "npc.min_sticky_count": 1,
            "npc.max_sticky_count": 5,
            "npc.sticky_can_jump": True,
        },
    ),
    "distractors-4": (
        "B",
        {
            "npc.enabled": False,
            "npc.sticky_enabled": True,
            "npc.sticky_sprite_dirs": [],
            "npc.sticky_sprite_dir": "sprites",
        },
    ),
    "distractors-5": (
        "A",
        {
            "distractors.enabled": True,
            "distractors.count": 7,
            "distractors.shape_types": ["circle"],
            "distractors.shape_colors": ["teal"],
            "distractors.min_size": 16,
            "distractors.max_size": 16,
            "distractors.max_speed": 1.0,
        },
    ),
    "distractors-6": (
        "A",
        {
            "distractors.enabled": True,
            "distractors.count": 1,
            "distractors.shape_types": ["circle"],
            "distractors.shape_colors": ["teal"],
            "distractors.min_size": 16,
            "distractors.max_size": 16,
            "character.shape_colors": ["indigo"],
        },
    ),
}
LIGHTS = {
    "effects.point_light_enabled": True,
    "effects.point_light_intensity": 1.0,
    "effects.point_light_radius": 0.1,
    "effects.point_light_falloff": 2.0,
    "effects.point_light_count": 4,
    "effects.point_light_color_names": ["blue", "pink", "gold"],
}
SWITCHED_ON |= {
    "effects-1": ("F", LIGHTS | {"effects.point_light_intensity": 0.5}),
    "effects-2": ("F", LIGHTS | {"effects.point_light_falloff": 4.0}),
    "effects-3": ("F", LIGHTS),
}


def difference(pair: Pair) -> dict[str, tuple[Any, Any]]:
    train, validation = flatten(effective(pair.train)), flatten(effective(pair.validation))
    keys = [key for key in SCHEMA if train.get(key, ABSENT) != validation.get(key, ABSENT)]
    return {key: (train.get(key, ABSENT), validation.get(key, ABSENT)) for key in keys}


def distinct(configs: Any) -> set[str]:
    return {repr(effective(config)) for config in configs}


@pytest.mark.parametrize("name", INTENDED)
def test_pair_changes_what_is_intended_and_nothing_else(name: str) -> None:
    letter, intended = INTENDED[name]
    assert PAIRS[name].train == load(BASES[letter])
    assert difference(PAIRS[name]) == intended


@pytest.mark.parametrize("name", SWITCHED_ON)
def test_pair_switches_a_layer_on_and_changes_no_other(name: str) -> None:
    letter, intended = SWITCHED_ON[name]
    pair = PAIRS[name]
    assert pair.train == load(BASES[letter])
    changed = difference(pair)
    assert {key.split(".")[0] for key in changed} == {key.split(".")[0] for key in intended}
    validation = flatten(pair.validation)
    assert {key: validation[key] for key in intended} == intended


def test_all_pairs_are_covered_above() -> None:
    assert {*INTENDED, *SWITCHED_ON} == set(PAIRS)


def test_sizes_and_names() -> None:
    assert {suite: len(pairs) for suite, pairs in SUITES.items()} == {
        "agent_appearance": 5,
        "background": 10,
        "distractors": 6,
        "effects": 3,
        "filters": 9,
        "layout": 1,
    }
    assert list(PAIRS.values()) == list(chain.from_iterable(SUITES.values()))
    assert len(PAIRS) == 34
    assert get_suite("background")[4] is get_pair("background-5")
    assert get_pair("background-5").id == 5


def test_pairs_share_training_and_validation_configurations() -> None:
    train = distinct(pair.train for pair in PAIRS.values())
    validation = distinct(pair.validation for pair in PAIRS.values())
    assert (len(train), len(validation), len(train | validation)) == (7, 31, 37)
    assert len(distinct(load(name) for name in BASES.values())) == 7
    counts = [sum(pair.base == base for pair in PAIRS.values()) for base in BASES.values()]
    assert counts == [11, 6, 1, 1, 1, 13, 1]
    for one, other in (("3", "4"), ("6", "7"), ("9", "10")):
        left, right = (PAIRS[f"background-{i}"].validation for i in (one, other))
        assert effective(left) == effective(right)
    assert effective(PAIRS["agent_appearance-4"].validation) == effective(load("base-b"))


def test_dynamics_and_reward_are_the_same_everywhere() -> None:
    first = load("base-a")
    for pair in PAIRS.values():
        for config in (pair.train, pair.validation):
            assert config["physics"] == first["physics"] and config["camera"] == first["camera"]
            assert flatten(config).keys() == SCHEMA.keys()
            assert {k: v for k, v in config.items() if not isinstance(v, dict)} == {
                k: v for k, v in first.items() if not isinstance(v, dict)
            }
            assert config["layout"] | {"layout_colors": ["cyan"]} == first["layout"]


def test_experiments() -> None:
    sizes = {name: len(experiment.validation) for name, experiment in EXPERIMENTS.items()}
    assert sizes == {"radial_light": 5, "sticky_npcs": 8, "num_of_train_bg_colors": 5}
    light, circles = get_experiment("radial_light"), get_experiment("sticky_npcs")
    assert light.validation["0.0"] == light.train == load("base-f")
    assert light.validation["0.75"]["filters"]["radial_light_strength"] == 0.75
    assert circles.validation["0"] == circles.train == load("base-a")
    counts = [config["distractors"]["count"] for config in circles.validation.values()]
    assert counts[1:] == [1, 2, 3, 5, 7, 9, 11]
    colors = get_experiment("num_of_train_bg_colors").validation
    assert colors["black_white_red"]["background"]["color_names"] == ["black", "white", "red"]


def test_effective_drops_keys_without_influence_only() -> None:
    base = load("base-b")
    kept = flatten(effective(base))
    idle = {
        "character.shape_types": ["line"],
        "filters.seed": 3,
        "distractors.count": 9,
        "npc.sprite_dir": "elsewhere",
        "background.color_names": ["red"],
        "effects.point_light_count": 2,
    }
    assert not kept.keys() & idle.keys()
    assert {name: list(effective(base)[name]) for name in ("background", "character", "npc")} == {
        "background": ["mode"],
        "character": [
            *("width", "height", "use_sprites", "use_shape", "sprite_dir", "sprite_paths"),
            *("sprite_path", "enable_animation", "animation_fps", "idle_sprite_idx"),
        ],
        "npc": ["enabled", "sticky_enabled"],
    }
    assert effective(base)["distractors"] == {"enabled": False}
    assert effective(base)["effects"] == {"point_light_enabled": False}
    assert effective(derive("base-b", idle)) == effective(base)
    assert effective(derive("base-b", {"character.idle_sprite_idx": 1})) != effective(base)
    assert effective(derive("base-b", {"character.width": 15})) != effective(base)
    jumping = derive("base-b", {"npc.sticky_enabled": True})
    assert "sticky_jump_probability" in effective(jumping)["npc"]
    assert "enabled" in effective(jumping)["npc"] and "sprite_dir" not in effective(jumping)["npc"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: get_suite("filter"),
            "suite: got 'filter' (did you mean filters?), allowed: agent",
        ),
        (lambda: get_pair("filters-10"), "pair: got 'filters-10' (did you mean filters-1?), allow"),
        (lambda: get_experiment("x"), "experiment: got 'x', allowed: radial_light sticky_npcs"),
    ],
)
def test_unknown_names(call: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_derive_checks_its_changes() -> None:
    with pytest.raises(ConfigError, match=r"^<dict>: filters.gama: unknown key"):
        derive("base-a", {"filters.gama": 1})


def without_prefix(config: Any) -> Any:
    """The configuration with asset paths cut to their last parts."""
    if isinstance(config, dict):
        return {key: without_prefix(value) for key, value in config.items()}
    if isinstance(config, list):
        return [without_prefix(value) for value in config]
    return config.rpartition("/assets/")[2] if isinstance(config, str) else config


@pytest.mark.reference
@pytest.mark.parametrize("name", PAIRS)
def test_pair_equals_the_reference_files(name: str, shared_dir: Path) -> None:
    pair = PAIRS[name]
    stem = shared_dir / "kage-configs" / pair.suite / f"config_{pair.id}"
    for ours, file in ((pair.train, f"{stem}_train.yaml"), (pair.validation, f"{stem}_val.yaml")):
        theirs = without_prefix(load(file))
        assert effective(ours) == effective(theirs)
        assert ours == theirs


@pytest.mark.reference
def test_shipped_configurations_equal_the_reference_files(shared_dir: Path) -> None:
    for name, file in (
        ("default", "default_config"),
        ("simplest", "throughput/simplest_config"),
        ("hardest", "throughput/hardest_config"),
    ):
        theirs = load(shared_dir / "kage-configs" / f"{file}.yaml")
        assert load(name) == without_prefix(theirs), name


@pytest.mark.reference
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_equals_the_reference_files(name: str, shared_dir: Path) -> None:
    experiment = EXPERIMENTS[name]
    folder = shared_dir / "kage-configs" / "additional" / name
    (train,) = folder.glob("*_train.yaml")
    assert effective(experiment.train) == effective(without_prefix(load(train)))
    files = {file.stem.partition("_val_")[2]: file for file in folder.glob("*_val_*.yaml")}
    assert files.keys() == experiment.validation.keys()
    for label, config in experiment.validation.items():
        assert effective(config) == effective(without_prefix(load(files[label]))), label
