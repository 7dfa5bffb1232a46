"""Pixels that the observation kernel reads: background images and sprite frames, as arrays.

Images are stored as rows of interleaved RGB bytes ("lanes", 3 per pixel), already repeated (or
edge-extended) to the right, so that any scrolled view is one contiguous slice. Sprite frames sit in
a transparent canvas three times their size, so that a frame partly outside the screen is one too.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flax import struct

from kagebench.assets import AssetError, AssetPack, load_image, load_sprite, resize


class Atlas(struct.PyTreeNode):
    """Constant arrays of one environment.

    tiled: uint8 [images, H, (max_width + W) * 3]; column x holds image column x mod width.
    clamped: uint8 [images, H, (max_width + 2 W) * 3]; edge columns extended by W on both sides.
    rgb, alpha: uint8 [frames, 3 sh, 3 sw * 3]; the frame starts at row sh, lane 3 sw.
    frame_sizes: int32 [frames, 2] (height, width) before padding.
    skin_first, skin_frames: int32 [skins]; first frame and number of frames of each skin.
    """

    tiled: np.ndarray
    clamped: np.ndarray
    rgb: np.ndarray
    alpha: np.ndarray
    frame_sizes: np.ndarray
    skin_first: np.ndarray
    skin_frames: np.ndarray

    @property
    def sprite_height(self) -> int:
        """Rows of the largest sprite frame."""
        return self.rgb.shape[1] // 3

    @property
    def sprite_width(self) -> int:
        """Columns of the largest sprite frame."""
        return self.rgb.shape[2] // 9

    def fingerprint(self) -> tuple[Any, ...]:
        """A hashable digest: equal atlases give equal programs."""
        arrays = (self.tiled, self.rgb, self.alpha, self.frame_sizes, self.skin_first)
        return tuple((a.shape, zlib.crc32(a.tobytes())) for a in arrays)


def _sources(section: Mapping[str, Any], directory: str, many: str, one: str) -> tuple[str, Any]:
    """The source that is given, in the reference's order of precedence."""
    for kind, key in (("many", many), ("directory", directory), ("one", one)):
        if section[key]:
            return kind, section[key]
    raise AssetError(f"none of {directory}, {many}, {one} is given")


@dataclass
class AtlasBuilder:
    """Collects the images and skins that configurations name; each is stored once."""

    assets: AssetPack
    _images: dict[tuple[Path, int, int], np.ndarray] = field(default_factory=dict)
    _skins: dict[Path, list[np.ndarray]] = field(default_factory=dict)

    def images(self, background: Mapping[str, Any], height: int) -> tuple[list[int], int]:
        """Atlas indices of a background's image pool, and their common width in px.

        The first image keeps its aspect ratio at `height`; the others take its size.
        """
        kind, source = _sources(background, "image_dir", "image_paths", "image_path")
        if kind == "directory":
            paths = self.assets.list_images(source)
        else:
            names = source if kind == "many" else [source]
            paths = [self.assets.find(name) for name in names]
        if not paths:
            raise AssetError(f"background.image_dir: no image in {source}")
        first = load_image(paths[0])
        width = int(height * first.shape[1] / first.shape[0])
        return [self._image(path, height, width) for path in paths], width

    def _image(self, path: Path, height: int, width: int) -> int:
        key = (path, height, width)
        if key not in self._images:
            self._images[key] = resize(load_image(path), height, width)
        return list(self._images).index(key)

    def skins(self, section: Mapping[str, Any], prefix: str) -> list[int]:
        """Atlas indices of the skins that `section` names through the keys `prefix`_dir etc."""
        many = "sprite_paths" if prefix == "sprite" else "sticky_sprite_dirs"
        kind, source = _sources(section, f"{prefix}_dir", many, f"{prefix}_path")
        if kind == "directory":
            paths = self.assets.list_skins(source)
        else:
            names = source if kind == "many" else [source]
            paths = [self.assets.find(name) for name in names]
        if not paths:
            raise AssetError(f"{prefix}_dir: no skin in {source}")
        return [self._skin(path) for path in paths]

    def _skin(self, path: Path) -> int:
        if path not in self._skins:
            self._skins[path] = load_sprite(path)
        return list(self._skins).index(path)

    def frame_count(self, skin: int) -> int:
        """Number of animation frames of a skin."""
        return len(list(self._skins.values())[skin])

    def build(self, screen_width: int) -> Atlas:
        """Lay everything out for frames of `screen_width` px."""
        tiled, clamped = image_arrays(list(self._images.values()), screen_width)
        skins = list(self._skins.values())
        frames = [frame for skin in skins for frame in skin]
        rgb, alpha, sizes = _sprite_arrays(frames)
        counts = np.array([len(skin) for skin in skins] or [1], np.int32)
        return Atlas(
            tiled=tiled,
            clamped=clamped,
            rgb=rgb,
            alpha=alpha,
            frame_sizes=sizes,
            skin_first=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32),
            skin_frames=counts,
        )


def image_arrays(images: list[np.ndarray], screen: int) -> tuple[np.ndarray, np.ndarray]:
    """`Atlas.tiled` and `Atlas.clamped` of images (uint8 [H, width, 3]) for a screen width."""
    if not images:
        empty = np.zeros((1, 1, 3), np.uint8)
        return empty, empty
    widest = max(image.shape[1] for image in images)
    tiled, clamped = [], []
    for image in images:
        width = image.shape[1]
        tiled.append(image[:, np.arange(widest + screen) % width])
        clamped.append(image[:, np.clip(np.arange(-screen, widest + screen), 0, width - 1)])
    rows = (len(images), images[0].shape[0], -1)
    return np.stack(tiled).reshape(rows), np.stack(clamped).reshape(rows)


def _sprite_arrays(frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sizes = np.array([frame.shape[:2] for frame in frames] or [(1, 1)], np.int32)
    height, width = sizes.max(axis=0)
    canvas = np.zeros((len(sizes), 3 * height, 3 * width, 4), np.uint8)
    for i, frame in enumerate(frames):
        canvas[i, height : height + frame.shape[0], width : width + frame.shape[1]] = frame
    rows = (len(sizes), 3 * height, -1)
    alpha = np.repeat(canvas[..., 3:], 3, axis=-1)
    return canvas[..., :3].reshape(rows), alpha.reshape(rows), sizes
