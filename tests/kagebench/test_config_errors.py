"""Input that is not a configuration: one line naming file, key, value and what is allowed."""

from pathlib import Path

import pytest

from kagebench.config import ConfigError, load

# Case -> text of the file, and the beginning of the message after the file's name.
MALFORMED: dict[str, tuple[str, str]] = {
    "unknown key": (
        "filters: {brigthness: 1}",
        "filters.brigthness: unknown key (did you mean filters.brightness?)",
    ),
    "unknown section": ("filter: {gamma: 1}", "filter: unknown key (did you mean filters?)"),
    "unknown key of the top level": (
        "episode_lenght: 3",
        "episode_lenght: unknown key (did you mean episode_length?)",
    ),
    "key of another section": (
        "layout: {gravity: 1}",
        "layout.gravity: unknown key (did you mean physics.gravity?)",
    ),
    "dotted key": (
        "filters.gamma: 1",
        "filters.gamma: dotted key, allowed: gamma inside filters",
    ),
    "like no key of its section": (
        "distractors: {gama: 1}",
        "distractors.gama: unknown key (did you mean filters.gamma?)",
    ),
    "alias misspelt": (
        "physics: {move_sped: 1}",
        "physics.move_sped: unknown key (did you mean physics.move_speed?)",
    ),
    "unlike any key": (
        "camera: {zzz: 1}",
        "camera.zzz: unknown key, allowed: left_margin right_margin",
    ),
    "key with a line break": ('"a\\nb": 1', "a b: unknown key, allowed: H W episode_length"),
    "beyond any float": (
        f"jump_penalty: {10**400}",
        "jump_penalty: got 1000000000",
    ),
    "key that is no text": ("camera: {7: 1}", "camera.7: unknown key, allowed: left_margin"),
    "string for a number": (
        "filters: {gamma: high}",
        "filters.gamma: got 'high', allowed: a finite number in [0.5, 2]",
    ),
    "bool for a whole number": ("H: true", "H: got true, allowed: a whole number in [8, 4096]"),
    "bool for a number": (
        "jump_penalty: false",
        "jump_penalty: got false, allowed: a finite number",
    ),
    "number for a bool": (
        "npc: {enabled: 1}",
        "npc.enabled: got 1, allowed: true or false",
    ),
    "float for a whole number": (
        "filters: {pixelate_factor: 3.0}",
        "filters.pixelate_factor: got 3.0, allowed: a whole number >= 1",
    ),
    "null for a number": (
        "idle_penalty: null",
        "idle_penalty: got null, allowed: a finite number",
    ),
    "not a number": ("jump_penalty: .nan", "jump_penalty: got nan, allowed: a finite number"),
    "infinity": (
        "background: {parallax_factor: -.inf}",
        "background.parallax_factor: got -inf, allowed: a finite number",
    ),
    "beyond float32": ("idle_penalty: 1.0e+39", "idle_penalty: got 1e+39, allowed: a finite"),
    "beyond int32": (
        "episode_length: 3000000000",
        "episode_length: got 3000000000, allowed: a whole number >= 1",
    ),
    "below the range": ("H: 7", "H: got 7, allowed: a whole number in [8, 4096]"),
    "above the range": (
        "filters: {brightness: 1.5}",
        "filters.brightness: got 1.5, allowed: a finite number in [-1, 1]",
    ),
    "probability": (
        "layout: {p_change: 1.1}",
        "layout.p_change: got 1.1, allowed: a finite number in [0, 1]",
    ),
    "zero where it divides": (
        "character: {animation_fps: 0}",
        "character.animation_fps: got 0, allowed: a finite number > 0",
    ),
    "upper limit only": (
        "physics: {jump_velocity: 1}",
        "physics.jump_velocity: got 1, allowed: a finite number <= 0",
    ),
    "range of a nullable number": (
        "filters: {jpeg_quality: 2}",
        "filters.jpeg_quality: got 2, allowed: a finite number in [0, 1] or null",
    ),
    "alias is stricter": (
        "physics: {move_speed: 1.5}",
        "physics.move_speed: got 1.5, allowed: a whole number >= 1",
    ),
    "alias and its key": (
        "physics: {jump_force: -6, jump_velocity: -6}",
        "physics.jump_force: given with physics.jump_velocity, allowed: one of the two",
    ),
    "unknown mode": (
        "background: {mode: blak}",
        "background.mode: got 'blak' (did you mean 'black'?), allowed: black color noise image",
    ),
    "mode that is no text": (
        "background: {mode: [image]}",
        "background.mode: got ['image'], allowed: black color noise image",
    ),
    "unknown shape": (
        "character: {shape_types: [circle, sqare]}",
        "character.shape_types: got 'sqare' (did you mean 'square'?), allowed: circle cross",
    ),
    "unknown shape colour": (
        "distractors: {shape_colors: black}",
        "distractors.shape_colors: got 'black', allowed: red green blue orange",
    ),
    "unknown background colour": (
        "background: {color_names: [violet]}",
        "background.color_names: got 'violet', allowed: black white red",
    ),
    "layout colour of the other palette": (
        "layout: {layout_colors: [gold]}",
        "layout.layout_colors: got 'gold', allowed: black white red",
    ),
    "unknown light": (
        "effects: {point_light_color_names: [warm-white]}",
        "effects.point_light_color_names: got 'warm-white' (did you mean 'warm_white'?), allowed:",
    ),
    "unknown preset in the list": (
        "filters: {pop_filter_list: [vintag]}",
        "filters.pop_filter_list: got 'vintag' (did you mean 'vintage'?), allowed: vintage retro",
    ),
    "unknown preset": (
        "filters: {pop_filter: sepia}",
        "filters.pop_filter: got 'sepia', allowed: vintage retro cyberpunk horror noir none or",
    ),
    "one name for a list": (
        "background: {color_names: red}",
        "background.color_names: got 'red', allowed: a non-empty list of black white",
    ),
    "empty pool": (
        "character: {shape_types: []}",
        "character.shape_types: got [], allowed: a non-empty list of circle",
    ),
    "path that is no text": (
        "background: {image_path: 3}",
        "background.image_path: got 3, allowed: a path or null",
    ),
    "empty path": (
        "background: {image_dir: ''}",
        "background.image_dir: got '', allowed: a path or null",
    ),
    "one path for a list": (
        "npc: {sprite_paths: sprites/elf}",
        "npc.sprite_paths: got 'sprites/elf', allowed: a list of paths",
    ),
    "offsets that are no list": (
        "npc: {sticky_x_offsets: 4}",
        "npc.sticky_x_offsets: got 4, allowed: a list of whole numbers",
    ),
    "colour of two": (
        "character: {fallback_color: [1, 2]}",
        "character.fallback_color: got [1, 2], allowed: three whole numbers in [0, 255]",
    ),
    "colour out of range": (
        "filters: {radial_light_color: [0, 0, 256]}",
        "filters.radial_light_color: got 256, allowed: a whole number in [0, 255]",
    ),
    "two image sources": (
        "background: {image_dir: a, image_paths: [b]}",
        "background.image_paths: got ['b'] with background.image_dir given, allowed: one of",
    ),
    "two skin sources": (
        "character: {sprite_dir: a, sprite_path: b}",
        "character.sprite_path: got 'b' with character.sprite_dir given, allowed: one of",
    ),
    "two sticky sources": (
        "npc: {sticky_sprite_dir: a, sticky_sprite_path: b}",
        "npc.sticky_sprite_path: got 'b' with npc.sticky_sprite_dir given, allowed: one of",
    ),
    "both looks": (
        "character: {use_sprites: true, use_shape: true, sprite_dir: a}",
        "character.use_shape: got true with character.use_sprites true, allowed: one of them",
    ),
    "no look": (
        "character: {use_sprites: false, use_shape: false}",
        "character.use_shape: got false with character.use_sprites false, allowed: one of them "
        "true, or a fallback_color for a plain rectangle",
    ),
    "image mode without image": (
        "background: {mode: image, image_paths: []}",
        "background.mode: got 'image' without a source, allowed: with one of background.image_path",
    ),
    "sprites without skin": (
        "character: {use_sprites: true}",
        "character.use_sprites: got true without a source, allowed: with one of character.sprite",
    ),
    "NPCs without skin": (
        "npc: {enabled: true}",
        "npc.enabled: got true without a source, allowed: with one of npc.sprite_dir",
    ),
    "sticky NPCs without skin": (
        "npc: {sticky_enabled: true, sprite_dir: a}",
        "npc.sticky_enabled: got true without a source, allowed: with one of npc.sticky_sprite_dir",
    ),
    "smaller above larger": (
        "npc: {min_npc_count: 4, max_npc_count: 3}",
        "npc.min_npc_count: got 4, allowed: <= npc.max_npc_count = 3",
    ),
    "larger below a default": (
        "layout: {max_step_height: 4}",
        "layout.max_step_height: got 4, allowed: >= layout.min_step_height = 5 (default)",
    ),
    "half a range": (
        "npc: {sticky_x_max: 3}",
        "npc.sticky_x_max: got 3 without npc.sticky_x_min, allowed: both or none",
    ),
    "level narrower than the frame": (
        "{W: 200, layout: {length: 150}}",
        "W: got 200, allowed: <= layout.length = 150",
    ),
    "ground below the level": (
        "layout: {base_ground_y: 128}",
        "layout.base_ground_y: got 128, allowed: < layout.height_px = 128 (default)",
    ),
    "blocks larger than the frame": (
        "{W: 16, filters: {pixelate_factor: 17}}",
        "filters.pixelate_factor: got 17, allowed: <= W = 16",
    ),
    "section that is no mapping": (
        "filters: [gamma]",
        "filters: got ['gamma'], allowed: a mapping of keys",
    ),
    "list": ("- H: 3", "top level: got [{'H': 3}], allowed: a mapping of keys"),
    "not YAML": ("H: 128\nW: [1,\nfoo", "line 3: not YAML ("),
    "tab": ("filters:\n\tgamma: 1", "line 2: not YAML (found character '\\t'"),
    "control character": ("H: \x07", "not YAML (unacceptable character"),
    "impossible date": ("H: 2026-13-40", "not YAML ("),
    "nested too deeply": ("[" * 5000, "not YAML ("),
    "same key twice": (
        "filters:\n  gamma: 1\n  gamma: 2",
        "filters.gamma: given on lines 2 and 3, allowed: once",
    ),
    "same section twice": (
        "npc: {}\nH: 64\nnpc: {}",
        "npc: given on lines 1 and 3, allowed: once",
    ),
    "base that is missing": ("base: base-z", "base: "),
    "base that is no name": ("base: 3", "base: got 3, allowed: a path or one of base-a base-b"),
    "base on itself": ("base: bad.yaml", "base: circular (bad.yaml -> bad.yaml), allowed:"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_input_is_rejected_in_one_line(case: str, tmp_path: Path) -> None:
    text, expected = MALFORMED[case]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: {expected}")
    assert len(message.splitlines()) == 1


def test_dicts_are_checked_like_files() -> None:
    with pytest.raises(ConfigError, match=r"^<dict>: H: got 4, allowed: a whole number in \[8, "):
        load({"H": 4})
    with pytest.raises(ConfigError, match=r"^<dict>: filters.gamma: dotted key, allowed"):
        load({"filters.gamma": 1})
    with pytest.raises(ConfigError, match=r"^configuration: got 3, allowed: a mapping, path or"):
        load(3)  # type: ignore[arg-type]


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^simplst: no such file \(did you mean simplest\?\)"):
        load("simplst")
    with pytest.raises(ConfigError, match=r"no such file, allowed: a path or one of base-a"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match=r": no such file"):
        load("x" * 5000)
    with pytest.raises(ConfigError, match=r": cannot be read \(Is a directory\)$"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"H: \xff")
    with pytest.raises(ConfigError, match=r"latin.yaml: cannot be read \(not UTF-8 text\)$"):
        load(tmp_path / "latin.yaml")
