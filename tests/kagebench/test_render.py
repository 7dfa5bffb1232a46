"""Frames: every layer against NumPy or measured counts, and programs against each other."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import conformance, make
from kagebench.assets import default_pack, load_sprite
from kagebench.config import load
from kagebench.render import filters, lights
from kagebench.render.frame import pool, truncate
from kagebench.suites import PAIRS, derive
from tests.kagebench import brute_force
from tests.kagebench.random_scenes import random_scene, stack, translate

TEAL, RED, CYAN = (0, 128, 128), (255, 0, 0), (0, 255, 255)
NOWHERE = {"x": 4000.0, "y": 40.0, "camera_x": 0.0}


def state(**fields: Any) -> dict[str, Any]:
    """A state for `conformance.frame`: the agent off screen above deep ground, unless given."""
    return {
        **NOWHERE,
        "layout_color": CYAN,
        "ground_top": np.full(2048, 120),
        "bg_image": None,
        **fields,
    }


def count(frame: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((frame == np.array(color)).all(axis=-1).sum())


# Pixels of each shape in a 16 x 24 box, measured on the reference.
PLAYER = {
    "circle": 197,
    "square": 289,
    "line": 51,
    "ellipse": 297,
    "triangle": 77,
    "star": 69,
    "polygon": 159,
    "cross": 93,
    "diamond": 145,
}
# The same for distractors of size 12 and 16.
DISTRACTOR = {
    "circle": (113, 197),
    "square": (169, 289),
    "triangle": (42, 77),
    "diamond": (157, 272),
    "star": (38, 69),
    "polygon": (97, 159),
    "cross": (25, 93),
    "ellipse": (67, 121),
    "line": (13, 51),
}


def test_player_shapes() -> None:
    config = {
        "base": "simplest",
        "character": {"shape_types": list(PLAYER), "shape_colors": ["teal", "red"]},
    }
    here = {"x": 64.0, "y": 50.0, "shape_color_idx": 1}
    for i, (name, pixels) in enumerate(PLAYER.items()):
        frame = conformance.frame(config, state(**here, shape_type_idx=i))
        assert count(frame, RED) == pixels and count(frame, TEAL) == 0, name
        rows, columns = np.nonzero((frame == np.array(RED)).all(axis=-1))
        # One pixel below the position.
        assert abs(rows.min() + rows.max() - 2 * 51) <= 4, name
        assert columns.min() + columns.max() == 2 * 64, name


@pytest.mark.parametrize("degrees", [33.0, 201.7])
def test_rotated_shapes(degrees: float) -> None:
    """At angles where no pixel lies on an edge. A distractor's angle is taken as radians."""
    names = list(PLAYER)
    shape = {"shape_types": names, "shape_colors": ["red"]}
    config = {"base": "simplest", "distractors": {"enabled": True, "count": 1, **shape}}
    config["character"] = {**shape, "shape_colors": ["teal"]}
    rows, columns = np.mgrid[:128, :128]
    for i, name in enumerate(names):
        player = {"x": 94.0, "y": 50.0, "shape_type_idx": i, "shape_angle": degrees}
        distractor = {"dist_x": [40.0], "dist_y": [60.0], "dist_sizes": [14]}
        distractor |= {"dist_angles": [degrees], "dist_shape_indices": [i]}
        frame = conformance.frame(config, state(**player, **distractor, dist_color_indices=[0]))
        x, y = columns - 94.0, rows - 51.0
        expected = brute_force.shape_mask(name, x, y, math.radians(degrees), 8.0, player=True)
        np.testing.assert_array_equal((frame == np.array(TEAL)).all(axis=-1), expected, name)
        expected = brute_force.shape_mask(
            name, columns - 40.0, rows - 60.0, degrees, 7.0, player=False
        )
        np.testing.assert_array_equal((frame == np.array(RED)).all(axis=-1), expected, name)


def test_distractor_shapes() -> None:
    names = list(DISTRACTOR)
    config = {
        "base": "simplest",
        "distractors": {"enabled": True, "count": 1, "shape_types": names, "shape_colors": ["red"]},
    }
    one = {"dist_x": [60.4], "dist_y": [40.5], "dist_color_indices": [0], "dist_angles": [0.0]}
    for i, name in enumerate(names):
        for size, pixels in zip((12, 16), DISTRACTOR[name], strict=True):
            frame = conformance.frame(
                config, state(**one, dist_shape_indices=[i], dist_sizes=[size])
            )
            assert count(frame, RED) == pixels, (name, size)
            _, columns = np.nonzero((frame == np.array(RED)).all(axis=-1))
            assert columns.min() + columns.max() in (2 * 60, 2 * 60 - 1), name
    # Angles are radians, rows and columns round half to even, parts below the terrain are hidden.
    line = {**one, "dist_shape_indices": [names.index("line")], "dist_sizes": [16]}
    upright = conformance.frame(config, state(**{**line, "dist_angles": [math.pi / 2]}))
    rows, columns = np.nonzero((upright == np.array(RED)).all(axis=-1))
    assert np.ptp(columns) == 2 and np.ptp(rows) == 16 and rows.min() + rows.max() == 2 * 40
    # What does not fit the 32 x 32 window is cut off, also where the screen's border moves it.
    long = {**line, "dist_sizes": [60], "dist_y": [15.0]}
    for angle, axis, first in ((math.pi / 2, 0, 0), (0.0, 1, 60 - 16)):
        frame = conformance.frame(config, state(**{**long, "dist_angles": [angle]}))
        places = np.nonzero((frame == np.array(RED)).all(axis=-1))[axis]
        assert (places.min(), places.max()) == (first, (15, 60)[axis] + 15)
    level = np.full(2048, 38)
    behind = conformance.frame(config, state(**line, ground_top=level))
    assert count(behind, RED) == 51 - 17 and (behind[38:40, :100] == np.array(CYAN)).all()
    none = {**config, "distractors": {**config["distractors"], "enabled": False}}
    assert count(conformance.frame(none, state(**line)), RED) == 0


@pytest.mark.parametrize(("height", "width"), [(64, 96), (40, 200), (300, 64)])
def test_terrain_and_rectangle_for_any_frame_size(height: int, width: int) -> None:
    """Against the mask of solid pixels; 300 rows do not fit a byte."""
    config = load(
        {
            "H": height,
            "W": width,
            "background": {"mode": "color", "color_names": ["purple", "lime"]},
            "character": {"width": 13, "height": 20, "fallback_color": [9, 8, 7]},
            "layout": {
                "length": 400,
                "height_px": height,
                "base_ground_y": height - 6,
                "run_width": 7,
                "ground_thickness": 3,
                "layout_colors": ["red"],
            },
        }
    )
    rng = np.random.default_rng(height)
    tops = rng.integers(height // 3, height - 2, 400 // 7 + 1)
    solid = brute_force.solid_mask(tops, config["layout"])
    ground = tops[np.arange(400) // 7]
    lime = np.broadcast_to(np.array((50, 205, 50), np.uint8), (height, width, 3))
    for camera, x, y in ((0.0, 20.0, 15.0), (33.0, 40.0, 18.6), (400.0 - width, 393.0, 30.0)):
        given = {"ground_top": ground, "bg_image": lime, "layout_color": RED}
        frame = conformance.frame(config, state(x=x, y=y, camera_x=camera, **given))
        expected = lime.copy()
        columns = np.clip(np.arange(width) + int(camera), 0, 399)
        expected[solid[:, columns]] = RED
        left, top = round(x - camera) - 6, round(y + 1) - 10
        expected[max(top, 0) : top + 21, max(left, 0) : left + 13] = (9, 8, 7)
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("tile", [True, False])
def test_parallax(tile: bool) -> None:
    """Offsets are rounded half to even; beyond the image it repeats, or its edge does."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (128, 90, 3)).astype(np.uint8)
    columns = np.arange(128)
    for factor in (0.5, -1.5):
        config = {
            "base": "base-d",
            "background": {"parallax_factor": factor, "tile_horizontal": tile},
        }
        offsets = []
        for camera in (0.0, 1.0, 2.0, 3.0, 5.0, 150.0, 1000.0):
            frame = conformance.frame(config, state(camera_x=camera, bg_image=image))
            offset = round(camera * factor)
            offsets.append(offset)
            source = (columns + offset) % 90 if tile else np.clip(columns + offset, 0, 89)
            np.testing.assert_array_equal(frame[:100], image[:100, source])
        if factor == 0.5:
            assert offsets[:5] == [0, 0, 1, 2, 2]


def blit(frame: np.ndarray, sprite: np.ndarray, cx: int, cy: int, half_height: int) -> np.ndarray:
    """One sprite over a frame, pixel by pixel in float32."""
    out = frame.copy()
    height, width = sprite.shape[:2]
    left, top = cx - width // 2, cy + half_height - height
    for i in range(height):
        for j in range(width):
            if 0 <= top + i < frame.shape[0] and 0 <= left + j < frame.shape[1]:
                alpha = np.float32(sprite[i, j, 3]) / np.float32(255)
                mixed = alpha * sprite[i, j, :3] + (1 - alpha) * frame[top + i, left + j]
                out[top + i, left + j] = np.clip(mixed, 0, 255).astype(np.uint8)
    return out


SKINS = ("skeleton", "dog", "dark_knight")


def test_sprites_npcs_and_their_order() -> None:
    """World NPCs, then sticky NPCs, then the agent; frame indices are clamped to the skin."""
    paths = [f"sprites/{name}" for name in SKINS]
    config = {
        "base": "base-d",
        "character": {"use_sprites": True, "sprite_paths": paths},
        "npc": {
            "enabled": True,
            "sprite_paths": paths,
            "max_npc_count": 6,
            "sticky_enabled": True,
            "sticky_sprite_dirs": paths[:2],
            "max_sticky_count": 3,
        },
    }
    skins = [load_sprite(default_pack().find(path)) for path in paths]
    image = np.random.default_rng(1).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    fields = {
        "bg_image": image,
        "npc_x": [310, 332, 284, 435, 446, 0],
        "npc_y": [60, 62, 30, 90, 50, 64],
        "npc_types": [0, 1, 2, 1, 0, 2],
        "npc_sprite_indices": [2, 2, 2, 2, 2, 2],
        "sticky_x_offsets": [-4, 30, 5],
        "sticky_y": [55, 61, 20],
        "sticky_types": [1, 0, 1],
        "sticky_sprite_indices": [1, 1, 1],
        "actual_sticky_count": 2,
    }
    for x, y, camera, skin in ((336.0, 60.0, 300.0, 2), (300.0, 12.0, 300.0, 0)):
        agent = {"x": x, "y": y, "camera_x": camera, "char_skin_idx": skin, "sprite_idx": 2}
        frame = conformance.frame(config, state(**fields, **agent))
        offset = round(camera * 0.5)
        expected = image[:, (np.arange(128) + offset) % 128]
        expected = np.where((np.arange(128) // 2 == 60)[:, None, None], np.array(CYAN), expected)
        for i in range(5):
            cx = fields["npc_x"][i] - 300
            if -16 <= cx < 128 + 16:
                kind = skins[fields["npc_types"][i]]
                sprite = kind[min(2, len(kind) - 1)]
                expected = blit(expected, sprite, cx, fields["npc_y"][i], 12)
        for i in range(2):
            sprite = skins[fields["sticky_types"][i]][1]
            cx = round(x - camera) + fields["sticky_x_offsets"][i]
            expected = blit(expected, sprite, cx, fields["sticky_y"][i], 12)
        kind = skins[skin]
        expected = blit(expected, kind[min(2, len(kind) - 1)], round(x - camera), round(y) + 1, 12)
        difference = np.abs(frame.astype(int) - expected)
        # Fused multiply-add may round a blended byte the other way.
        assert difference.max() <= 1 and (difference > 0).sum() <= 12, difference.max()


def light_reference(position: Sequence[float], radius: float, falloff: float) -> np.ndarray:
    y, x = np.mgrid[:128, :128]
    distance = np.hypot(x - position[0] * 128, y - position[1] * 128)
    return 1 / (1 + (distance / (math.hypot(128, 128) * radius)) ** falloff)


def test_point_lights() -> None:
    names = ["gold", "blue", "nonsense"]
    effects = {"point_light_enabled": True, "point_light_color_names": names[:1]}
    config = {"base": "simplest", "effects": {**effects, "point_light_count": 1}}
    center = [[0.5, 0.5]] * 5
    frame = conformance.frame(config, state(light_positions=center))
    assert frame[64, 64].tolist() == [255, 215, 0] and frame[64, 82].tolist() == [128, 108, 0]
    assert frame[64, 127].tolist() == [19, 16, 0]
    positions = [[0.2, 0.3], [0.7, 0.4], [0.5, 0.8], [0.1, 0.1], [0.9, 0.9]]
    effects = {**effects, "point_light_count": 3, "point_light_color_names": ["gold", "blue"]}
    for radius, falloff in ((0.1, 2.0), (0.3, 3.5)):
        shape = {"point_light_radius": radius, "point_light_falloff": falloff}
        config = {"base": "simplest", "effects": {**effects, **shape, "point_light_intensity": 0.7}}
        frame = conformance.frame(config, state(light_positions=positions))
        colors = np.array([(255, 215, 0), (100, 150, 255), (255, 215, 0)]) * 0.7
        base = np.zeros((128, 128, 3))
        base[120:122] = CYAN
        masks = [light_reference(p, radius, falloff) for p in positions[:3]]
        glow = sum(m[..., None] * c for m, c in zip(masks, colors, strict=True))
        expected = np.clip(base + glow, 0, 255)
        assert (np.abs(frame - np.floor(expected + 1e-3)) <= 1).all()
        assert (frame == np.floor(expected)).mean() > 0.999


def test_lights_are_added_before_filtered_values_become_bytes() -> None:
    """As in the reference's frame of its hardest configuration."""
    config = {
        "base": "simplest",
        "filters": {"gamma": 0.8, "vignette_strength": 0.9},
        "effects": {"point_light_enabled": True, "point_light_count": 2},
    }
    rng = np.random.default_rng(3)
    image = rng.integers(0, 120, (128, 128, 3)).astype(np.uint8)
    fields = state(bg_image=image, light_positions=rng.uniform(0.2, 0.8, (5, 2)).tolist())
    config["background"] = {"mode": "noise"}
    frame = conformance.frame(config, fields)
    plain = {k: v for k, v in config.items() if k not in ("filters", "effects")}
    base = conformance.frame(plain, fields)
    env, params = make(config)
    params = jax.tree.map(lambda leaf: leaf[None], params)
    token, seed = jnp.zeros(1, jnp.int32), jnp.zeros(1, jnp.uint32)
    red, green, blue = (jnp.asarray(base[None, ..., c], jnp.float32) for c in range(3))
    planes = filters.apply((red, green, blue), seed, params, env.spec, token)
    where = jnp.asarray(fields["light_positions"], jnp.float32)[None]
    expected = truncate(lights.apply(planes, where, params.effects, env.spec, token))
    off = np.abs(frame - np.stack(expected, axis=-1)[0])
    assert off.max() <= 1 and (off > 0).mean() < 0.001


def test_noise_background() -> None:
    """Uniform bytes, fixed by the episode's seed and by nothing else."""
    env, params = make({"base": "simplest", "background": {"mode": "noise"}})
    draw = jax.jit(jax.vmap(env.render, (0, None)))
    scenes = [random_scene(np.random.default_rng(0), env.spec, params) for _ in range(3)]
    scenes[1] = scenes[1].replace(camera_x=np.float32(50))  # pyright: ignore
    other = scenes[2].visuals.replace(noise=np.uint32(12345))  # pyright: ignore
    scenes[2] = scenes[2].replace(visuals=other)  # pyright: ignore
    frames = np.asarray(draw(stack(scenes), params))[:, :20]
    np.testing.assert_array_equal(frames[0], frames[1])
    assert (frames[0] == frames[2]).mean() < 0.01
    counts = np.bincount(frames[0].ravel() // 16, minlength=16)
    expected = frames[0].size / 16
    assert ((counts - expected) ** 2 / expected).sum() < 45


EVERY_FILTER = {
    "filters.brightness": 0.1,
    "filters.contrast": 1.3,
    "filters.gamma": 0.8,
    "filters.saturation": 1.4,
    "filters.hue_shift": 40.0,
    "filters.color_temp": 0.2,
    "filters.color_jitter_std": 0.1,
    "filters.gaussian_noise_std": 4.0,
    "filters.poisson_noise_scale": 0.5,
    "filters.blur_sigma": 0.7,
    "filters.sharpen_amount": 0.4,
    "filters.pixelate_factor": 2,
    "filters.vignette_strength": 0.4,
    "filters.radial_light_strength": 0.3,
    "filters.pop_filter_list": ["vintage", "none"],
}


def validation(*names: str) -> dict[str, dict[str, Any]]:
    return {name: PAIRS[name].validation for name in names}


@cache
def mixture(full: bool) -> dict[str, dict[str, Any]]:
    """Configurations that differ in every layer."""
    every = {"every filter": derive("base-f", EVERY_FILTER)}
    if full:
        bases = {f"base-{letter}": load(f"base-{letter}") for letter in "abcdefg"}
        return bases | validation(*PAIRS) | every
    chosen = ("background-1", "distractors-4", "distractors-6", "effects-2", "filters-6")
    return {name: load(name) for name in ("base-a", "base-e")} | validation(*chosen) | every


def check_mixture(configs: dict[str, dict[str, Any]], each: int) -> None:
    env, params = make(list(configs.values()))
    rows = [jax.tree.map(lambda leaf: leaf[i], params) for i in range(len(configs))]  # noqa: B023
    alone = [make(config) for config in configs.values()]
    rng = np.random.default_rng(11)
    scenes = [[random_scene(rng, e.spec, p) for _ in range(each)] for e, p in alone]
    wide = [
        stack([translate(scene, p, env.spec, row) for scene in own])
        for (_, p), row, own in zip(alone, rows, scenes, strict=True)
    ]
    draw = jax.jit(jax.vmap(jax.vmap(env.render, (0, None))))
    together = np.asarray(draw(stack(wide), params))
    wrong = {}
    for i, name in enumerate(configs):
        e, p = alone[i]
        separately = np.asarray(jax.jit(jax.vmap(e.render, (0, None)))(stack(scenes[i]), p))
        off = np.abs(separately.astype(int) - together[i])
        if off.max():
            wrong[name] = (int((off > 0).sum()), int(off.max()))
    assert not wrong, f"bytes that differ, largest difference: {wrong}"
    flat = together.reshape(len(configs) * each, -1)
    assert len(np.unique(flat, axis=0)) == len(flat), "scenes that all look the same prove nothing"


def test_stacked_configurations_draw_what_each_draws_alone() -> None:
    check_mixture(mixture(full=False), each=4)


@pytest.mark.slow
def test_all_stacked_configurations_draw_what_each_draws_alone() -> None:
    check_mixture(mixture(full=True), each=4)


def test_pooling_is_rounded_mean_or_maximum() -> None:
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 256, (2, 24, 36, 3)).astype(np.uint8)
    frames[1] = rng.integers(254, 256, (24, 36, 3))
    blocks = frames.reshape(2, 12, 2, 12, 3, 3).astype(int)
    total = blocks.sum(axis=(2, 4))
    np.testing.assert_array_equal(pool(jnp.asarray(frames), 12, "mean"), (total + 3) // 6)
    np.testing.assert_array_equal(pool(jnp.asarray(frames), 12, "max"), blocks.max(axis=(2, 4)))


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_tracks_are_reductions_of_the_full_frame(pooling: str) -> None:
    """After all layers and filters, whatever fast path draws them."""
    config = derive("base-f", {"filters.brightness": 0.3})
    full, params = make(config)
    scenes = stack([random_scene(np.random.default_rng(i), full.spec, params) for i in range(6)])
    frames = np.asarray(jax.jit(jax.vmap(full.render, (0, None)))(scenes, params)).astype(int)
    env, params = make(config, obs_size=32, pooling=pooling)
    small = np.asarray(jax.jit(jax.vmap(env.render, (0, None)))(scenes, params))
    assert small.shape == (6, 32, 32, 3) and small.dtype == np.uint8
    blocks = frames.reshape(6, 32, 4, 32, 4, 3)
    expected = blocks.max(axis=(2, 4))
    if pooling == "mean":
        expected = (blocks.sum(axis=(2, 4)) + 8) // 16
    np.testing.assert_array_equal(small, expected)
