"""What moves or changes besides the agent, step by step, against the reference's traces.

Random decisions are given in the data, so that updates can be compared one by one.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import visuals
from kagebench.assets import default_pack
from kagebench.build import build
from kagebench.conformance import load
from kagebench.params import EnvParams, EnvSpec

pytestmark = pytest.mark.reference


class Aux:
    """The traces (arrays [episodes, steps + 1, ...]) and our parameters of their configuration."""

    def __init__(self, shared: Path, name: str):
        folder = shared / "golden"
        config = json.loads((folder / "aux_traces.json").read_text())[name]
        assets = default_pack(shared / "kage-assets")
        self.spec: EnvSpec
        self.params: EnvParams
        self.spec, self.params, _ = build([load(config)], assets, stack=False)
        with np.load(folder / "aux_traces.npz") as file:
            self.arrays = dict(file)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]


@pytest.fixture(scope="module")
def aux(shared_dir: Path) -> Aux:
    return Aux(shared_dir, "aux")


def replay(step: Any, start: Any, inputs: Any) -> Any:
    """All states (leading axes episodes, steps) of a scan over `inputs` [episodes, steps, ...]."""

    @jax.jit
    @jax.vmap
    def run(start: Any, inputs: Any) -> Any:
        def body(state: Any, given: Any) -> Any:
            state = step(state, given)
            return state, state

        return jax.lax.scan(body, start, inputs)[1]

    return jax.tree.map(np.asarray, run(start, inputs))


def test_walk_cycle(aux: Aux) -> None:
    start = visuals.Visuals(  # pyright: ignore
        **dict.fromkeys(visuals.Visuals.__dataclass_fields__, jnp.zeros(4))
    )
    start = start.replace(  # pyright: ignore
        frame=jnp.asarray(aux["aux_sprite_idx"][:, 0], jnp.int8),
        frame_timer=jnp.asarray(aux["aux_animation_timer"][:, 0]),
    )
    step = partial(visuals.animate_character, params=aux.params)
    out = replay(step, start, aux["aux_vx"][:, 1:])
    np.testing.assert_array_equal(out.frame, aux["aux_sprite_idx"][:, 1:])
    np.testing.assert_allclose(out.frame_timer, aux["aux_animation_timer"][:, 1:], atol=1e-6)
    # The pool's first skin has three frames, and the traces contain walking and standing.
    assert set(np.unique(out.frame)) == {0, 1, 2} and (out.frame_timer == 0).any()


def test_shape_rotation(shared_dir: Path) -> None:
    aux = Aux(shared_dir, "shape")
    start = visuals.Visuals(  # pyright: ignore
        **dict.fromkeys(visuals.Visuals.__dataclass_fields__, jnp.zeros(4))
    )
    start = start.replace(  # pyright: ignore
        frame=jnp.zeros(4, jnp.int8), shape_angle=jnp.asarray(aux["shape_shape_angle"][:, 0])
    )
    step = partial(visuals.animate_character, params=aux.params)
    out = replay(step, start, np.zeros((4, 300), np.float32))
    np.testing.assert_allclose(out.shape_angle, aux["shape_shape_angle"][:, 1:], atol=1e-4)
    assert out.shape_angle.max() < 360


def test_world_npcs(aux: Aux) -> None:
    """All slots share one clock and one cycle: the longest of the pool."""
    frames, timers = aux["aux_npc_sprite_indices"], aux["aux_npc_animation_timers"]
    assert (frames == frames[..., :1]).all()
    npc = aux.params.npc
    assert int(npc.cycle) == 3

    def step(state: tuple[jax.Array, jax.Array], _: Any) -> tuple[jax.Array, jax.Array]:
        return visuals._advance(*state, npc.animation_fps, npc.cycle)

    start = jnp.asarray(frames[:, 0, 0], jnp.int8), jnp.asarray(timers[:, 0, 0])
    frame, timer = replay(step, start, np.zeros((4, 300)))
    np.testing.assert_array_equal(frame, frames[:, 1:, 0])
    np.testing.assert_allclose(timer, timers[:, 1:, 0], atol=1e-6)


def test_world_npcs_stand_on_their_ground(aux: Aux) -> None:
    """Where the reference placed them follows from the level in the same way as in `spawn_npcs`."""
    x, y = aux["aux0_npc_x"], aux["aux0_npc_y"]
    used, character = x > 0, aux.params.character
    ground = np.take_along_axis(aux["aux0_layout_ground_top"].astype(int), x, axis=1)
    np.testing.assert_array_equal(y[used], (ground - int(character.height) // 2 - 2)[used])
    assert used.sum(axis=1).min() >= int(aux.params.npc.min_npc_count)


def test_sticky_npcs(aux: Aux) -> None:
    first = lambda name, dtype: jnp.asarray(aux[f"aux_sticky_{name}"][:, 0], dtype)  # noqa: E731
    start = visuals.StickyNPCs(  # pyright: ignore
        x_offset=jnp.asarray(aux["aux0_sticky_x_offsets"], jnp.int16),
        y=first("y", jnp.int16),
        home_y=jnp.asarray(aux["aux0_sticky_home_y"], jnp.int16),
        vy=first("vy", jnp.float32),
        on_ground=first("on_ground", bool),
        skin=jnp.asarray(aux["aux0_sticky_types"], jnp.int16),
        frame=first("sprite_indices", jnp.int8),
        timer=jnp.asarray(aux["aux_sticky_animation_timers"][:, 0, 0]),
        count=jnp.asarray(aux["aux0_actual_sticky_count"], jnp.int8),
    )
    rolls = aux["aux_sticky_jump_roll"].astype(bool)
    out = replay(partial(visuals.move_sticky, params=aux.params), start, rolls)
    np.testing.assert_array_equal(out.y, aux["aux_sticky_y"][:, 1:])
    np.testing.assert_allclose(out.vy, aux["aux_sticky_vy"][:, 1:], atol=1e-6)
    np.testing.assert_array_equal(out.on_ground, aux["aux_sticky_on_ground"][:, 1:])
    np.testing.assert_array_equal(out.frame, aux["aux_sticky_sprite_indices"][:, 1:])
    timers = aux["aux_sticky_animation_timers"][:, 1:]
    assert np.abs(out.timer[..., None] - timers).max() < 1e-6
    assert (~out.on_ground).any()


def test_sticky_npcs_start_in_the_configured_ranges(aux: Aux) -> None:
    """The reference's own draws lie where our rule allows them."""
    npc, base = aux.params.npc, int(aux.params.layout.base_ground_y)
    offsets, home = aux["aux0_sticky_x_offsets"], aux["aux0_sticky_home_y"] - base
    assert offsets.min() >= int(npc.sticky_x_min) and offsets.max() <= int(npc.sticky_x_max)
    assert home.min() >= int(npc.sticky_y_min_offset) and home.max() <= int(npc.sticky_y_max_offset)


def test_distractors(aux: Aux) -> None:
    first = lambda name: jnp.asarray(aux[f"aux_dist_{name}"][:, 0])  # noqa: E731
    start = visuals.Distractors(  # pyright: ignore
        x=first("x"),
        y=first("y"),
        vx=first("vx"),
        vy=first("vy"),
        angle=first("angles"),
        spin=jnp.asarray(aux["aux0_dist_rot_speeds"]),
        shape=jnp.asarray(aux["aux0_dist_shape_indices"], jnp.int8),
        color=jnp.asarray(aux["aux0_dist_color_indices"], jnp.int8),
        size=jnp.asarray(aux["aux0_dist_sizes"], jnp.int16),
    )
    move = lambda d, _: visuals.move_distractors(d, aux.spec)  # noqa: E731
    out = replay(move, start, np.zeros((4, 300)))
    for name in ("x", "y", "vx", "vy"):
        np.testing.assert_allclose(
            getattr(out, name), aux[f"aux_dist_{name}"][:, 1:], atol=1e-5, err_msg=name
        )
    turned = np.abs(out.angle - aux["aux_dist_angles"][:, 1:])
    assert np.minimum(turned, 360 - turned).max() < 1e-3
    assert (np.sign(out.vx[:, 0]) != np.sign(out.vx[:, -1])).any()


def test_background_switches(aux: Aux) -> None:
    """With the reference's decisions, the background changes only where ours may change too."""
    rgb, switch = aux["aux_bg_rgb"].astype(int), aux["aux_bg_switch"].astype(bool)
    changed = (rgb[:, 1:] != rgb[:, :-1]).any(axis=-1)
    assert switch.any() and not (changed & ~switch).any()
    pool = np.asarray(aux.params.background.color_names.values).astype(int)
    assert {tuple(c) for c in rgb.reshape(-1, 3)} <= {tuple(c) for c in pool}
    assert int(aux.params.background.color_names.count) == len(pool) == 3
    # One in three switches draws the colour that is already there.
    assert changed.sum() < switch.sum()
    assert aux.spec.switching
    np.testing.assert_allclose(float(aux.params.background.switch_frequency), 0.05)
    # 1200 decisions at probability 0.05: within four standard deviations.
    assert abs(switch.mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / switch.size)
