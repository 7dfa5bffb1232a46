"""Environment parameters (traced leaves) and the static specification derived from them.

`EnvParams` holds every knob of the environment as an array, so that a jitted program can be reused,
and `vmap`-ed, over any value. `EnvSpec` holds what decides array shapes and which layers are drawn;
it is inferred from one configuration or from the union of several.
"""

import jax
from flax import struct

from kagebench import palettes

BLACK, COLOR, NOISE, IMAGE = range(4)
RECTANGLE, SHAPE, SPRITE = range(3)
SHAPES = tuple(palettes.SHAPES)
PRESETS = ("none", "vintage", "retro", "cyberpunk", "horror", "noir")
NEUTRAL = {
    "brightness": 0.0,
    "contrast": 1.0,
    "gamma": 1.0,
    "saturation": 1.0,
    "hue_shift": 0.0,
    "color_temp": 0.0,
    "color_jitter_std": 0.0,
    "blur_sigma": 0.0,
    "sharpen_amount": 0.0,
    "pixelate_factor": 1,
    "gaussian_noise_std": 0.0,
    "poisson_noise_scale": 0.0,
    "vignette_strength": 0.0,
    "radial_light_strength": 0.0,
}
STOCHASTIC = ("color_jitter_std", "gaussian_noise_std", "poisson_noise_scale")
DISTRACTOR_WINDOW = 32


class Pool(struct.PyTreeNode):
    """A set of values from which one is drawn uniformly per episode.

    values: int32 [slots] indices (or uint8 [slots, 3] colours); count: int32, the slots in use.
    """

    values: jax.Array
    count: jax.Array


class CameraParams(struct.PyTreeNode):
    """Screen margins (int32, px) that the agent pushes the camera with."""

    left_margin: jax.Array
    right_margin: jax.Array


class BackgroundParams(struct.PyTreeNode):
    """Background layer. mode: int32 index into BACKGROUND_MODES; images: atlas indices."""

    mode: jax.Array
    images: Pool
    image_width: jax.Array
    parallax_factor: jax.Array
    tile_horizontal: jax.Array
    switch_frequency: jax.Array
    color_names: Pool


class CharacterParams(struct.PyTreeNode):
    """The player's box (px) and looks. mode: int32, RECTANGLE, SHAPE or SPRITE."""

    width: jax.Array
    height: jax.Array
    mode: jax.Array
    skins: Pool
    cycle: jax.Array
    enable_animation: jax.Array
    animation_fps: jax.Array
    idle_sprite_idx: jax.Array
    shape_types: Pool
    shape_colors: Pool
    shape_rotate: jax.Array
    shape_rotation_speed: jax.Array
    fallback_color: jax.Array


class NPCParams(struct.PyTreeNode):
    """World NPCs (fixed in the level) and sticky NPCs (fixed beside the agent)."""

    enabled: jax.Array
    min_npc_count: jax.Array
    max_npc_count: jax.Array
    animation_fps: jax.Array
    spawn_y_offset: jax.Array
    skins: Pool
    cycle: jax.Array
    sticky_enabled: jax.Array
    min_sticky_count: jax.Array
    max_sticky_count: jax.Array
    sticky_skins: Pool
    sticky_cycle: jax.Array
    sticky_can_jump: jax.Array
    sticky_jump_probability: jax.Array
    sticky_x_offsets: Pool
    sticky_x_random: jax.Array
    sticky_x_min: jax.Array
    sticky_x_max: jax.Array
    sticky_y_randomize: jax.Array
    sticky_y_min_offset: jax.Array
    sticky_y_max_offset: jax.Array


class DistractorParams(struct.PyTreeNode):
    """Geometric shapes that drift over the background, in screen coordinates."""

    enabled: jax.Array
    count: jax.Array
    shape_types: Pool
    shape_colors: Pool
    can_move: jax.Array
    min_speed: jax.Array
    max_speed: jax.Array
    can_rotate: jax.Array
    min_rotation_speed: jax.Array
    max_rotation_speed: jax.Array
    min_size: jax.Array
    max_size: jax.Array


class FilterParams(struct.PyTreeNode):
    """Photometric and spatial filters, in the units of the configuration file."""

    brightness: jax.Array
    contrast: jax.Array
    gamma: jax.Array
    saturation: jax.Array
    hue_shift: jax.Array
    color_temp: jax.Array
    color_jitter_std: jax.Array
    blur_sigma: jax.Array
    sharpen_amount: jax.Array
    pixelate_factor: jax.Array
    gaussian_noise_std: jax.Array
    poisson_noise_scale: jax.Array
    vignette_strength: jax.Array
    radial_light_strength: jax.Array
    radial_light_color: jax.Array
    pop_filter: jax.Array
    pop_filter_list: Pool


class EffectParams(struct.PyTreeNode):
    """Point lights. point_light_colors: float32 [5, 3] in 0..255, one per light."""

    point_light_enabled: jax.Array
    point_light_intensity: jax.Array
    point_light_radius: jax.Array
    point_light_falloff: jax.Array
    point_light_count: jax.Array
    point_light_colors: jax.Array


class LayoutParams(struct.PyTreeNode):
    """The level generator: lengths in px, heights in units of pix_per_unit px."""

    length: jax.Array
    height_px: jax.Array
    base_ground_y: jax.Array
    pix_per_unit: jax.Array
    ground_thickness: jax.Array
    run_width: jax.Array
    p_change: jax.Array
    p_up_given_change: jax.Array
    min_step_height: jax.Array
    max_step_height: jax.Array
    min_height: jax.Array
    max_height: jax.Array
    layout_colors: Pool


class PhysicsParams(struct.PyTreeNode):
    """Motion: px per step (velocities), px per step^2 (accelerations), steps (coyote_time)."""

    gravity: jax.Array
    terminal_velocity: jax.Array
    jump_velocity: jax.Array
    coyote_time: jax.Array
    ground_accel: jax.Array
    air_accel: jax.Array
    max_speed_x: jax.Array
    ground_friction: jax.Array
    air_resistance: jax.Array
    ground_snap_dist: jax.Array


class EnvParams(struct.PyTreeNode):
    """Every knob of the environment; each leaf is traced and may carry a batch axis."""

    episode_length: jax.Array
    forward_reward_scale: jax.Array
    jump_penalty: jax.Array
    timestep_penalty: jax.Array
    idle_penalty: jax.Array
    dist_to_success: jax.Array
    camera: CameraParams
    background: BackgroundParams
    character: CharacterParams
    npc: NPCParams
    distractors: DistractorParams
    filters: FilterParams
    effects: EffectParams
    layout: LayoutParams
    physics: PhysicsParams

    @property
    def max_steps_in_episode(self) -> jax.Array:
        """The time limit in steps, under the name that gymnax uses."""
        return self.episode_length


class EnvSpec(struct.PyTreeNode):
    """What a compiled program depends on: array sizes and the layers in use. Hashable."""

    height: int = struct.field(pytree_node=False)
    width: int = struct.field(pytree_node=False)
    num_segments: int = struct.field(pytree_node=False)
    visible_segments: int = struct.field(pytree_node=False)
    box_segments: int = struct.field(pytree_node=False)
    max_dx: int = struct.field(pytree_node=False)
    backgrounds: tuple[int, ...] = struct.field(pytree_node=False)
    tilings: tuple[bool, ...] = struct.field(pytree_node=False)
    characters: tuple[int, ...] = struct.field(pytree_node=False)
    shapes: tuple[int, ...] = struct.field(pytree_node=False)
    shape_window: int = struct.field(pytree_node=False)
    rectangle: tuple[int, int] = struct.field(pytree_node=False)
    npc_slots: int = struct.field(pytree_node=False)
    sticky_slots: int = struct.field(pytree_node=False)
    distractor_slots: int = struct.field(pytree_node=False)
    distractor_shapes: tuple[int, ...] = struct.field(pytree_node=False)
    filters: tuple[str, ...] = struct.field(pytree_node=False)
    presets: tuple[int, ...] = struct.field(pytree_node=False)
    episode_presets: tuple[int, ...] = struct.field(pytree_node=False)
    lights: int = struct.field(pytree_node=False)
    switching: bool = struct.field(pytree_node=False)
    obs_size: int | None = struct.field(pytree_node=False, default=None)
    pooling: str = struct.field(pytree_node=False, default="mean")
    obs: str = struct.field(pytree_node=False, default="pixels")

    @property
    def stochastic(self) -> bool:
        """Whether a frame depends on fresh noise."""
        return any(name in self.filters for name in STOCHASTIC)
