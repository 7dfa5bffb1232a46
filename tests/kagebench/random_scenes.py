"""Scenes at random, without playing: what a frame can be drawn from."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from kagebench.params import IMAGE, EnvParams, EnvSpec
from kagebench.scene import Scene
from kagebench.visuals import Distractors, NPCs, StickyNPCs, Visuals


def random_scene(rng: np.random.Generator, spec: EnvSpec, params: EnvParams) -> Scene:
    """A scene that the environment can be in, with everything near the screen."""
    p = jax.tree.map(np.asarray, params)
    pick = lambda pool: pool.values[rng.integers(pool.count)]  # noqa: E731
    index = lambda pool: rng.integers(pool.count)  # noqa: E731
    camera = float(rng.integers(0, 400))
    k, s, d = spec.npc_slots, spec.sticky_slots, spec.distractor_slots
    background = p.background
    pool_of_mode = background.images if background.mode == IMAGE else background.color_names
    integers = lambda low, high, n, t: rng.integers(low, high, n).astype(t)  # noqa: E731
    floats = lambda low, high, n: rng.uniform(low, high, n).astype(np.float32)  # noqa: E731
    many = lambda pool, n: np.array([pick(pool) for _ in range(n)], np.int16).reshape(n)  # noqa: E731
    visuals = Visuals(  # pyright: ignore
        layout_color=np.int8(index(p.layout.layout_colors)),
        background=np.int16(index(pool_of_mode)),
        noise=np.uint32(rng.integers(2**32)),
        filter_noise=np.uint32(rng.integers(2**32)),
        preset=np.int8(pick(p.filters.pop_filter_list)),
        lights=floats(0.15, 0.85, (spec.lights, 2)),
        frame=np.int8(rng.integers(3)),
        frame_timer=np.float32(0),
        shape_angle=np.float32(rng.uniform(0, 360)),
        shape_type=np.int8(pick(p.character.shape_types)),
        shape_color=np.int8(index(p.character.shape_colors)),
        skin=np.int16(pick(p.character.skins)),
        npcs=NPCs(  # pyright: ignore
            x=(camera + integers(-20, 150, k, int)).astype(np.int16),
            y=integers(20, 90, k, np.int16),
            skin=many(p.npc.skins, k),
            frame=integers(0, 3, k, np.int8),
            timer=np.float32(0),
        ),
        sticky=StickyNPCs(  # pyright: ignore
            x_offset=integers(-60, 60, s, np.int16),
            y=integers(20, 90, s, np.int16),
            home_y=integers(20, 90, s, np.int16),
            vy=floats(0, 1, s),
            on_ground=np.ones(s, bool),
            skin=many(p.npc.sticky_skins, s),
            frame=integers(0, 3, s, np.int8),
            timer=np.float32(0),
            count=np.int8(rng.integers(0, s + 1) if p.npc.sticky_enabled else 0),
        ),
        distractors=Distractors(  # pyright: ignore
            x=floats(15, 113, d),
            y=floats(15, 113, d),
            vx=floats(-1, 1, d),
            vy=floats(-1, 1, d),
            angle=floats(0, 360, d),
            spin=floats(-1, 1, d),
            shape=many(p.distractors.shape_types, d).astype(np.int8),
            color=np.array([index(p.distractors.shape_colors) for _ in range(d)], np.int8),
            size=integers(p.distractors.min_size, p.distractors.max_size + 1, d, np.int16),
        ),
    )
    return Scene(  # pyright: ignore
        x=np.float32(camera + rng.integers(8, 120)),
        y=np.float32(rng.integers(20, 100)),
        camera_x=np.float32(camera),
        tops=integers(50, 96, spec.visible_segments + 1, np.int16),
        visuals=visuals,
    )


def stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def widen(leaf: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The leaf with as many slots as the wider program has; the new ones are unused."""
    grow = [(0, n - m) for m, n in zip(np.shape(leaf), shape, strict=True)]
    return np.pad(leaf, grow) if grow else leaf


def translate(scene: Scene, alone: EnvParams, wide: EnvSpec, row: EnvParams) -> Scene:
    """A scene of one configuration as the program of several expects it: slots and atlas indices.

    row: the configuration's row of the stacked parameters.
    """
    target = random_scene(np.random.default_rng(0), wide, row)
    out = jax.tree.map(lambda a, b: widen(a, b.shape), scene, target)
    v = out.visuals

    def moved(skin: np.ndarray, before: Any, after: Any) -> np.ndarray:
        table = dict(zip(np.asarray(before.values), np.asarray(after.values), strict=False))
        return np.array([table.get(int(s), 0) for s in skin.reshape(-1)], np.int16).reshape(
            skin.shape
        )

    character, npc = alone.character, alone.npc
    v = v.replace(
        skin=moved(v.skin, character.skins, row.character.skins),
        npcs=v.npcs.replace(skin=moved(v.npcs.skin, npc.skins, row.npc.skins)),
        sticky=v.sticky.replace(skin=moved(v.sticky.skin, npc.sticky_skins, row.npc.sticky_skins)),
    )
    return out.replace(visuals=v)
