"""Strips of frames: an agent at the same moments of the same level under every configuration."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from kagebench.env import KageEnv, KageState
from kagebench.params import EnvParams

_GAP, _PAPER = 4, (255, 255, 255)


def moments(num_steps: int, count: int) -> np.ndarray:
    """`count` steps (int) spread evenly over an episode, the last one at its end."""
    return np.linspace(num_steps / count, num_steps, count).astype(int)


def frames(
    env: KageEnv, states: KageState, params: EnvParams, times: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Frames uint8 [C, T, H, W, 3] of recorded states (`kagebench.evaluate.record`) at T times.

    `env` may have another resolution than the one that recorded.
    """
    chosen = jax.tree.map(lambda leaf: leaf[:, np.asarray(times)], states)
    return np.asarray(_render(env, chosen, params))


def strip(full: np.ndarray, seen: np.ndarray | None = None) -> Image.Image:
    """One row of frames, and below it the frames that the agent sees, enlarged to the same size.

    Args:
        full: uint8 [T, H, W, 3].
        seen: uint8 [T, h, w, 3], where it is not the same.
    """
    count, height, width = full.shape[:3]
    rows = [full] if seen is None else [full, seen]
    size = (count * (width + _GAP) - _GAP, len(rows) * (height + _GAP) - _GAP)
    image = Image.new("RGB", size, _PAPER)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            tile = Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)
            image.paste(tile, (column * (width + _GAP), row * (height + _GAP)))
    return image


def save_strips(
    folder: Path, names: Sequence[str], full: np.ndarray, seen: np.ndarray | None = None
) -> dict[str, Path]:
    """Write one PNG per configuration, full and seen being [C, T, H, W, 3]; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for index, name in enumerate(names):
        paths[name] = folder / f"{name}.png"
        strip(full[index], None if seen is None else seen[index]).save(paths[name], optimize=True)
    return paths


def _render(env: KageEnv, states: KageState, params: EnvParams) -> jax.Array:
    observe = jax.vmap(env.observe, (None, 0, None, None))
    return jax.jit(jax.vmap(observe, (None, 0, None, 0)))(None, states, None, params)
