"""One picture of every visual axis: the same moment of the same level under many configurations.

All configurations are stacked along one axis of the parameters and rendered by one program.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kagebench.assets import AssetPack
from kagebench.axes import Axis, Changes, axes
from kagebench.evaluate import record, scripted
from kagebench.oracle import oracle
from kagebench.registry import make
from kagebench.suites import derive

COLUMNS = 12
# The moment that is shown: the oracle has played this many steps and is in the air.
MOMENT, SEED = 132, 8

_PAPER, _INK, _FAINT = "#f4f1ea", "#26231f", "#75706a"
_GAP, _MARGIN, _HEADING, _CAPTION, _PAUSE = 6, 24, 24, 18, 14
_TITLE, _LABELS = 17, (13, 12, 11, 10, 9)
_LEVELS = 40


def draw(
    assets: str | Path | AssetPack | None = None,
    seed: int = SEED,
    content: Sequence[Axis] | None = None,
) -> Image.Image:
    """The whole picture; `content` defaults to `kagebench.axes.axes()`.

    Raises:
        ValueError: a configuration or an asset is not valid.
    """
    content = axes() if content is None else content
    cells = [{**axis.base, **cell} for axis in content for cell in axis.cells.values()]
    return compose(content, *frames(cells, assets, seed))


def frames(
    cells: Sequence[Changes],
    assets: str | Path | AssetPack | None = None,
    seed: int = SEED,
    moment: int = MOMENT,
) -> tuple[np.ndarray, np.ndarray]:
    """The same moment under many configurations, in one program.

    Args:
        cells: dotted key -> value of each configuration, on top of base A.
        assets: art pack; the active one by default.
        seed: of the level and of everything else that is drawn at random.
        moment: steps that the oracle has played.

    Returns:
        Frames, uint8 [C, H, W, 3], and where the player is in them, int [C, 2] (column, row).
    """
    env, params = make([derive("base-a", cell) for cell in cells], assets=assets)
    key = jax.random.key(seed)
    states = record(env, partial(scripted, oracle), moment, None, params, key)
    last = jax.tree.map(lambda leaf: leaf[:, -1], states)
    # Filters that are random in every frame differ between the cells, too.
    noise = jax.random.bits(key, (len(cells),), jnp.uint32)
    last = last.replace(visuals=last.visuals.replace(filter_noise=noise))
    pictures = jax.jit(jax.vmap(env.observe, (None, 0, None, 0)))(None, last, None, params)
    places = jnp.stack([last.body.x - last.camera_x, last.body.y], axis=-1)
    return np.asarray(pictures), np.asarray(places, int)


def compose(content: Sequence[Axis], pictures: np.ndarray, places: np.ndarray) -> Image.Image:
    """Lay out frames with titles and captions.

    Args:
        content: the axes.
        pictures: uint8 [C, H, W, 3], in the order of their cells.
        places: int [C, 2], the column and row of the player in each.
    """
    height, width = pictures.shape[1:3]
    rows = pack_rows([len(axis.cells) for axis in content])
    band = _HEADING + height + _CAPTION + _PAUSE
    right = _column(COLUMNS - 1, width) + width + _MARGIN
    sheet = Image.new("RGB", (right, 2 * _MARGIN + len(rows) * band - _PAUSE), _PAPER)
    pen = ImageDraw.Draw(sheet)
    remaining, axis_of_run = zip(pictures, places), iter(content)
    for i, row in enumerate(rows):
        for start in row:
            axis, top = next(axis_of_run), _MARGIN + i * band
            font = ImageFont.load_default(_TITLE)
            pen.text((_column(start, width), top), axis.title, fill=_INK, font=font)
            for j, caption in enumerate(axis.cells):
                corner = _column(start + j, width), top + _HEADING
                frame = magnify(*next(remaining), axis.zoom)
                sheet.paste(Image.fromarray(frame), corner)
                _write(pen, caption, corner[0] + width // 2, corner[1] + height + 3, width)
    return sheet


def pack_rows(lengths: Sequence[int]) -> list[list[int]]:
    """Put runs of cells into rows of `COLUMNS`: for each row the first column of its runs.

    A run starts at the left or, if it fits, in the middle of a row.
    """
    rows: list[list[int]] = []
    half, free = COLUMNS // 2, 0
    for length in lengths:
        if length <= free:
            rows[-1].append(half)
            free = 0
        else:
            rows.append([0])
            free = half if length <= half else 0
    return rows


def magnify(frame: np.ndarray, place: np.ndarray, zoom: int) -> np.ndarray:
    """The part of a frame (uint8 [H, W, 3]) around a place (column, row), at the frame's size."""
    if zoom == 1:
        return frame
    size = np.array(frame.shape[1::-1])
    part = size // zoom
    left, top = np.clip(place - part // 2, 0, size - part)
    window = frame[top : top + part[1], left : left + part[0]]
    return window.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _column(index: int, width: int) -> int:
    """Left border of a column of cells (px); the two halves of the sheet lie apart."""
    return _MARGIN + index * (width + _GAP) + (_PAUSE if index >= COLUMNS // 2 else 0)


def _write(pen: ImageDraw.ImageDraw, text: str, center: int, top: int, width: int) -> None:
    """One line of text, centred, in the largest size that fits."""
    fonts = [ImageFont.load_default(size) for size in _LABELS]
    font = next((f for f in fonts if pen.textlength(text, font=f) <= width), fonts[-1])
    pen.text((center - pen.textlength(text, font=font) / 2, top), text, fill=_FAINT, font=font)


def compact(picture: Image.Image) -> Image.Image:
    """The picture with 40 levels per channel: hardly a visible difference, 40 % less to store."""
    steps = _LEVELS - 1
    levels = np.round(np.asarray(picture) * (steps / 255))
    return Image.fromarray(np.round(levels * (255 / steps)).astype(np.uint8))
