"""A drawing surface that wraps around horizontally, and the shapes that are painted on it.

Coordinates are pixels of the finished 128 x 128 image, x to the right and y down. Everything is
drawn at SCALE times that resolution with soft edges and averaged at the end. x is periodic with
period 128, so the finished image can be tiled sideways without a seam.
"""

import numpy as np

SIZE = 128
SCALE = 3
FINE = SIZE * SCALE

Colour = str | tuple[float, float, float] | np.ndarray


def rgb(colour: Colour) -> np.ndarray:
    """Colour as float64 (3,) in [0, 1]; takes '#rrggbb' or three numbers in [0, 1]."""
    if isinstance(colour, str):
        return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    return np.asarray(colour, dtype=np.float64)


def mix(first: Colour, second: Colour, weight: float) -> np.ndarray:
    """Colour between `first` (weight 0) and `second` (weight 1)."""
    return rgb(first) * (1 - weight) + rgb(second) * weight


def smooth(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a cubic step in between (low > high reverses it)."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def edge(distance: np.ndarray, soft: float = 0.5) -> np.ndarray:
    """Coverage of a signed distance in pixels (negative inside) with an edge `soft` pixels wide."""
    return np.clip(0.5 - distance / soft, 0.0, 1.0)


def fbm(
    rng: np.random.Generator,
    cells: int = 4,
    octaves: int = 4,
    stretch: float = 1.0,
    gain: float = 0.5,
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
) -> np.ndarray:
    """Fractal value noise in about [0, 1], periodic in x with period SIZE.

    Args:
        rng: source of the lattice values.
        cells: lattice cells across the image in the first octave; doubles per octave.
        octaves: number of octaves.
        stretch: height of a lattice cell over its width.
        gain: weight of an octave over that of the one before.
        x, y: where to evaluate, in pixels; the whole fine grid when absent.
    """
    if x is None or y is None:
        x, y = grid()
    total, weight, norm = np.zeros(np.broadcast(x, y).shape), 1.0, 0.0
    for octave in range(octaves):
        count = cells * 2**octave
        lattice = rng.random((count, count))
        u = x * (count / SIZE)
        v = y * (count / (SIZE * stretch))
        total += weight * _interpolate(lattice, u, v)
        norm += weight
        weight *= gain
    return total / norm


def _interpolate(lattice: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    count = lattice.shape[0]
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    fu, fv = u - column, v - row
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    left, right = column % count, (column + 1) % count
    top, bottom = row % count, (row + 1) % count
    upper = lattice[top, left] * (1 - fu) + lattice[top, right] * fu
    lower = lattice[bottom, left] * (1 - fu) + lattice[bottom, right] * fu
    return upper * (1 - fv) + lower * fv


def curve(
    rng: np.random.Generator, cells: int = 3, octaves: int = 4, gain: float = 0.5
) -> np.ndarray:
    """Periodic one-dimensional noise, float64 (FINE,), rescaled to span exactly [0, 1]."""
    x = (np.arange(FINE) + 0.5) / SCALE
    line = fbm(rng, cells, octaves, gain=gain, x=x, y=np.full(FINE, 0.37))
    return (line - line.min()) / (line.max() - line.min())


def ridges(rng: np.random.Generator, cells: int = 3, octaves: int = 5) -> np.ndarray:
    """Periodic sharp-crested noise, float64 (FINE,), spanning [0, 1]: outlines of mountains."""
    x = np.arange(FINE) / FINE
    total = np.zeros(FINE)
    for octave in range(octaves):
        knots = cells * 2**octave
        place = np.sort((np.arange(knots) + rng.uniform(-0.3, 0.3, knots)) / knots)
        height = rng.random(knots)
        total += 0.47**octave * np.interp(x, place, height, period=1.0)
    return (total - total.min()) / (total.max() - total.min())


def grid() -> tuple[np.ndarray, np.ndarray]:
    """x (1, FINE) and y (FINE, 1) of the fine pixel centres."""
    axis = (np.arange(FINE) + 0.5) / SCALE
    return axis[None, :], axis[:, None]


class Canvas:
    """The image being drawn: `pixels`, float64 (FINE, FINE, 3) in [0, 1]."""

    def __init__(self, colour: Colour = "#808080"):
        self.pixels = np.empty((FINE, FINE, 3))
        self.pixels[:] = rgb(colour)
        self.x, self.y = grid()

    def dx(self, centre: float | np.ndarray) -> np.ndarray:
        """Signed x distance from `centre`, the short way around."""
        return (self.x - centre + SIZE / 2) % SIZE - SIZE / 2

    def gradient(self, *stops: tuple[float, Colour], mask: np.ndarray | None = None) -> None:
        """Fills with a vertical gradient through (y, colour) stops."""
        place = [stop[0] for stop in stops]
        colours = np.array([rgb(stop[1]) for stop in stops])
        column = np.stack([np.interp(self.y[:, 0], place, colours[:, i]) for i in range(3)], -1)
        self.paint(np.ones((FINE, 1)) if mask is None else mask, column[:, None, :])

    def paint(self, mask: np.ndarray, colour: Colour, alpha: float = 1.0) -> None:
        """Blends a colour, or an image of colours (rows, columns, 3), over the whole surface."""
        weight = (mask * alpha)[..., None]
        self.pixels += weight * (rgb(colour) - self.pixels)

    def add(self, mask: np.ndarray, colour: Colour, alpha: float = 1.0) -> None:
        """Adds light: the surface is brightened towards white by colour * mask * alpha (screen)."""
        self.pixels += (1 - self.pixels) * np.clip((mask * alpha)[..., None] * rgb(colour), 0, 1)

    def scale(self, factor: np.ndarray) -> None:
        """Multiplies the brightness by an array (rows, columns)."""
        self.pixels *= factor[..., None]

    def below(self, outline: np.ndarray) -> np.ndarray:
        """Coverage of everything below a line y = outline[column], float64 (FINE,)."""
        return edge(outline[None, :] - self.y)

    def _window(self, box: tuple[float, float, float, float]):
        x0, y0, x1, y1 = box
        columns = np.arange(int(np.floor(x0 * SCALE)) - 1, int(np.ceil(x1 * SCALE)) + 2)
        columns = columns[:FINE]
        rows = np.arange(max(0, int(y0 * SCALE) - 1), min(FINE, int(np.ceil(y1 * SCALE)) + 2))
        where = np.ix_(rows, columns % FINE)
        return where, (columns[None, :] + 0.5) / SCALE, (rows[:, None] + 0.5) / SCALE

    def _stamp(self, where, mask: np.ndarray, colour: Colour, alpha: float) -> None:
        patch = self.pixels[where]
        weight = (np.clip(mask, 0, 1) * alpha)[..., None]
        self.pixels[where] = patch + weight * (rgb(colour) - patch)

    def ellipse(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float | None = None,
        colour: Colour = "#ffffff",
        alpha: float = 1.0,
        soft: float = 0.5,
        ring: float = 0.0,
    ) -> None:
        """Filled ellipse; `ring` > 0 draws only an outline that many pixels wide."""
        ry = rx if ry is None else ry
        pad = soft + ring
        where, x, y = self._window((cx - rx - pad, cy - ry - pad, cx + rx + pad, cy + ry + pad))
        distance = (np.hypot((x - cx) / rx, (y - cy) / ry) - 1) * min(rx, ry)
        if ring:
            distance = np.abs(distance) - ring / 2
        self._stamp(where, edge(distance, soft), colour, alpha)

    def glow(self, cx: float, cy: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """Round light that fades to nothing at `radius`; brightens (screen)."""
        where, x, y = self._window((cx - radius, cy - radius, cx + radius, cy + radius))
        fade = np.clip(1 - np.hypot(x - cx, y - cy) / radius, 0, 1) ** 2
        patch = self.pixels[where]
        self.pixels[where] = patch + (1 - patch) * (fade * alpha)[..., None] * rgb(colour)

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        colour: Colour,
        alpha: float = 1.0,
        corner: float = 0.0,
    ) -> None:
        """Axis-parallel rectangle, with rounded corners of radius `corner`."""
        where, x, y = self._window((x0, y0, x1, y1))
        dx = np.abs(x - (x0 + x1) / 2) - (x1 - x0) / 2 + corner
        dy = np.abs(y - (y0 + y1) / 2) - (y1 - y0) / 2 + corner
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        distance = outside + np.minimum(np.maximum(dx, dy), 0) - corner
        self._stamp(where, edge(distance), colour, alpha)

    def polygon(
        self, points: list[tuple[float, float]], colour: Colour, alpha: float = 1.0
    ) -> None:
        """Filled convex polygon."""
        corner = np.asarray(points, dtype=np.float64)
        low, high = corner.min(0), corner.max(0)
        where, x, y = self._window((low[0], low[1], high[0], high[1]))
        following = np.roll(corner, -1, axis=0)
        area = np.sum(corner[:, 0] * following[:, 1] - following[:, 0] * corner[:, 1])
        sign = 1.0 if area > 0 else -1.0
        distance = np.full(np.broadcast(x, y).shape, -1e9)
        for (ax, ay), (bx, by) in zip(corner, following, strict=True):
            length = max(float(np.hypot(bx - ax, by - ay)), 1e-9)
            side = ((y - ay) * (bx - ax) - (x - ax) * (by - ay)) / length
            distance = np.maximum(distance, -sign * side)
        self._stamp(where, edge(distance), colour, alpha)

    def line(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        colour: Colour,
        width: float = 1.0,
        end: float | None = None,
        alpha: float = 1.0,
    ) -> None:
        """Straight stroke with round ends, `width` wide at the start and `end` wide at the end."""
        end = width if end is None else end
        pad = max(width, end) / 2 + 0.5
        box = (min(x0, x1) - pad, min(y0, y1) - pad, max(x0, x1) + pad, max(y0, y1) + pad)
        where, x, y = self._window(box)
        ux, uy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * ux + (y - y0) * uy) / max(ux * ux + uy * uy, 1e-9), 0, 1)
        distance = np.hypot(x - x0 - along * ux, y - y0 - along * uy)
        self._stamp(where, edge(distance - (width + (end - width) * along) / 2), colour, alpha)

    def finish(self) -> np.ndarray:
        """The image, uint8 (SIZE, SIZE, 3), levels rounded to even numbers to compress better."""
        blocks = self.pixels.reshape(SIZE, SCALE, SIZE, SCALE, 3).mean(axis=(1, 3))
        levels = np.floor(np.clip(blocks, 0, 1) * 127.5 + 0.5) * 2
        return np.minimum(levels, 255).astype(np.uint8)
