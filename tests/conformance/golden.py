"""The reference data, and how close to it the environment has to come.

The data are arrays and JSON: levels, step-by-step traces, states and the frames drawn from them.
Their own README gives the tolerances that are used here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kagebench import conformance, make
from kagebench.assets import AssetPack, default_pack
from kagebench.render import filters, lights
from kagebench.render.frame import truncate

CONFIGS = ("default", "bench")
# Name in the data -> name in `conformance.trace`.
TRACE_FIELDS = {
    "x": "x",
    "y": "y",
    "camera_x": "camera_x",
    "x_max": "x_max",
    "vx": "vx",
    "vy": "vy",
    "grounded": "grounded",
    "coyote_timer": "coyote",
    "jump_count": "jump_count",
    "success_once": "success_once",
    "episode_return": "episode_return",
    "vx_mean": "vx_mean",
    "vy_mean": "vy_mean",
    "reward": "reward",
    "success": "success",
    "truncated": "truncated",
}
# Largest difference allowed; all other fields must be equal.
TRACE_TOLERANCE = {"vx": 1e-6, "vx_mean": 5e-5, "vy_mean": 5e-5}
STOCHASTIC = ("color_jitter_std", "gaussian_noise_std", "poisson_noise_scale")


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the (nested) values of `changes`."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = merge(out.get(key, {}), value) if isinstance(value, Mapping) else value
    return out


def trace_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The nested configuration of one entry of traces.json."""
    sections = {name: entry[name] for name in ("layout", "physics", "camera", "character")}
    return {**entry["env"], **sections}


@dataclass(frozen=True)
class Gate:
    """How far a frame may be from the reference.

    small: share of the bytes that may be off by one level; large: number of bytes that may be off
    by more; largest: greatest difference allowed.
    """

    small: float
    large: int
    largest: int

    def admits(self, difference: np.ndarray) -> bool:
        """Whether |ours - reference| (int [H, W, 3]) is within the gate."""
        by_one = (difference == 1).sum() <= self.small * difference.size
        by_more = (difference > 1).sum() <= self.large
        return bool(by_one and by_more and difference.max() <= self.largest)


GATES = {
    "geometry": Gate(0.0, 0, 0),
    "unfiltered": Gate(8 / (128 * 128 * 3), 0, 1),
    "filter": Gate(0.03, 10, 2),
    "steep filter": Gate(0.07, 10, 2),
    "stack or preset": Gate(0.03, 10, 3),
    "stochastic": Gate(0.03, 10, 3),
}


class Frames:
    """The reference frames: records, states and arrays.

    shared: the folder with `golden` and `kage-assets`.
    """

    def __init__(self, shared: Path):
        folder = shared / "golden"
        sidecar = json.loads((folder / "frames.json").read_text())
        self.records: list[dict[str, Any]] = sidecar["frames"]
        self.states: dict[str, dict[str, Any]] = sidecar["states"]
        self.defaults: dict[str, Any] = sidecar["default_config"]
        with np.load(folder / "frames.npz") as file:
            self.arrays = dict(file)
        self.assets: AssetPack = default_pack(shared / "kage-assets")

    def group(self, name: str) -> list[int]:
        """Indices of the frames of a group."""
        return [i for i, record in enumerate(self.records) if record["group"] == name]

    def config(self, index: int) -> dict[str, Any]:
        """The full configuration of a frame."""
        return merge(self.defaults, self.records[index]["config"])

    def state(self, index: int) -> dict[str, Any]:
        """The state that a frame was drawn from."""
        return self.states[self.records[index]["state"]]

    def filters(self, index: int) -> dict[str, Any]:
        """The filters of a frame that differ from their defaults."""
        record = self.records[index]
        return record.get("filters") or record["config"].get("filters", {})

    def kind(self, index: int) -> str:
        """Which of GATES holds for a frame."""
        record, used = self.records[index], self.filters(index)
        if any(name in used for name in STOCHASTIC):
            return "stochastic"
        if any(name in record["name"] for name in ("stack", "pop_filter")):
            return "stack or preset"
        if record["group"] == "filters_unit":
            steep = "sharpen_amount" in used or "contrast" in used
            return "steep filter" if steep else "filter"
        if set(used) - {"jpeg_quality"}:
            return "filter"
        plain = record["group"] in ("background", "character", "distractors")
        sprites = self.config(index)["character"]["use_sprites"]
        return "geometry" if plain and not sprites else "unfiltered"

    def draw(self, index: int) -> np.ndarray:
        """Our frame; noise is replaced by the reference's."""
        record = self.records[index]
        if self.kind(index) == "stochastic":
            return self._replay_noise(index)
        if "state" not in record:
            image = self.arrays[record["input"]]
            return conformance.filter_image(image, self.filters(index))
        return conformance.frame(
            self.config(index), self.state(index), self.arrays, assets=self.assets
        )

    def difference(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """|ours - reference| for the reference's single and its vectorised program."""
        ours = self.draw(index).astype(int)
        single = self.arrays["frames"][index].astype(int)
        rows = self.arrays["vmap_diff"]
        y, x, channel, value = rows[rows[:, 0] == index, 1:].T
        vectorised = single.copy()
        vectorised[y, x, channel] = value
        return np.abs(ours - single), np.abs(ours - vectorised)

    def _replay_noise(self, index: int) -> np.ndarray:
        """A frame with stochastic filters, drawn with the noise that the reference drew.

        Without filters and lights the frame comes from `conformance.frame`; the stages follow here
        one by one, in the order of the specification.
        """
        record = self.records[index]
        if "state" not in record:
            matrix = jnp.asarray(record["jitter_matrix"])[None]
            planes = _planes(self.arrays[record["input"]])
            return _bytes(truncate(filters.mix_colors(planes, matrix)))
        config, state = self.config(index), self.state(index)
        lit = config["effects"]["point_light_enabled"]
        plain = merge(config, {"effects": {"point_light_enabled": False}})
        plain["filters"] = self.defaults["filters"]
        frame = conformance.frame(plain, state, self.arrays, assets=self.assets)
        key = jnp.asarray(state["filter_key"], jnp.uint32)
        image = _noisy_chain(_planes(frame), key, self.filters(index))
        # Lights are added to the filtered image before it becomes bytes.
        if lit:
            env, params = make(config, assets=self.assets)
            params = jax.tree.map(lambda leaf: leaf[None], params)
            positions = jnp.asarray(state["light_positions"])[None]
            token = jnp.zeros(1, jnp.int32)
            image = lights.apply(image, positions, params.effects, env.spec, token)
        return _bytes(truncate(image))


def _planes(image: np.ndarray) -> filters.Planes:
    red, green, blue = (jnp.asarray(image[None, ..., c], jnp.float32) for c in range(3))
    return red, green, blue


def _bytes(planes: filters.Planes) -> np.ndarray:
    return np.stack([np.asarray(p[0]).astype(np.uint8) for p in planes], axis=-1)


def _noisy_chain(
    image: filters.Planes, key: jax.Array, values: Mapping[str, Any]
) -> filters.Planes:
    """The filters in `values`, each as its own program; every noise takes a new subkey."""
    token = jnp.zeros(1, jnp.int32)
    amount = {name: jnp.full((1, 1, 1), value, jnp.float32) for name, value in values.items()}
    shape = (*image[0].shape[1:], 3)
    for name in ("brightness", "contrast", "gamma"):
        if name in values:
            image = jax.jit(getattr(filters, name))(image, amount[name])
    if "saturation" in values:
        image = jax.jit(filters.hsv)(image, amount["saturation"], amount["hue_shift"], token)
    if "color_temp" in values:
        image = jax.jit(filters.color_temperature)(image, amount["color_temp"])
    if "color_jitter_std" in values:
        key, subkey = jax.random.split(key)
        noise = jax.random.normal(subkey, (3, 3))[None]
        matrix = filters.jitter_matrix(noise, amount["color_jitter_std"])
        image = filters.mix_colors(image, matrix)
    if "blur_sigma" in values:
        image = jax.jit(filters.blur)(image, amount["blur_sigma"], token)
    if "sharpen_amount" in values:
        image = jax.jit(filters.sharpen)(image, amount["sharpen_amount"], token)
    if "pixelate_factor" in values:
        image = jax.jit(filters.pixelate)(image, jnp.asarray([values["pixelate_factor"]]))
    if "gaussian_noise_std" in values:
        key, subkey = jax.random.split(key)
        noise = values["gaussian_noise_std"] * jax.random.normal(subkey, shape)
        image = _map(lambda p, c: jnp.clip(p + noise[None, ..., c], 0.0, 255.0), image)
    if "poisson_noise_scale" in values:
        key, subkey = jax.random.split(key)
        scale = values["poisson_noise_scale"]
        counts = jax.random.poisson(subkey, jnp.stack(image, axis=-1)[0] * scale, shape)
        image = _map(lambda _, c: jnp.clip(counts[None, ..., c] / scale, 0.0, 255.0), image)
    if "vignette_strength" in values:
        image = jax.jit(filters.vignette)(image, amount["vignette_strength"])
    if "radial_light_strength" in values:
        color = jnp.asarray([[255.0, 255.0, 200.0]])
        image = jax.jit(filters.radial_light)(image, amount["radial_light_strength"], color)
    return image


def _map(function: Any, image: filters.Planes) -> filters.Planes:
    red, green, blue = (function(plane, c) for c, plane in enumerate(image))
    return red, green, blue


class Traces:
    """The reference's step-by-step traces of one configuration."""

    def __init__(self, shared: Path, name: str):
        folder = shared / "golden"
        self.entry = json.loads((folder / "traces.json").read_text())[name]
        self.config = trace_config(self.entry)
        with np.load(folder / f"physics_{name}.npz") as file:
            self.arrays = dict(file)
        self.policies = sorted(
            key.removesuffix("_action") for key in self.arrays if key.endswith("_action")
        )

    def differences(self, policy: str) -> dict[str, float]:
        """Largest |ours - reference| of every field over all levels and steps."""
        given = partial(self._given, policy)
        ours = conformance.trace(self.config, self.arrays["ground_top"], given("action"))
        return {
            field: float(np.abs(ours[name].astype(np.float64) - given(field)).max())
            for field, name in TRACE_FIELDS.items()
        }

    def steps(self, policy: str) -> int:
        """Number of steps compared."""
        return int(self._given(policy, "action").size)

    def _given(self, policy: str, field: str) -> np.ndarray:
        value = self.arrays[f"{policy}_{field}"]
        return value if field == "action" else value.astype(np.float64)
