"""Animations of an agent under two observations of one level, small enough for a page."""

from pathlib import Path

import numpy as np
from PIL import Image

_GAP, _PAPER = 4, 255
# Tried in this order until a file is small enough: show every n-th frame, with so many colours.
_SAVINGS = ((1, 128), (1, 64), (2, 128), (2, 64), (2, 32), (3, 32), (4, 32), (6, 16))
_FASTEST = 20  # ms; browsers slow down what is faster


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Frames uint8 [T, H, 2 W + gap, 3] of two sequences [T, H, W, 3] beside each other."""
    gap = np.full((*left.shape[:2], _GAP, 3), _PAPER, np.uint8)
    return np.concatenate([left, gap, right], axis=2)


def write_gif(path: Path, frames: np.ndarray, seconds: float, limit: int) -> int:
    """Write an animation that repeats, leaving out frames and colours until it is small enough.

    Its speed stays the same. All frames share one palette without dithering, which compresses
    far better than a palette for each.

    Args:
        path: file to write.
        frames: uint8 [T, H, W, 3].
        seconds: duration of a frame.
        limit: wanted size in bytes; the smallest version is kept if none is below.

    Returns:
        the size in bytes.
    """
    size = 0
    for every, colors in _SAVINGS:
        _write(path, frames[::every], seconds * every, colors)
        size = path.stat().st_size
        if size <= limit:
            break
    return size


def _write(path: Path, frames: np.ndarray, seconds: float, colors: int) -> None:
    count, height, width, _ = frames.shape
    sheet = Image.fromarray(frames.reshape(count * height, width, 3)).quantize(
        colors, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    first, *rest = (sheet.crop((0, i * height, width, (i + 1) * height)) for i in range(count))
    duration = max(_FASTEST, 10 * round(100 * seconds))
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0, optimize=False)
