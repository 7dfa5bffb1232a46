"""Body parts of the sprites, read from parts.txt."""

from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    """Pixels of one part, a letter each ('.' is empty), and the board position of the first."""

    x: int
    y: int
    rows: tuple[str, ...]


def read_parts() -> dict[str, Part]:
    """All parts by 'group name'; the format is explained at the top of parts.txt."""
    text = (Path(__file__).parent / "parts.txt").read_text(encoding="utf-8")
    parts = {}
    for block in text.split("[")[1:]:
        heading, body = block.split("]")
        group, name, x, y = heading.split()
        parts[f"{group} {name}"] = Part(int(x), int(y), tuple(body.split()))
    return parts


PARTS = read_parts()
