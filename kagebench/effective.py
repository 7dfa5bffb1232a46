"""What of a configuration has an influence on the environment."""

from collections.abc import Iterator, Mapping
from typing import Any

from kagebench.schema import dotted, flatten, nest


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """A canonical configuration without the keys that have no influence.

    For example the shape of the player goes when it is a sprite. Two configurations with equal
    results are the same environment.

    Args:
        config: canonical configuration (`kagebench.config.load`).

    Returns:
        A nested dict with a part of the keys, in the same order.
    """
    flat = flatten(config)
    idle = {
        dotted(section, name)
        for used, section, names in _conditions(flat)
        if not used
        for name in names.split()
    }
    return nest({key: value for key, value in flat.items() if key not in idle})


def _conditions(c: Mapping[str, Any]) -> Iterator[tuple[bool, str, str]]:
    """(condition, section, keys that have an influence only if it holds)."""
    mode = c["background.mode"]
    images = "image_path image_dir image_paths parallax_factor tile_horizontal"
    yield mode == "image", "background", images
    yield mode == "color", "background", "color_names"
    yield mode != "black", "background", "switch_frequency"

    sprites, shape = c["character.use_sprites"], c["character.use_shape"]
    skins = "sprite_dir sprite_paths sprite_path"
    yield sprites, "character", f"{skins} enable_animation animation_fps idle_sprite_idx"
    yield c["character.enable_animation"], "character", "animation_fps"
    yield shape, "character", "shape_types shape_colors shape_rotate shape_rotation_speed"
    yield c["character.shape_rotate"], "character", "shape_rotation_speed"
    yield not (sprites or shape), "character", "fallback_color"

    npc, sticky = c["npc.enabled"], c["npc.sticky_enabled"]
    yield npc or sticky, "npc", "animation_fps spawn_y_offset"
    yield npc, "npc", f"min_npc_count max_npc_count {skins}"
    yield sticky, "npc", "min_sticky_count max_sticky_count"
    yield sticky, "npc", "sticky_sprite_dir sticky_sprite_dirs sticky_sprite_path"
    yield sticky, "npc", "sticky_can_jump sticky_jump_probability"
    yield sticky, "npc", "sticky_x_offsets sticky_x_min sticky_x_max"
    yield sticky, "npc", "sticky_y_randomize sticky_y_min_offset sticky_y_max_offset"
    yield c["npc.sticky_can_jump"], "npc", "sticky_jump_probability"
    yield not c["npc.sticky_x_offsets"], "npc", "sticky_x_min sticky_x_max"
    yield c["npc.sticky_y_randomize"], "npc", "sticky_y_max_offset"

    floating = c["distractors.enabled"]
    yield False, "distractors", "min_speed"
    yield floating, "distractors", "count shape_types shape_colors min_size max_size"
    yield floating, "distractors", "can_move max_speed can_rotate"
    yield floating, "distractors", "min_rotation_speed max_rotation_speed"
    yield c["distractors.can_move"], "distractors", "max_speed"
    yield c["distractors.can_rotate"], "distractors", "min_rotation_speed max_rotation_speed"

    yield c["filters.radial_light_strength"] > 0, "filters", "radial_light_color"
    yield False, "filters", "jpeg_quality seed"

    lights = ["intensity", "radius", "falloff", "count", "color_names"]
    names = " ".join(f"point_light_{name}" for name in lights)
    yield c["effects.point_light_enabled"], "effects", names

    yield c["layout.p_change"] > 0, "layout", "p_up_given_change min_step_height max_step_height"
