"""Reading, checking and writing configurations."""

import copy
import math
from pathlib import Path

import pytest
import yaml

from kagebench import config as configs
from kagebench.config import ConfigError, dump, load, save
from kagebench.palettes import BACKGROUND_COLORS, LIGHT_COLORS, SHAPE_COLORS, SHAPES
from kagebench.schema import ALIASES, SCHEMA, SECTIONS, flatten, parse


def test_schema_is_complete_and_consistent() -> None:
    assert len(SCHEMA) == 115
    assert all(parse(key, key.default) == key.default for key in SCHEMA.values())
    assert {target for target, _ in ALIASES.values()} <= set(SCHEMA)
    assert not set(ALIASES) & set(SCHEMA)
    assert all(key.meaning for key in SCHEMA.values())
    assert (len(BACKGROUND_COLORS), len(SHAPE_COLORS), len(LIGHT_COLORS)) == (16, 21, 12)
    assert sorted(SHAPES) == list(SHAPES) and len(SHAPES) == 9


def test_absent_keys_take_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing\n")
    config = load(path)
    assert config == load({})
    assert list(config) == [key.name for key in SECTIONS[""]] + [name for name in SECTIONS if name]
    assert list(flatten(config)) == list(SCHEMA)
    # As in the paper's code these are not the values of the default file.
    assert config["physics"]["max_speed_x"] == 3.0
    assert config["character"]["shape_colors"] == ["red"]
    assert config["background"]["mode"] == "black"
    assert config["layout"]["run_width"] == 20


def test_level_follows_the_frame_only_without_a_layout_section() -> None:
    whole = load({"W": 200, "H": 100})["layout"]
    assert (whole["length"], whole["height_px"]) == (3200, 100)
    assert load({"W": 200, "H": 100, "layout": None})["layout"] == whole
    part = load({"layout": {"run_width": 25}})["layout"]
    assert (part["length"], part["height_px"]) == (128, 128)


def test_null_section_means_defaults() -> None:
    assert load({"filters": None, "npc": None}) == load({})


def test_values_become_canonical() -> None:
    config = load(
        {
            "physics": {"move_speed": 2, "jump_force": -7, "max_fall_speed": 9},
            "character": {"shape_types": "star", "sprite_paths": [], "fallback_color": (1, 2, 3)},
            "layout": {"layout_colors": "black"},
            "npc": {"sprite_paths": None},
            "background": {"image_path": Path("a/b.png")},
        }
    )
    physics = config["physics"]
    assert [physics[key] for key in ("max_speed_x", "jump_velocity", "terminal_velocity")] == [
        2.0,
        -7.0,
        9.0,
    ]
    assert isinstance(physics["max_speed_x"], float)
    assert config["character"]["shape_types"] == ["star"]
    assert config["character"]["sprite_paths"] is None
    assert config["character"]["fallback_color"] == [1, 2, 3]
    assert config["layout"]["layout_colors"] == ["black"]
    assert config["npc"]["sprite_paths"] == []
    assert config["background"]["image_path"] == "a/b.png"


def test_rectangle_is_kept_when_loaded_again() -> None:
    rectangle = load({})
    assert not rectangle["character"]["use_shape"] and not rectangle["character"]["use_sprites"]
    assert load(rectangle) == rectangle
    assert load({"character": {"use_shape": False}}) == rectangle


def test_results_are_independent_of_source_and_of_each_other() -> None:
    source = {"npc": {"sticky_x_offsets": [1, 2]}}
    before = copy.deepcopy(source)
    first = load(source)
    first["npc"]["sticky_x_offsets"].append(3)
    first["layout"]["layout_colors"].append("red")
    assert source == before
    assert load({})["layout"]["layout_colors"] == ["gray"]
    load("base-c")["background"]["color_names"].clear()
    assert load("base-c")["background"]["color_names"] == ["red", "green", "blue"]


@pytest.mark.parametrize("name", configs.SHIPPED)
def test_round_trip(name: str, tmp_path: Path) -> None:
    config = load(name)
    path = tmp_path / "copy.yaml"
    save(config, path)
    assert load(config) == load(dump(config)) == load(path) == config
    assert len(flatten(yaml.safe_load(path.read_text()))) == 115
    assert [file.name for file in tmp_path.iterdir()] == ["copy.yaml"]


def test_round_trip_of_awkward_values() -> None:
    odd = {
        "background": {"image_path": "yes: #1 ' é.png", "parallax_factor": 1e-7},
        "filters": {"pop_filter": "none", "seed": -1},
        "npc": {"sticky_x_offsets": [-3]},
    }
    assert load(dump(odd)) == load(odd)
    assert load(odd)["filters"]["pop_filter"] == "none"


def test_save_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "kept.yaml"
    save(load("simplest"), path)
    before = path.read_text()
    with pytest.raises(ConfigError, match=r"^<dict>: H: got nan"):
        save({"H": math.nan}, path)
    assert path.read_text() == before
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"folder: cannot be written \("):
        save({}, tmp_path / "folder")
    with pytest.raises(ConfigError, match=r"c.yaml: cannot be written \(No such file"):
        save({}, tmp_path / "nowhere" / "c.yaml")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "kept.yaml"]


def test_base_is_relative_to_its_file_and_merged_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "parent.yaml").write_text(
        "base: base-c\nfilters: {gamma: 2}\nphysics: {move_speed: 2}"
    )
    child = tmp_path / "sub" / "child.yaml"
    child.write_text(
        "base: ../parent.yaml\nfilters: {contrast: 3}\nphysics: {max_speed_x: 4}\n"
        "background: {color_names: [lime]}\nnpc:"
    )
    expected = load("base-c")
    expected["filters"] |= {"gamma": 2.0, "contrast": 3.0}
    expected["physics"]["max_speed_x"] = 4.0
    expected["background"]["color_names"] = ["lime"]
    assert load(child) == expected


def test_source_replaces_the_inherited_one() -> None:
    image = load({"base": "base-e", "background": {"image_dir": "elsewhere"}})["background"]
    assert (image["image_dir"], image["image_paths"]) == ("elsewhere", [])
    cleared = {"base": "base-e", "background": {"image_paths": None, "mode": "black"}}
    assert load(cleared)["background"]["image_paths"] == []
    # The other groups keep theirs.
    assert (
        load({"base": "base-b", "npc": {"sprite_path": "x"}})["character"]
        == (load("base-b")["character"])
    )


def test_look_replaces_the_inherited_one() -> None:
    shape = load({"base": "base-b", "character": {"use_shape": True}})["character"]
    assert (shape["use_sprites"], shape["use_shape"]) == (False, True)
    with pytest.raises(ConfigError, match=r"character.use_shape: got false with"):
        load({"base": "base-b", "character": {"use_sprites": False}})


def test_error_names_the_file_that_holds_the_mistake(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text("H: 1")
    (tmp_path / "child.yaml").write_text("base: parent.yaml")
    with pytest.raises(ConfigError, match=r"parent.yaml: H: got 1"):
        load(tmp_path / "child.yaml")
    (tmp_path / "parent.yaml").write_text("base: child.yaml")
    with pytest.raises(ConfigError, match=r"circular \(child.yaml -> parent.yaml -> child.yaml\)"):
        load(tmp_path / "child.yaml")
    (tmp_path / "child.yaml").write_text("base: simplst")
    with pytest.raises(ConfigError, match=r"child.yaml: base: .*simplst: no such file \(did you"):
        load(tmp_path / "child.yaml")


def test_files_in_use_are_checked_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGEBENCH_ASSETS", str(tmp_path))
    (tmp_path / "backgrounds").mkdir()
    source = {"background": {"mode": "image", "image_paths": ["backgrounds/a.png"]}}
    with pytest.raises(ConfigError, match=r"^<dict>: background.image_paths: .*a.png.* not found"):
        load(source, check_files=True)
    (tmp_path / "backgrounds" / "a.png").touch()
    assert load(source, check_files=True) == load(source)
    unused = {"background": {"image_path": "backgrounds/b.png"}}
    assert load(unused, check_files=True) == load(unused)


@pytest.mark.reference
def test_every_reference_file_loads_unchanged(shared_dir: Path) -> None:
    files = sorted((shared_dir / "kage-configs").rglob("*.yaml"))
    assert len(files) == 92
    for file in files:
        loaded = flatten(load(file))
        for key, value in flatten(yaml.safe_load(file.read_text())).items():
            target = ALIASES[key][0] if key in ALIASES else key
            assert loaded[target] == value, f"{file}: {key}"
