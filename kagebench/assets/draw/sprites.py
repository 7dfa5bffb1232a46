"""Composition of the sprites from body parts, and the frame sizes of every skin."""

import numpy as np

from kagebench.assets.draw.canvas import mix, rgb
from kagebench.assets.draw.skins import SKINS
from kagebench.assets.draw.sprite_parts import PARTS, Part

BOARD = (32, 40)
ORIGIN = (12, 4)
SOFT_ALPHA = 168


def names() -> list[str]:
    """The skins in sorted order."""
    return sorted(SKINS)


def draw(skin: str) -> list[np.ndarray]:
    """Draws all frames of a skin.

    Returns:
        List of uint8 (h, w, 4), RGBA with straight alpha, the character facing right.

    Raises:
        ValueError: there is no such skin.
    """
    if skin not in SKINS:
        raise ValueError(f"skin {skin!r}: must be one of {', '.join(names())}")
    look = SKINS[skin]
    return [_frame(look, frame) for frame in look["frames"]]


def _frame(look: dict, frame: dict) -> np.ndarray:
    look = {**look, **frame}
    board = np.full(BOARD, ".", dtype="<U1")
    for part, shift in _layers(look):
        _lay(board, part, shift)
    return _fit(_colour(board, look["palette"], look.get("soft", False)), *look["size"])


def _layers(look: dict) -> list[tuple[Part, tuple[int, int]]]:
    """Parts from back to front, each with the (x, y) shift of its pose."""
    if "dog" in look:
        return [(PARTS[f"dog {look['dog']}"], (0, 0))]
    moving = look["legs"] not in ("stand", "apart")
    pose = "moving" if moving else "still"
    bob = look.get("bob", 0)
    trunk, head = (0, bob), (int(moving), bob)
    keys = [(f"behind {name}/{pose}", trunk) for name in look.get("behind", ())]
    keys.append((f"arm {look['arm']}/back", trunk))
    keys.append((f"legs {look['legs']}", (0, 0)))
    keys.append((f"torso {look['torso']}", trunk))
    if "skirt" in look:
        keys.append((f"skirt {look['skirt']}/{pose}", (0, 0)))
    keys.append((f"head {look.get('head', 'face')}", head))
    if "hair" in look:
        keys.append((f"hair {look['hair']}", head))
    keys += [(f"hat {name}", head) for name in look.get("hats", ())]
    keys += [(f"prop {name}", trunk) for name in look.get("props", ())]
    keys.append((f"arm {look['arm']}/front", trunk))
    return [(PARTS[key], shift) for key, shift in keys]


def _lay(board: np.ndarray, part: Part, shift: tuple[int, int]) -> None:
    top, left = ORIGIN[1] + part.y + shift[1], ORIGIN[0] + part.x + shift[0]
    for i, row in enumerate(part.rows):
        for j, letter in enumerate(row):
            if letter != ".":
                board[top + i, left + j] = letter


def _tone(palette: dict[str, str], letter: str) -> np.ndarray:
    if letter in palette:
        return rgb(palette[letter])
    lower = letter.lower()
    if lower in palette:
        return mix(palette[lower], "#180c28", 0.36)
    derived = {"i": "h", "u": "n" if "n" in palette else "t", "y": "c"}
    if letter == "u" and "t" in palette and "n" not in palette:
        return mix(palette["t"], "#ffffff", 0.3)
    return mix(palette[derived[letter]], "#ffffff", 0.35)


def _colour(board: np.ndarray, palette: dict[str, str], soft: bool) -> np.ndarray:
    """Letters to RGBA in [0, 1], plus an outline in a dark tone of what it surrounds."""
    image = np.zeros((*board.shape, 4))
    for letter in np.unique(board):
        if letter != ".":
            image[board == letter] = [*_tone(palette, str(letter)), 1.0]
    body = image[..., 3] > 0
    around, weight = np.zeros((*board.shape, 3)), np.zeros(board.shape)
    for step, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        around += np.roll(image[..., :3] * body[..., None], step, axis)
        weight += np.roll(body, step, axis)
    rim = ~body & (weight > 0)
    shade = around[rim] / weight[rim][:, None]
    image[rim, :3] = 0.3 * shade + 0.7 * rgb(palette.get("outline", "#1a1226"))
    image[rim, 3] = SOFT_ALPHA / 255 if soft else 1.0
    return image


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Crops to width x height: the lowest row at the bottom, the figure in the middle."""
    rows, columns = np.nonzero(image[..., 3])
    bottom = rows.max() + 1
    middle = (columns.min() + columns.max() + 1) / 2
    left = int(np.floor(middle - width / 2 + 0.5))
    if columns.max() + 1 - columns.min() > width or bottom - rows.min() > height:
        size = (columns.max() + 1 - columns.min(), bottom - rows.min())
        raise ValueError(f"sprite of {size[0]} x {size[1]} pixels does not fit {width} x {height}")
    cut = image[bottom - height : bottom, left : left + width]
    return np.floor(cut * 255 + 0.5).astype(np.uint8)
