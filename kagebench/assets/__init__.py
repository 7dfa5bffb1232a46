"""Images and sprites: the shipped pack, and the loader for it or for an external one."""

from kagebench.assets.loader import (
    AssetError,
    AssetPack,
    default_pack,
    load_image,
    load_sprite,
    resize,
)

__all__ = ["AssetError", "AssetPack", "default_pack", "load_image", "load_sprite", "resize"]
