"""Looks of the 27 skins, read from skins.toml."""

import tomllib
from pathlib import Path

DEFAULT_SLEEVE = "#808080"


def read_skins() -> dict[str, dict]:
    """Look of every skin by name, with complete palettes; sleeves are of the colour of the top."""
    text = (Path(__file__).parent / "skins.toml").read_text(encoding="utf-8")
    skins = tomllib.loads(text)
    base = skins.pop("base")
    for look in skins.values():
        palette = {**base, **look["palette"]}
        palette.setdefault("a", palette.get("t", DEFAULT_SLEEVE))
        look["palette"] = palette
    return skins


SKINS = read_skins()
