"""What the frame shows besides the agent's position: state, spawning and per-step updates."""

import jax
import jax.numpy as jnp
from flax import struct

from kagebench.draws import Draws
from kagebench.layout import ground_row
from kagebench.params import COLOR, IMAGE, NOISE, EnvParams, EnvSpec, NPCParams

STEP_SECONDS = 1.0 / 60.0
# Distractors turn round this many px before the border of the screen.
_MARGIN = 15.0


class NPCs(struct.PyTreeNode):
    """World NPCs. x, y int16 (level px), skin int16, frame int8: [slots]; timer float32 (s)."""

    x: jax.Array
    y: jax.Array
    skin: jax.Array
    frame: jax.Array
    timer: jax.Array


class StickyNPCs(struct.PyTreeNode):
    """NPCs beside the agent. x_offset, y, home_y int16 (px), vy float32, on_ground: [slots]."""

    x_offset: jax.Array
    y: jax.Array
    home_y: jax.Array
    vy: jax.Array
    on_ground: jax.Array
    skin: jax.Array
    frame: jax.Array
    timer: jax.Array
    count: jax.Array


class Distractors(struct.PyTreeNode):
    """Drifting shapes: x, y (screen px), vx, vy, angle, spin, shape, color, size, all [slots]."""

    x: jax.Array
    y: jax.Array
    vx: jax.Array
    vy: jax.Array
    angle: jax.Array
    spin: jax.Array
    shape: jax.Array
    color: jax.Array
    size: jax.Array


class Visuals(struct.PyTreeNode):
    """Everything drawn that is not dynamics.

    layout_color, background, shape_color: indices into pools; preset: index into PRESETS;
    noise: uint32 seed of a noise background; filter_noise: uint32 seed of this frame's filters;
    lights: float32 [lights, 2] in units of the frame; frame: int8 sprite frame; frame_timer: s;
    shape_angle: degrees; shape_type: index into SHAPES; skin: atlas index.
    """

    layout_color: jax.Array
    background: jax.Array
    noise: jax.Array
    filter_noise: jax.Array
    preset: jax.Array
    lights: jax.Array
    frame: jax.Array
    frame_timer: jax.Array
    shape_angle: jax.Array
    shape_type: jax.Array
    shape_color: jax.Array
    skin: jax.Array
    npcs: NPCs
    sticky: StickyNPCs
    distractors: Distractors


def draw_background(
    key: jax.Array, params: EnvParams, spec: EnvSpec
) -> tuple[jax.Array, jax.Array]:
    """A new background: (int16 index into the mode's pool, uint32 seed for the noise mode)."""
    index_key, seed_key = jax.random.split(key)
    draws, background = Draws(index_key, 2), params.background
    index, seed = jnp.int32(0), jnp.uint32(0)
    if COLOR in spec.backgrounds:
        index = draws.index(background.color_names)
    if IMAGE in spec.backgrounds:
        index = jnp.where(background.mode == IMAGE, draws.index(background.images), index)
    if NOISE in spec.backgrounds:
        seed = jax.random.bits(seed_key, (), jnp.uint32)
    return index.astype(jnp.int16), seed


def spawn_npcs(key: jax.Array, tops: jax.Array, params: EnvParams, slots: int) -> NPCs:
    """Place 0..slots NPCs uniformly on the level from column 200 on; unused slots are zero."""
    draws, shape = Draws(key, 1 + 2 * slots), (slots,)
    npc, layout = params.npc, params.layout
    count = draws.integer(npc.min_npc_count, npc.max_npc_count)
    used = (jnp.arange(slots) < count) & npc.enabled
    x = draws.integer(200, jnp.maximum(300, layout.length - 200) - 1, shape)
    ground = jax.vmap(ground_row, (None, 0, None))(tops, x, layout)
    y = ground - params.character.height // 2 - 2 - npc.spawn_y_offset
    skin = npc.skins.values[draws.index(npc.skins, shape)]
    return NPCs(
        x=jnp.where(used, x, 0).astype(jnp.int16),
        y=jnp.where(used, y, 0).astype(jnp.int16),
        skin=jnp.where(used, skin, 0).astype(jnp.int16),
        frame=jnp.zeros(slots, jnp.int8),
        timer=jnp.float32(0.0),
    )


def _sticky_offsets(draws: Draws, npc: NPCParams, slots: int) -> jax.Array:
    index = jnp.arange(slots)
    pool = npc.sticky_x_offsets
    explicit = pool.values[index % jnp.maximum(pool.count, 1)]
    drawn = draws.integer(npc.sticky_x_min, npc.sticky_x_max, (slots,))
    # Even steps from -60 to 60, truncated; in integers, because floats round by program.
    gaps = jnp.maximum(npc.max_sticky_count - 1, 1)
    scaled = 120 * index - 60 * gaps
    spread = jnp.sign(scaled) * (jnp.abs(scaled) // gaps)
    otherwise = jnp.where(npc.sticky_x_random, drawn, spread)
    return jnp.where(pool.count > 0, explicit, otherwise)


def spawn_sticky(key: jax.Array, params: EnvParams, slots: int) -> StickyNPCs:
    """Place NPCs at fixed horizontal offsets from the agent (see `_sticky_offsets`)."""
    draws, shape = Draws(key, 1 + 3 * slots), (slots,)
    npc = params.npc
    count = draws.integer(npc.min_sticky_count, npc.max_sticky_count)
    low, high = npc.sticky_y_min_offset, npc.sticky_y_max_offset
    offset = jnp.where(npc.sticky_y_randomize, draws.integer(low, high, shape), low)
    y = (params.layout.base_ground_y - npc.spawn_y_offset + offset).astype(jnp.int16)
    x_offset = _sticky_offsets(draws, npc, slots)
    skin = npc.sticky_skins.values[draws.index(npc.sticky_skins, shape)]
    return StickyNPCs(
        x_offset=x_offset.astype(jnp.int16),
        y=y,
        home_y=y,
        vy=jnp.zeros(slots, jnp.float32),
        on_ground=jnp.ones(slots, bool),
        skin=skin.astype(jnp.int16),
        frame=jnp.zeros(slots, jnp.int8),
        timer=jnp.float32(0.0),
        count=jnp.where(npc.sticky_enabled & (slots > 0), count, 0).astype(jnp.int8),
    )


def spawn_distractors(key: jax.Array, params: EnvParams, spec: EnvSpec) -> Distractors:
    """Scatter shapes over the screen. Each velocity component has a magnitude in
    min_speed..max_speed and a random sign."""
    shape = (spec.distractor_slots,)
    draws, d = Draws(key, 11 * spec.distractor_slots), params.distractors

    def velocity() -> jax.Array:
        sign = jnp.where(draws.uniform(shape) < 0.5, -1.0, 1.0) * d.can_move
        return sign * draws.between(d.min_speed, d.max_speed, shape)

    spin = draws.between(d.min_rotation_speed, d.max_rotation_speed, shape) * d.can_rotate
    return Distractors(
        x=draws.between(_MARGIN, spec.width - _MARGIN, shape),
        y=draws.between(_MARGIN, spec.height - _MARGIN, shape),
        vx=velocity(),
        vy=velocity(),
        angle=draws.between(0.0, 360.0, shape),
        spin=spin,
        shape=d.shape_types.values[draws.index(d.shape_types, shape)].astype(jnp.int8),
        color=draws.index(d.shape_colors, shape).astype(jnp.int8),
        size=draws.integer(d.min_size, d.max_size, shape).astype(jnp.int16),
    )


def spawn(key: jax.Array, tops: jax.Array, params: EnvParams, spec: EnvSpec) -> Visuals:
    """Draw everything visual of a new episode."""
    keys = jax.random.split(key, 6)
    character, filters = params.character, params.filters
    draws = Draws(keys[0], 5 + 2 * spec.lights)
    background, noise = draw_background(keys[1], params, spec)
    preset = filters.pop_filter_list.values[draws.index(filters.pop_filter_list)]
    shape_type = character.shape_types.values[draws.index(character.shape_types)]
    filter_noise = jax.random.bits(keys[2], (), jnp.uint32) if spec.stochastic else jnp.uint32(0)
    return Visuals(
        layout_color=draws.index(params.layout.layout_colors).astype(jnp.int8),
        background=background,
        noise=noise,
        filter_noise=filter_noise,
        preset=preset.astype(jnp.int8),
        lights=draws.between(0.15, 0.85, (spec.lights, 2)),
        frame=character.idle_sprite_idx.astype(jnp.int8),
        frame_timer=jnp.float32(0.0),
        shape_angle=jnp.float32(0.0),
        shape_type=shape_type.astype(jnp.int8),
        shape_color=draws.index(character.shape_colors).astype(jnp.int8),
        skin=character.skins.values[draws.index(character.skins)].astype(jnp.int16),
        npcs=spawn_npcs(keys[3], tops, params, spec.npc_slots),
        sticky=spawn_sticky(keys[4], params, spec.sticky_slots),
        distractors=spawn_distractors(keys[5], params, spec),
    )


def _advance(
    frame: jax.Array, timer: jax.Array, fps: jax.Array, cycle: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Show each frame for 1/fps seconds, `cycle` frames in turn."""
    timer = timer + jnp.float32(STEP_SECONDS)
    period = 1.0 / fps
    due = timer >= period
    frame = jnp.where(due, (frame + 1) % cycle, frame).astype(jnp.int8)
    return frame, jnp.where(due, timer - period, timer)


def animate_character(visuals: Visuals, vx: jax.Array, params: EnvParams) -> Visuals:
    """Walk cycle while |vx| > 0.1, else the idle frame; shapes rotate by degrees per step.

    The cycle has as many frames as the first skin of the pool, whichever skin is shown.
    """
    character = params.character
    moving = (jnp.abs(vx) > 0.1) & character.enable_animation
    frame, timer = _advance(
        visuals.frame, visuals.frame_timer, character.animation_fps, character.cycle
    )
    turned = (visuals.shape_angle + character.shape_rotation_speed) % 360.0
    return visuals.replace(
        frame=jnp.where(moving, frame, character.idle_sprite_idx.astype(jnp.int8)),
        frame_timer=jnp.where(moving, timer, 0.0),
        shape_angle=jnp.where(character.shape_rotate, turned, visuals.shape_angle),
    )


def move_sticky(sticky: StickyNPCs, jump: jax.Array, params: EnvParams) -> StickyNPCs:
    """Jump (bool [slots]: the roll of each NPC), fall back to the home row; y is truncated."""
    npc, physics = params.npc, params.physics
    jump = jump & sticky.on_ground & npc.sticky_can_jump
    vy = jnp.where(jump, physics.jump_velocity, sticky.vy) + physics.gravity
    y = sticky.y + vy
    home = y >= sticky.home_y
    frame, timer = _advance(sticky.frame, sticky.timer, npc.animation_fps, npc.sticky_cycle)
    return sticky.replace(
        y=jnp.where(home, sticky.home_y, y.astype(jnp.int16)),
        vy=jnp.where(home, 0.0, vy),
        on_ground=home,
        frame=frame,
        timer=timer,
    )


def move_distractors(d: Distractors, spec: EnvSpec) -> Distractors:
    """Drift, bounce off the margins of the screen, rotate by degrees modulo 360."""

    def bounce(position: jax.Array, velocity: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
        position = position + velocity
        outside = (position <= _MARGIN) | (position >= size - _MARGIN)
        position = jnp.clip(position, _MARGIN, size - _MARGIN)
        return position, jnp.where(outside, -velocity, velocity)

    x, vx = bounce(d.x, d.vx, spec.width)
    y, vy = bounce(d.y, d.vy, spec.height)
    return d.replace(x=x, y=y, vx=vx, vy=vy, angle=(d.angle + d.spin) % 360.0)


def update(
    key: jax.Array, visuals: Visuals, vx: jax.Array, params: EnvParams, spec: EnvSpec
) -> Visuals:
    """Advance everything visual by one step; vx is the agent's velocity after collision."""
    switch_key, background_key, jump_key, noise_key = jax.random.split(key, 4)
    visuals = animate_character(visuals, vx, params)
    if spec.switching:
        switch = jax.random.uniform(switch_key) < params.background.switch_frequency
        background, noise = draw_background(background_key, params, spec)
        visuals = visuals.replace(
            background=jnp.where(switch, background, visuals.background),
            noise=jnp.where(switch, noise, visuals.noise),
        )
    if spec.npc_slots:
        npcs = visuals.npcs
        frame, timer = _advance(npcs.frame, npcs.timer, params.npc.animation_fps, params.npc.cycle)
        visuals = visuals.replace(npcs=npcs.replace(frame=frame, timer=timer))
    if spec.sticky_slots:
        roll = jax.random.uniform(jump_key, (spec.sticky_slots,))
        jump = roll < params.npc.sticky_jump_probability
        visuals = visuals.replace(sticky=move_sticky(visuals.sticky, jump, params))
    if spec.distractor_slots:
        moved = move_distractors(visuals.distractors, spec)
        visuals = visuals.replace(distractors=moved)
    if spec.stochastic:
        bits = jax.random.bits(noise_key, (), jnp.uint32)
        visuals = visuals.replace(filter_noise=bits)
    return visuals
