"""Numbering and drawing of the background images."""

import hashlib
from itertools import zip_longest

import numpy as np

from kagebench.assets.draw.canvas import Canvas
from kagebench.assets.draw.catalogue import OPTIONS, SCENES

COUNT = 128
FIRST = (("forest", 0), ("mountains", 0), ("city", 0))
LAST = ("desert", 0)


def order() -> list[tuple[str, int]]:
    """(family, variant) of bg-1, bg-2, ...: families take turns so that neighbours differ."""
    fixed = {*FIRST, LAST}
    columns = [[(name, i) for i in range(len(items))] for name, items in OPTIONS.items()]
    turns = [item for turn in zip_longest(*columns) for item in turn if item is not None]
    return [*FIRST, *(item for item in turns if item not in fixed), LAST]


def draw(number: int) -> np.ndarray:
    """Draws background `number` (1 ... COUNT).

    Returns:
        uint8 (128, 128, 3), RGB, periodic in x.

    Raises:
        ValueError: there is no such number.
    """
    if not 1 <= number <= COUNT:
        raise ValueError(f"background number {number}: must be 1 ... {COUNT}")
    family, variant = order()[number - 1]
    # Hashing the name gives each image random numbers that do not depend on the others' order.
    digest = hashlib.sha256(f"{family}/{variant}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
    canvas = Canvas()
    SCENES[family](canvas, rng, **OPTIONS[family][variant])
    return canvas.finish()
