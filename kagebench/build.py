"""From configurations to an `EnvSpec`, traced `EnvParams` and the pixel atlas."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kagebench import palettes
from kagebench.atlas import Atlas, AtlasBuilder
from kagebench.palettes import BACKGROUND_MODES, LAYOUT_FALLBACK
from kagebench.params import (
    IMAGE,
    NEUTRAL,
    PRESETS,
    RECTANGLE,
    SHAPE,
    SHAPES,
    SPRITE,
    BackgroundParams,
    CameraParams,
    CharacterParams,
    DistractorParams,
    EffectParams,
    EnvParams,
    EnvSpec,
    FilterParams,
    LayoutParams,
    NPCParams,
    PhysicsParams,
    Pool,
)


def _i32(value: Any) -> Any:
    return np.asarray(value, np.int32)


def _f32(value: Any) -> Any:
    return np.asarray(value, np.float32)


def _flag(value: Any) -> Any:
    return np.asarray(bool(value))


def _pool(values: Sequence[Any], slots: int, dtype: Any = np.int32, width: int = 0) -> Pool:
    """Pad `values` to `slots` (at least one) and remember how many are real."""
    shape = (max(slots, 1), width) if width else (max(slots, 1),)
    padded: Any = np.zeros(shape, dtype)
    if len(values):
        padded[: len(values)] = np.asarray(values, dtype)
    return Pool(values=padded, count=_i32(max(len(values), 1)))


def _colors(names: Sequence[Any], palette: Mapping[str, Any], slots: int, default: Any) -> Pool:
    rgb = [palette.get(name, default) if isinstance(name, str) else name for name in names]
    return _pool(rgb, slots, np.uint8, 3)


class _Pools:
    """The resolved pools of one configuration, before padding."""

    def __init__(self, config: Mapping[str, Any], atlas: AtlasBuilder):
        self.config = config
        character, npc = config["character"], config["npc"]
        self.background = BACKGROUND_MODES.index(config["background"]["mode"])
        self.images, self.image_width = [], 1
        if self.background == IMAGE:
            self.images, self.image_width = atlas.images(config["background"], config["H"])
        self.character = RECTANGLE
        if character["use_shape"]:
            self.character = SHAPE
        if character["use_sprites"]:
            self.character = SPRITE
        self.skins = atlas.skins(character, "sprite") if self.character == SPRITE else []
        self.npc_skins = atlas.skins(npc, "sprite") if npc["enabled"] else []
        self.sticky_skins = atlas.skins(npc, "sticky_sprite") if npc["sticky_enabled"] else []
        self.cycle = atlas.frame_count(self.skins[0]) if self.skins else 1
        self.npc_cycle = max((atlas.frame_count(skin) for skin in self.npc_skins), default=1)
        self.sticky_cycle = max((atlas.frame_count(skin) for skin in self.sticky_skins), default=1)
        filters = config["filters"]
        self.episode_presets = [PRESETS.index(name) for name in filters["pop_filter_list"] or []]
        self.preset = PRESETS.index(filters["pop_filter"] or "none")
        self.distractor_shapes = [
            SHAPES.index(name) for name in config["distractors"]["shape_types"]
        ]
        self.shapes = [SHAPES.index(name) for name in character["shape_types"]]


def _slots(pools: Sequence[_Pools]) -> dict[str, int]:
    """The longest pool of each kind over the batch of configurations."""
    lengths = {
        "images": lambda p: len(p.images),
        "colors": lambda p: len(p.config["background"]["color_names"]),
        "skins": lambda p: len(p.skins),
        "npc_skins": lambda p: len(p.npc_skins),
        "sticky_skins": lambda p: len(p.sticky_skins),
        "shapes": lambda p: len(p.shapes),
        "shape_colors": lambda p: len(p.config["character"]["shape_colors"]),
        "distractor_shapes": lambda p: len(p.distractor_shapes),
        "distractor_colors": lambda p: len(p.config["distractors"]["shape_colors"]),
        "layout_colors": lambda p: len(p.config["layout"]["layout_colors"]),
        "sticky_x_offsets": lambda p: len(p.config["npc"]["sticky_x_offsets"] or []),
        "episode_presets": lambda p: len(p.episode_presets),
    }
    return {name: max(length(p) for p in pools) for name, length in lengths.items()}


def _background(p: _Pools, slots: Mapping[str, int]) -> BackgroundParams:
    c = p.config["background"]
    return BackgroundParams(
        mode=_i32(p.background),
        images=_pool(p.images, slots["images"]),
        image_width=_i32(p.image_width),
        parallax_factor=_f32(c["parallax_factor"]),
        tile_horizontal=_flag(c["tile_horizontal"]),
        switch_frequency=_f32(c["switch_frequency"]),
        color_names=_colors(
            c["color_names"], palettes.BACKGROUND_COLORS, slots["colors"], (0, 0, 0)
        ),
    )


def _character(p: _Pools, slots: Mapping[str, int]) -> CharacterParams:
    c = p.config["character"]
    return CharacterParams(
        width=_i32(c["width"]),
        height=_i32(c["height"]),
        mode=_i32(p.character),
        skins=_pool(p.skins, slots["skins"]),
        cycle=_i32(p.cycle),
        enable_animation=_flag(c["enable_animation"]),
        animation_fps=_f32(c["animation_fps"]),
        idle_sprite_idx=_i32(c["idle_sprite_idx"]),
        shape_types=_pool(p.shapes, slots["shapes"]),
        shape_colors=_colors(
            c["shape_colors"], palettes.SHAPE_COLORS, slots["shape_colors"], (255, 0, 0)
        ),
        shape_rotate=_flag(c["shape_rotate"]),
        shape_rotation_speed=_f32(c["shape_rotation_speed"]),
        fallback_color=jnp.asarray(c["fallback_color"], jnp.uint8),
    )


def _npc(p: _Pools, slots: Mapping[str, int]) -> NPCParams:
    c = p.config["npc"]
    random_x = c["sticky_x_min"] is not None and c["sticky_x_max"] is not None
    offsets = list(c["sticky_x_offsets"] or [])
    pool = _pool(offsets, slots["sticky_x_offsets"])
    return NPCParams(
        enabled=_flag(c["enabled"]),
        min_npc_count=_i32(c["min_npc_count"]),
        max_npc_count=_i32(c["max_npc_count"]),
        animation_fps=_f32(c["animation_fps"]),
        spawn_y_offset=_i32(c["spawn_y_offset"]),
        skins=_pool(p.npc_skins, slots["npc_skins"]),
        cycle=_i32(p.npc_cycle),
        sticky_enabled=_flag(c["sticky_enabled"]),
        min_sticky_count=_i32(c["min_sticky_count"]),
        max_sticky_count=_i32(c["max_sticky_count"]),
        sticky_skins=_pool(p.sticky_skins, slots["sticky_skins"]),
        sticky_cycle=_i32(p.sticky_cycle),
        sticky_can_jump=_flag(c["sticky_can_jump"]),
        sticky_jump_probability=_f32(c["sticky_jump_probability"]),
        # count 0 means "no explicit offsets".
        sticky_x_offsets=Pool(values=pool.values, count=_i32(len(offsets))),
        sticky_x_random=_flag(random_x),
        sticky_x_min=_i32(c["sticky_x_min"] if random_x else 0),
        sticky_x_max=_i32(c["sticky_x_max"] if random_x else 0),
        sticky_y_randomize=_flag(c["sticky_y_randomize"]),
        sticky_y_min_offset=_i32(c["sticky_y_min_offset"]),
        sticky_y_max_offset=_i32(c["sticky_y_max_offset"]),
    )


def _distractors(p: _Pools, slots: Mapping[str, int]) -> DistractorParams:
    c = p.config["distractors"]
    return DistractorParams(
        enabled=_flag(c["enabled"]),
        count=_i32(c["count"]),
        shape_types=_pool(p.distractor_shapes, slots["distractor_shapes"]),
        shape_colors=_colors(
            c["shape_colors"], palettes.SHAPE_COLORS, slots["distractor_colors"], (255, 0, 0)
        ),
        can_move=_flag(c["can_move"]),
        min_speed=_f32(c["min_speed"]),
        max_speed=_f32(c["max_speed"]),
        can_rotate=_flag(c["can_rotate"]),
        min_rotation_speed=_f32(c["min_rotation_speed"]),
        max_rotation_speed=_f32(c["max_rotation_speed"]),
        min_size=_i32(c["min_size"]),
        max_size=_i32(c["max_size"]),
    )


def _filters(p: _Pools, slots: Mapping[str, int]) -> FilterParams:
    c = p.config["filters"]
    values = {name: _f32(c[name]) for name in NEUTRAL if name != "pixelate_factor"}
    return FilterParams(
        **values,
        pixelate_factor=_i32(c["pixelate_factor"]),
        radial_light_color=_f32(c["radial_light_color"]),
        pop_filter=_i32(p.preset),
        pop_filter_list=_pool(p.episode_presets, slots["episode_presets"]),
    )


def _effects(c: Mapping[str, Any]) -> EffectParams:
    names = c["point_light_color_names"] or ["white"]
    white = (255, 255, 255)
    cycle = [palettes.LIGHT_COLORS.get(names[i % len(names)], white) for i in range(5)]
    return EffectParams(
        point_light_enabled=_flag(c["point_light_enabled"]),
        point_light_intensity=_f32(c["point_light_intensity"]),
        point_light_radius=_f32(c["point_light_radius"]),
        point_light_falloff=_f32(c["point_light_falloff"]),
        point_light_count=_i32(c["point_light_count"]),
        point_light_colors=_f32(cycle),
    )


def _layout(p: _Pools, slots: Mapping[str, int]) -> LayoutParams:
    c = p.config["layout"]
    floats = {name: _f32(c[name]) for name in ("p_change", "p_up_given_change")}
    ints = {
        name: _i32(value)
        for name, value in c.items()
        if name not in floats and name != "layout_colors"
    }
    colors = _colors(
        c["layout_colors"], palettes.SHAPE_COLORS, slots["layout_colors"], LAYOUT_FALLBACK
    )
    return LayoutParams(**ints, **floats, layout_colors=colors)


def _params(p: _Pools, slots: Mapping[str, int]) -> EnvParams:
    c = p.config
    physics = {
        name: (_i32 if name in ("coyote_time", "ground_snap_dist") else _f32)(value)
        for name, value in c["physics"].items()
    }
    rewards = (
        "forward_reward_scale",
        "jump_penalty",
        "timestep_penalty",
        "idle_penalty",
        "dist_to_success",
    )
    return EnvParams(
        episode_length=_i32(c["episode_length"]),
        **{name: _f32(c[name]) for name in rewards},
        camera=CameraParams(**{k: _i32(v) for k, v in c["camera"].items()}),
        background=_background(p, slots),
        character=_character(p, slots),
        npc=_npc(p, slots),
        distractors=_distractors(p, slots),
        filters=_filters(p, slots),
        effects=_effects(c["effects"]),
        layout=_layout(p, slots),
        physics=PhysicsParams(**physics),
    )


def _reach(p: _Pools) -> int:
    """Half the window (px) that holds any of the player's shapes at any angle."""
    c = p.config["character"]
    radius = 0.5 * min(c["width"], c["height"])
    reach = radius * (2**0.5 if "square" in c["shape_types"] else 1.0)
    if "line" in c["shape_types"] or "cross" in c["shape_types"]:
        reach = max(reach, float(np.hypot(radius, 0.5 * max(1.0, radius / 4))))
    if "ellipse" in c["shape_types"]:
        reach = max(reach, 0.5 * max(c["width"], c["height"]))
    return int(reach) + 1


def _active_filters(pools: Sequence[_Pools]) -> tuple[str, ...]:
    return tuple(
        name
        for name, neutral in NEUTRAL.items()
        if any(p.config["filters"][name] != neutral for p in pools)
    )


def _spec(pools: Sequence[_Pools], **options: Any) -> EnvSpec:
    configs = [p.config for p in pools]
    shapes = [p for p in pools if p.character == SHAPE]
    rectangles = [p.config["character"] for p in pools if p.character == RECTANGLE]
    distracting = [p for p in pools if p.config["distractors"]["enabled"]]
    run = [c["layout"]["run_width"] for c in configs]
    half = [c["character"]["width"] // 2 for c in configs]
    width = configs[0]["W"]
    return EnvSpec(
        height=configs[0]["H"],
        width=width,
        num_segments=max(-(-c["layout"]["length"] // c["layout"]["run_width"]) for c in configs),
        visible_segments=(width - 1) // min(run) + 2,
        box_segments=max(2 * h // w + 2 for h, w in zip(half, run, strict=True)),
        max_dx=max(1, *(int(np.ceil(c["physics"]["max_speed_x"])) for c in configs)),
        backgrounds=tuple(sorted({p.background for p in pools})),
        tilings=tuple(
            sorted(
                {p.config["background"]["tile_horizontal"] for p in pools if p.images},
            )
        ),
        characters=tuple(sorted({p.character for p in pools})),
        shapes=tuple(sorted({s for p in shapes for s in p.shapes})),
        shape_window=2 * max((_reach(p) for p in shapes), default=0) + 1,
        rectangle=(
            max((c["height"] // 2 * 2 + 1 for c in rectangles), default=1),
            max((c["width"] // 2 * 2 + 1 for c in rectangles), default=1),
        ),
        npc_slots=max(c["npc"]["max_npc_count"] * c["npc"]["enabled"] for c in configs),
        sticky_slots=max(
            c["npc"]["max_sticky_count"] * c["npc"]["sticky_enabled"] for c in configs
        ),
        distractor_slots=max((p.config["distractors"]["count"] for p in distracting), default=0),
        distractor_shapes=tuple(sorted({s for p in distracting for s in p.distractor_shapes})),
        filters=_active_filters(pools),
        presets=tuple(sorted({p.preset for p in pools} - {0})),
        episode_presets=tuple(sorted({s for p in pools for s in p.episode_presets})),
        switching=any(
            c["background"]["switch_frequency"] > 0 and c["background"]["mode"] != "black"
            for c in configs
        ),
        lights=max(
            c["effects"]["point_light_count"] * c["effects"]["point_light_enabled"] for c in configs
        ),
        **options,
    )


def build(
    configs: Sequence[Mapping[str, Any]], assets: Any, stack: bool, **options: Any
) -> tuple[EnvSpec, EnvParams, Atlas]:
    """Resolve canonical configurations into a spec, traced parameters and the pixel atlas.

    Args:
        configs: canonical nested dicts (see `kagebench.config.load`), all with the same H and W.
        assets: the `AssetPack` that image and sprite paths resolve in.
        stack: whether the leaves get a leading axis of length len(configs).
        options: further fields of `EnvSpec` (obs, obs_size, pooling).

    Raises:
        ValueError: if the frame sizes differ.
    """
    sizes = {(c["H"], c["W"]) for c in configs}
    if len(sizes) != 1:
        raise ValueError(f"H, W: configs of one batch must share a frame size, got {sorted(sizes)}")
    builder = AtlasBuilder(assets)
    pools = [_Pools(config, builder) for config in configs]
    slots = _slots(pools)
    params = [_params(p, slots) for p in pools]
    spec = _spec(pools, **options)
    stacked = (
        jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *params)
        if stack
        else jax.tree.map(jnp.asarray, params[0])
    )
    return spec, stacked, builder.build(spec.width)
