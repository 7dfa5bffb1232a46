"""Command line: regenerates the art pack, and optionally the contact sheets."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from kagebench.assets.draw import backgrounds, sprites
from kagebench.assets.draw.sheet import contact_sheet
from kagebench.assets.loader import AssetPack


def write(image: np.ndarray, path: Path) -> None:
    """Saves uint8 (h, w, 3) or (h, w, 4) as an optimised PNG, creating the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, optimize=True)


def write_pack(out: Path) -> None:
    """Draws the whole pack into the folder `out`."""
    for number in range(1, backgrounds.COUNT + 1):
        write(backgrounds.draw(number), out / "backgrounds" / f"bg-{number}.png")
    for skin in sprites.names():
        for i, frame in enumerate(sprites.draw(skin), start=1):
            write(frame, out / "sprites" / skin / f"{skin}-{i}.png")


def main() -> None:
    """Entry point of `python -m kagebench.assets.draw`."""
    parser = argparse.ArgumentParser(prog="python -m kagebench.assets.draw", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pack to write")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of that pack")
    args = parser.parse_args()
    write_pack(args.out)
    if args.sheets:
        contact_sheet(AssetPack(args.out), args.sheets)


if __name__ == "__main__":
    main()
