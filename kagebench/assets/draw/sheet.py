"""Contact sheets: one picture with all backgrounds and one with all sprites."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from kagebench.assets.loader import AssetPack, load_image, load_sprite

THUMB, GAP, PER_ROW = 64, 2, 16
ZOOM, CELL = 4, (16, 24)
LABEL = 14


def contact_sheet(pack: AssetPack, out: str | Path) -> list[Path]:
    """Writes `backgrounds.png` and `sprites.png` into the folder `out`.

    Returns:
        The two paths.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "backgrounds.png", folder / "sprites.png"]
    _backgrounds(pack).save(paths[0], optimize=True)
    _sprites(pack).save(paths[1], optimize=True)
    return paths


def _backgrounds(pack: AssetPack) -> Image.Image:
    images = sorted(pack.list_images("backgrounds"), key=lambda path: (len(path.name), path.name))
    pitch = THUMB + GAP
    rows = -(-len(images) // PER_ROW)
    sheet = Image.new("RGB", (PER_ROW * pitch - GAP, rows * pitch - GAP), "#202028")
    for k, path in enumerate(images):
        thumb = Image.fromarray(load_image(path)).resize((THUMB, THUMB), Image.Resampling.BOX)
        sheet.paste(thumb, (k % PER_ROW * pitch, k // PER_ROW * pitch))
    return sheet


def _sprites(pack: AssetPack) -> Image.Image:
    skins = pack.list_skins("sprites")
    width, height = 3 * (CELL[0] * ZOOM + 8) + 8, CELL[1] * ZOOM + LABEL + 12
    columns = 5
    rows = -(-len(skins) // columns)
    sheet = _checker(columns * width, rows * height)
    pen = ImageDraw.Draw(sheet)
    for k, folder in enumerate(skins):
        x, y = k % columns * width, k // columns * height
        pen.text((x + 8, y + 2), folder.name, fill="#202028")
        for i, frame in enumerate(load_sprite(folder)):
            big = Image.fromarray(frame.repeat(ZOOM, 0).repeat(ZOOM, 1))
            place = (x + 8 + i * (CELL[0] * ZOOM + 8), y + LABEL + 4 + CELL[1] * ZOOM - big.height)
            sheet.paste(big, place, big)
    return sheet


def _checker(width: int, height: int) -> Image.Image:
    odd = (np.arange(height)[:, None] // 8 + np.arange(width)[None, :] // 8) % 2
    level = np.where(odd == 1, 196, 212).astype(np.uint8)
    return Image.fromarray(np.stack([level] * 3, axis=-1))
