"""Comparison with other implementations: dynamics on a given level, frames of a given state."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kagebench import rewards
from kagebench.assets import AssetPack, default_pack
from kagebench.atlas import Atlas, image_arrays
from kagebench.build import build
from kagebench.config import load
from kagebench.env import KageState, advance, initial_state
from kagebench.params import IMAGE, EnvParams, EnvSpec, Pool
from kagebench.render import filters as filter_chain
from kagebench.render.frame import render, truncate
from kagebench.scene import Scene, scene_of
from kagebench.visuals import Distractors, NPCs, StickyNPCs, Visuals

Config = str | Path | Mapping[str, Any]
_VISUAL_SECTIONS = ("background", "npc", "distractors", "filters", "effects")


def _dynamics_only(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with everything visual at its (asset-free) default."""
    plain = load({})
    kept = {k: plain[k] if k in _VISUAL_SECTIONS else v for k, v in config.items()}
    box = {name: config["character"][name] for name in ("width", "height")}
    return {**kept, "character": {**plain["character"], **box}}


def _with_length(config: dict[str, Any], ground_top: Any) -> dict[str, Any]:
    """The configuration with the length of the given level."""
    return {**config, "layout": {**config["layout"], "length": np.shape(ground_top)[-1]}}


def segment_tops(ground_top: Any, run_width: int, num_segments: int) -> np.ndarray:
    """int16 [..., num_segments] from one ground row per column ([..., columns]).

    Raises:
        ValueError: a segment of run_width columns is not level.
    """
    ground_top = np.asarray(ground_top)
    columns = np.arange(ground_top.shape[-1])
    tops = ground_top[..., ::run_width]
    uneven = np.argwhere(tops[..., columns // run_width] != ground_top)
    if len(uneven):
        raise ValueError(
            f"ground_top: column {uneven[0][-1]} differs from the first column of its segment; "
            f"levels are piecewise constant over {run_width} columns"
        )
    pad = [(0, 0)] * (tops.ndim - 1) + [(0, num_segments - tops.shape[-1])]
    return np.pad(tops, pad, mode="edge").astype(np.int16)


@partial(jax.jit, static_argnames="spec")
def _rollout(
    tops: jax.Array, actions: jax.Array, params: EnvParams, spec: EnvSpec
) -> dict[str, jax.Array]:
    key = jax.random.key(0)
    start = initial_state(key, params, spec, tops)

    def step(state: KageState, action: jax.Array) -> tuple[KageState, Any]:
        state, reward = advance(key, state, action, params, spec)
        return state, (_record(state), reward)

    _, (records, reward) = jax.lax.scan(step, start, actions)
    out = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), _record(start), records)
    distance = out["x"][1:] - start.initial_x
    time = jnp.arange(1, len(actions) + 1)
    return {
        **out,
        "reward": reward,
        "progress": jax.vmap(rewards.progress, (0, None))(distance, params),
        "success": distance >= params.dist_to_success,
        "truncated": time >= params.episode_length,
    }


def _record(state: KageState) -> dict[str, jax.Array]:
    return {
        "x": state.body.x,
        "y": state.body.y,
        "vx": state.body.vx,
        "vy": state.body.vy,
        "grounded": state.body.grounded,
        "coyote": state.body.coyote_timer,
        "camera_x": state.camera_x,
        "x_max": state.x_max,
        "jump_count": state.jump_count,
        "success_once": state.success_once,
        "episode_return": state.episode_return,
        "vx_mean": state.vx_mean,
        "vy_mean": state.vy_mean,
    }


def trace(config: Config, ground_top: Any, actions: Any) -> dict[str, np.ndarray]:
    """Play actions on a given level, without auto-reset.

    Args:
        config: YAML path, shipped name, or nested dict (absent keys take the defaults of the
            reference's data classes). Only dynamics matter; no asset is needed.
        ground_top: int [length], first solid row of every column; or a batch [N, length].
            Its length replaces layout.length.
        actions: int [T] in 0..7; or [N, T].

    Returns:
        Arrays of length T + 1 (index 0 is the state after reset): x, y, vx, vy, grounded, coyote,
        camera_x, x_max, jump_count, success_once, episode_return, vx_mean, vy_mean; and of length
        T (index t is the result of action t): reward, progress, success, truncated. With a batch
        axis in front if one was given.

    Raises:
        ValueError: config is not valid, or ground_top is not level within a segment.
    """
    canonical = _with_length(_dynamics_only(load(config)), ground_top)
    spec, params, _ = build([canonical], None, stack=False)
    run_width = canonical["layout"]["run_width"]
    tops = segment_tops(ground_top, run_width, spec.num_segments)
    rollout = partial(_rollout, params=params, spec=spec)
    actions = jnp.asarray(actions, jnp.int32)
    out = jax.vmap(rollout)(tops, actions) if tops.ndim == 2 else rollout(tops, actions)
    return {name: np.asarray(value) for name, value in out.items()}


@partial(jax.jit, static_argnames="spec")
def _render(spec: EnvSpec, atlas: Atlas, scene: Scene, params: EnvParams) -> jax.Array:
    return render(spec, atlas, *jax.tree.map(lambda leaf: leaf[None], (scene, params)))[0]


def frame(
    config: Config,
    state_dict: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray] | None = None,
    assets: str | Path | AssetPack | None = None,
) -> np.ndarray:
    """Draw a state that is described field by field.

    Args:
        config: as in `trace`. Asset paths resolve inside the active pack, or as files.
        state_dict: the fields of the golden sidecar: x, y, camera_x, layout_color (RGB),
            ground_top, bg_image (uint8 [H, width, 3] or None), filter_key, selected_filter_idx,
            light_positions, sprite_idx, shape_angle, shape_type_idx, shape_color_idx,
            char_skin_idx, npc_*, sticky_*, actual_sticky_count, dist_*.
        arrays: where ground_top and bg_image are found if they are given by name.
        assets: asset pack, as in `kagebench.make`.

    Returns:
        uint8 [H, W, 3].
    """
    named = arrays or {}
    fields = dict(state_dict)
    for name in ("ground_top", "bg_image"):
        if isinstance(fields.get(name), str):
            fields[name] = named[fields[name]]
    canonical = _with_length(load(config), fields["ground_top"])
    pack = assets if isinstance(assets, AssetPack) else default_pack(assets)
    spec, params, atlas = _build_frame(canonical, fields, pack)
    tops = segment_tops(fields["ground_top"], canonical["layout"]["run_width"], spec.num_segments)
    visuals = _visuals(fields, params, spec)
    x, y, camera_x = (jnp.float32(fields[name]) for name in ("x", "y", "camera_x"))
    scene = scene_of(x, y, camera_x, jnp.asarray(tops), visuals, params, spec)
    return np.asarray(_render(spec, atlas, scene, params))


def _build_frame(
    config: dict[str, Any], fields: Mapping[str, Any], pack: AssetPack
) -> tuple[EnvSpec, EnvParams, Atlas]:
    """Spec, parameters and atlas with the state's own background and layout colour."""
    image, mode = fields.get("bg_image"), config["background"]["mode"]
    given = image is not None and mode != "black"
    background = {**config["background"], "mode": "black"} if given else config["background"]
    spec, params, atlas = build([{**config, "background": background}], pack, stack=False)
    color = Pool(values=jnp.asarray([fields["layout_color"]], jnp.uint8), count=jnp.int32(1))
    params = params.replace(layout=params.layout.replace(layout_colors=color))
    if not given:
        return spec, params, atlas
    image = np.asarray(image, np.uint8)
    tiled, clamped = image_arrays([image], spec.width)
    pool = Pool(values=jnp.zeros(1, jnp.int32), count=jnp.int32(1))
    scroll = params.background.parallax_factor if mode == "image" else jnp.float32(0.0)
    shown = params.background.replace(
        mode=jnp.int32(IMAGE),
        images=pool,
        image_width=jnp.int32(image.shape[1]),
        parallax_factor=scroll,
    )
    tilings = (bool(config["background"]["tile_horizontal"]),)
    return (
        replace(spec, backgrounds=(IMAGE,), tilings=tilings),
        params.replace(background=shown),
        atlas.replace(tiled=tiled, clamped=clamped),
    )


def _visuals(fields: Mapping[str, Any], params: EnvParams, spec: EnvSpec) -> Visuals:
    """The sidecar's fields as `Visuals`; missing ones are zero."""
    character = params.character

    def get(name: str, default: Any = 0) -> Any:
        return fields.get(name, default)

    def slots(name: str, count: int, dtype: Any) -> jax.Array:
        given = list(get(name, []))[:count]
        return jnp.asarray(given + [0] * (count - len(given)), dtype)

    def timer(name: str) -> jax.Array:
        return jnp.float32((list(get(name, [])) or [0.0])[0])

    k, s, d = spec.npc_slots, spec.sticky_slots, spec.distractor_slots
    shape_pool = params.distractors.shape_types.values
    seed = np.asarray(get("filter_key", [0, 0]), np.uint32)
    lights = np.asarray(get("light_positions", np.zeros((5, 2))), np.float32)[: spec.lights]
    return Visuals(
        layout_color=jnp.int8(0),
        background=jnp.int16(0),
        noise=jnp.uint32(0),
        filter_noise=jnp.asarray(seed[0] ^ seed[1]),
        preset=params.filters.pop_filter_list.values[get("selected_filter_idx")].astype(jnp.int8),
        lights=jnp.asarray(lights.reshape(-1, 2)),
        frame=jnp.int8(get("sprite_idx")),
        frame_timer=jnp.float32(get("animation_timer", 0.0)),
        shape_angle=jnp.float32(get("shape_angle", 0.0)),
        shape_type=character.shape_types.values[get("shape_type_idx")].astype(jnp.int8),
        shape_color=jnp.int8(get("shape_color_idx")),
        skin=character.skins.values[get("char_skin_idx")].astype(jnp.int16),
        npcs=NPCs(
            x=slots("npc_x", k, jnp.int16),
            y=slots("npc_y", k, jnp.int16),
            skin=params.npc.skins.values[slots("npc_types", k, jnp.int32)].astype(jnp.int16),
            frame=slots("npc_sprite_indices", k, jnp.int8),
            timer=timer("npc_animation_timers"),
        ),
        sticky=StickyNPCs(
            x_offset=slots("sticky_x_offsets", s, jnp.int16),
            y=slots("sticky_y", s, jnp.int16),
            home_y=slots("sticky_home_y", s, jnp.int16),
            vy=slots("sticky_vy", s, jnp.float32),
            on_ground=slots("sticky_on_ground", s, bool),
            skin=params.npc.sticky_skins.values[slots("sticky_types", s, jnp.int32)].astype(
                jnp.int16
            ),
            frame=slots("sticky_sprite_indices", s, jnp.int8),
            timer=timer("sticky_animation_timers"),
            count=jnp.int8(get("actual_sticky_count")),
        ),
        distractors=Distractors(
            x=slots("dist_x", d, jnp.float32),
            y=slots("dist_y", d, jnp.float32),
            vx=slots("dist_vx", d, jnp.float32),
            vy=slots("dist_vy", d, jnp.float32),
            angle=slots("dist_angles", d, jnp.float32),
            spin=slots("dist_rot_speeds", d, jnp.float32),
            shape=shape_pool[slots("dist_shape_indices", d, jnp.int32)].astype(jnp.int8),
            color=slots("dist_color_indices", d, jnp.int8),
            size=slots("dist_sizes", d, jnp.int16),
        ),
    )


@partial(jax.jit, static_argnames="spec")
def _filter(pixels: jax.Array, seed: jax.Array, params: EnvParams, spec: EnvSpec) -> jax.Array:
    batched = jax.tree.map(lambda leaf: leaf[None], params)
    planes = pixels.astype(jnp.float32)
    image = planes[None, ..., 0], planes[None, ..., 1], planes[None, ..., 2]
    out = truncate(filter_chain.apply(image, seed[None], batched, spec, pixels.astype(jnp.int32)))
    return jnp.stack([plane[0] for plane in out], axis=-1).astype(jnp.uint8)


def filter_image(image: Any, filters: Mapping[str, Any], seed: int = 0) -> np.ndarray:
    """Apply a `filters` section to a bare image (uint8 [H, W, 3]), without a scene.

    seed selects the noise of the stochastic filters.
    """
    pixels = jnp.asarray(image, jnp.uint8)
    canonical = load({"H": pixels.shape[0], "W": pixels.shape[1], "filters": dict(filters)})
    spec, params, _ = build([canonical], None, stack=False)
    return np.asarray(_filter(pixels, jnp.uint32(seed), params, spec))
