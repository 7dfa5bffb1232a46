"""Finding and reading backgrounds and sprites.

A pack is a folder that holds `backgrounds/` (images) and `sprites/<skin>/*.png` (animation frames).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpeg", ".jpg", ".bmp")
SECTIONS = ("backgrounds", "sprites")
ENVIRONMENT_VARIABLE = "KAGEBENCH_ASSETS"


class AssetError(ValueError):
    """An image, a sprite or a pack that is missing or cannot be read."""


@dataclass(frozen=True)
class AssetPack:
    """A folder with `backgrounds/` and `sprites/`.

    Attributes:
        root: the folder.
    """

    root: Path

    def find(self, path: str | Path) -> Path:
        """The file or folder that `path` means.

        A path that exists (absolute, or relative to the working directory) means itself. Otherwise
        everything up to its last `backgrounds` or `sprites` component is replaced by the root of
        the pack, and an image may have any of the image suffixes there.

        Raises:
            AssetError: neither exists.
        """
        given = Path(path)
        if str(path) and given.exists():
            return given
        inside = self._inside(given)
        if inside is None:
            raise AssetError(f"asset {str(path)!r}: not found as given nor in the pack {self.root}")
        return inside

    def list_images(self, path: str | Path) -> list[Path]:
        """Images directly in the folder that `path` means, sorted by path string.

        The order is bg-1, bg-10, bg-100, ...: that of characters, not of numbers.

        Raises:
            AssetError: the folder does not exist or holds no image.
        """
        folder = self._folder(path)
        images = [p for p in folder.iterdir() if p.suffix in IMAGE_SUFFIXES and p.is_file()]
        if not images:
            raise AssetError(
                f"image folder {folder}: no file ending in {', '.join(IMAGE_SUFFIXES)}"
            )
        return sorted(images, key=str)

    def list_skins(self, path: str | Path) -> list[Path]:
        """Sub-folders of the folder that `path` means (one per skin), sorted by path string.

        Raises:
            AssetError: the folder does not exist or holds no sub-folder.
        """
        folder = self._folder(path)
        skins = [p for p in folder.iterdir() if p.is_dir()]
        if not skins:
            raise AssetError(f"sprite folder {folder}: no sub-folder with a skin")
        return sorted(skins, key=str)

    def _folder(self, path: str | Path) -> Path:
        folder = self.find(path)
        if not folder.is_dir():
            raise AssetError(f"asset {str(path)!r}: {folder} is not a folder")
        return folder

    def _inside(self, path: Path) -> Path | None:
        places = [i for i, part in enumerate(path.parts) if part in SECTIONS]
        if not places:
            return None
        candidate = self.root.joinpath(*path.parts[places[-1] :])
        if candidate.exists():
            return candidate
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            return None
        others = (candidate.with_suffix(suffix) for suffix in IMAGE_SUFFIXES)
        return next((other for other in others if other.is_file()), None)


def default_pack(path: str | Path | None = None) -> AssetPack:
    """The pack at `path`, else at the environment variable KAGEBENCH_ASSETS, else the shipped one.

    Raises:
        AssetError: the folder does not exist, or holds neither `backgrounds/` nor `sprites/`.
    """
    source = "assets"
    if path is None and os.environ.get(ENVIRONMENT_VARIABLE):
        path, source = os.environ[ENVIRONMENT_VARIABLE], ENVIRONMENT_VARIABLE
    root = Path(path) if path is not None else Path(__file__).parent / "pack"
    if not any((root / section).is_dir() for section in SECTIONS):
        raise AssetError(f"{source} {str(root)!r}: not a folder with backgrounds/ or sprites/")
    return AssetPack(root)


def load_image(path: str | Path) -> np.ndarray:
    """Reads an image.

    Returns:
        uint8 (h, w, 3), RGB.

    Raises:
        AssetError: the file is missing or no image.
    """
    return _read(path, "RGB")


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes uint8 (h, w, 3) to uint8 (height, width, 3) with a Lanczos filter; same size: as is.

    Raises:
        AssetError: height or width is below 1.
    """
    if height < 1 or width < 1:
        raise AssetError(f"resize: height and width must be at least 1, got {height} x {width}")
    if image.shape[:2] == (height, width):
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(resized)


def load_sprite(path: str | Path) -> list[np.ndarray]:
    """Reads the frames of one skin: all PNG files below the folder, sorted by path string.

    Returns:
        List of uint8 (h, w, 4), RGBA with straight alpha; sizes may differ between frames.

    Raises:
        AssetError: the folder is missing or holds no readable PNG.
    """
    folder = Path(path)
    files = sorted(folder.rglob("*.png"), key=str)
    if not files:
        raise AssetError(f"sprite folder {str(folder)!r}: no PNG file found")
    return [_read(file, "RGBA") for file in files]


def _read(path: str | Path, mode: str) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.array(image.convert(mode))
    except OSError as error:
        reason = error.strerror or "not a readable image"
        raise AssetError(f"image {str(path)!r}: {reason}") from error
