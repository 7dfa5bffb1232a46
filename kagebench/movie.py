"""Frames to files: animated GIF, MP4, or a strip of stills as PNG."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = (".gif", ".mp4", ".png")
_GAP = 2
_QUALITY = 8  # of 10, for MP4: pixel art shows compression early


def check_format(path: Path) -> None:
    """Make sure that the software for a format is there.

    Raises:
        ValueError: it is not; the message says what to install.
    """
    if path.suffix.lower() == ".mp4" and not all(map(find_spec, ("imageio", "imageio_ffmpeg"))):
        raise ValueError(
            f"output: {path} needs the video extra: pip install 'kagebench[video]', or ask for .gif"
        )


def magnify(frames: np.ndarray, scale: int) -> np.ndarray:
    """Every pixel of uint8 [T, H, W, 3] as a square of scale x scale."""
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)


def write(path: Path, frames: np.ndarray, seconds: float) -> None:
    """Write frames in the format that the ending of `path` names.

    Args:
        path: file ending in one of `FORMATS`.
        frames: uint8 [T, H, W, 3].
        seconds: duration of a frame; GIF rounds it to hundredths. A strip does not use it.

    Raises:
        ValueError: the format is unknown or its software is missing.
    """
    check_format(path)
    suffix = path.suffix.lower()
    if suffix == ".gif":
        _write_gif(path, frames, seconds)
    elif suffix == ".mp4":
        _write_mp4(path, frames, seconds)
    elif suffix == ".png":
        strip(frames).save(path, optimize=True)
    else:
        raise ValueError(f"output: got {str(path)!r}, allowed: a file ending in .gif, .mp4, .png")


def strip(frames: np.ndarray) -> Image.Image:
    """Frames (uint8 [T, H, W, 3]) side by side, with narrow gaps."""
    count, height, width, _ = frames.shape
    sheet = Image.new("RGB", (count * (width + _GAP) - _GAP, height), "white")
    for i, frame in enumerate(frames):
        sheet.paste(Image.fromarray(frame), (i * (width + _GAP), 0))
    return sheet


def _write_gif(path: Path, frames: np.ndarray, seconds: float) -> None:
    first, *rest = (Image.fromarray(frame) for frame in frames)
    duration = max(20, 10 * round(100 * seconds))  # browsers slow down what is faster than 20 ms
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0)


def _write_mp4(path: Path, frames: np.ndarray, seconds: float) -> None:
    import imageio.v2 as imageio

    # The usual colour format needs even sides.
    odd = [(0, side % 2) for side in frames.shape[1:3]]
    frames = np.pad(frames, [(0, 0), *odd, (0, 0)], mode="edge")
    options = {"codec": "libx264", "quality": _QUALITY, "macro_block_size": 2}
    with warnings.catch_warnings(), imageio.get_writer(path, fps=1 / seconds, **options) as writer:
        # The encoder is another program, which makes what JAX warns of harmless.
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        for frame in frames:
            writer.append_data(frame)  # pyright: ignore
