"""Photometric and spatial filters on planar float images.

An image is three float32 planes [B, H, W] (red, green, blue) in 0..255; parameters are float32
[B, 1, 1]. A filter whose parameter is neutral returns its input exactly, so that images with
different filters can share one program.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from kagebench.batching import materialize
from kagebench.params import NEUTRAL, PRESETS, EnvParams, EnvSpec
from kagebench.render import hashing, poisson

Planes = tuple[jax.Array, jax.Array, jax.Array]
JITTER_STREAM, GAUSSIAN_STREAM, POISSON_STREAM = 10, 20, 30
# Blending weight of the 3 x 3 box at blur_sigma 1, which sharpening uses.
_SHARPEN_BLUR = np.float32(0.4)


def _each(function: Callable[[jax.Array], jax.Array], image: Planes) -> Planes:
    red, green, blue = image
    return function(red), function(green), function(blue)


def _clip(plane: jax.Array) -> jax.Array:
    return jnp.clip(plane, 0.0, 255.0)


def brightness(image: Planes, amount: jax.Array) -> Planes:
    """Add 100 x amount."""
    return _each(lambda p: _clip(p + 100.0 * amount), image)


def contrast(image: Planes, factor: jax.Array) -> Planes:
    """Scale around 128."""
    return _each(lambda p: _clip((p - 128.0) * factor + 128.0), image)


def gamma(image: Planes, exponent: jax.Array) -> Planes:
    """Power law on [0, 1]."""
    # exp and log vectorise, a general power does not.
    return _each(lambda p: jnp.exp(exponent * jnp.log(p / 255.0)) * 255.0, image)


def hsv(image: Planes, saturation: jax.Array, hue_shift: jax.Array, token: jax.Array) -> Planes:
    """Scale saturation (clipped to 1) and rotate hue (degrees) in one pass through HSV."""

    def forward() -> Planes:
        red, green, blue = (p / 255.0 for p in image)
        value = jnp.maximum(jnp.maximum(red, green), blue)
        delta = value - jnp.minimum(jnp.minimum(red, green), blue)
        share = jnp.where(value == 0, 0.0, delta / jnp.where(value == 0, 1.0, value))
        span = jnp.where(delta == 0, 1.0, delta)
        # Remainders are written out: the general one is a slow scalar call.
        turn = (green - blue) / span
        hue = 60.0 * jnp.where(turn < 0, turn + 6.0, turn)
        hue = jnp.where(value == green, 60.0 * ((blue - red) / span + 2.0), hue)
        hue = jnp.where(value == blue, 60.0 * ((red - green) / span + 4.0), hue)
        hue = jnp.where(delta == 0, 0.0, hue)
        share = jnp.where(saturation == 1.0, share, jnp.clip(share * saturation, 0.0, 1.0))
        shifted = hue + hue_shift
        shifted = jnp.where(shifted >= 360.0, shifted - 360.0, shifted)
        shifted = jnp.where(shifted < 0.0, shifted + 360.0, shifted)
        return jnp.where(hue_shift == 0.0, hue, shifted), share, value

    def backward() -> Planes:
        sixth = hue / 60.0
        chroma = value * share
        second = chroma * (1.0 - jnp.abs(sixth - 2.0 * jnp.floor(sixth * 0.5) - 1.0))
        base = value - chroma
        sector = jnp.floor(sixth)
        sector = jnp.where(sector >= 6.0, 0.0, sector)
        # Sectors in which a channel is the strongest, and those in which it is the second.
        table = (((0, 5), (1, 4)), ((1, 2), (0, 3)), ((3, 4), (2, 5)))
        planes = []
        for strongest, middle in table:
            is_first = (sector == strongest[0]) | (sector == strongest[1])
            is_second = (sector == middle[0]) | (sector == middle[1])
            part = jnp.where(is_first, chroma, jnp.where(is_second, second, 0.0))
            planes.append(_clip((part + base) * 255.0))
        return planes[0], planes[1], planes[2]

    hue, share, value = materialize(forward, token)
    return backward()


def color_temperature(image: Planes, amount: jax.Array) -> Planes:
    """Warm (amount > 0: more red, less blue) or cool (amount < 0)."""
    size = jnp.abs(amount)
    red_gain = jnp.where(amount > 0, 30.0, -15.0) * size
    blue_gain = jnp.where(amount > 0, -15.0, 30.0) * size
    red, green, blue = image
    return _clip(red + red_gain), _clip(green), _clip(blue + blue_gain)


def jitter_matrix(noise: jax.Array, std: jax.Array) -> jax.Array:
    """Colour mixing matrices [B, 3, 3] from N(0, 1) noise: rows have absolute sum 1."""
    matrix = jnp.eye(3) + std.reshape(-1, 1, 1) * noise
    return matrix / jnp.abs(matrix).sum(axis=2, keepdims=True)


def mix_colors(image: Planes, matrix: jax.Array) -> Planes:
    """Apply matrices [B, 3, 3] to the colour of every pixel."""
    m = matrix[..., None, None]
    red, green, blue = (
        _clip(m[:, i, 0] * image[0] + m[:, i, 1] * image[1] + m[:, i, 2] * image[2])
        for i in range(3)
    )
    return red, green, blue


def _box(image: Planes, token: jax.Array) -> Planes:
    """Mean of the 3 x 3 neighbourhood, edges replicated, in memory.

    In memory, because XLA would otherwise evaluate the padding per tap, and would merge the 1/9
    with later weights, which rounds differently.
    """
    border = ((0, 0), (1, 1), (1, 1))
    padded = materialize(lambda: _each(lambda p: jnp.pad(p, border, mode="edge"), image), token)
    return materialize(lambda: _each(_mean_of_nine, padded), token)


def _mean_of_nine(padded: jax.Array) -> jax.Array:
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    taps = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return sum(taps[1:], taps[0]) / 9.0


def blur(image: Planes, sigma: jax.Array, token: jax.Array) -> Planes:
    """Blend with the 3 x 3 mean by sigma / 2.5 (at most 1)."""
    weight = jnp.clip(sigma / 2.5, 0.0, 1.0)
    red, green, blue = (
        p + weight * (mean - p) for p, mean in zip(image, _box(image, token), strict=True)
    )
    return red, green, blue


def sharpen(image: Planes, amount: jax.Array, token: jax.Array) -> Planes:
    """Unsharp mask against a blur of sigma 1."""
    red, green, blue = (
        _unsharp(p, mean, amount) for p, mean in zip(image, _box(image, token), strict=True)
    )
    return red, green, blue


def _unsharp(plane: jax.Array, mean: jax.Array, amount: jax.Array) -> jax.Array:
    soft = (np.float32(1.0) - _SHARPEN_BLUR) * plane + _SHARPEN_BLUR * mean
    return _clip(plane + amount * (plane - soft))


def _nearest(size: int, factor: jax.Array) -> jax.Array:
    """Source index (int32 [B, size]) of down- and up-sampling by nearest neighbour."""
    small = (size // factor).astype(jnp.float32)[:, None]
    target = jnp.arange(size, dtype=jnp.float32)[None]
    coarse = jnp.floor((target + 0.5) * small / size)
    return jnp.floor((coarse + 0.5) * size / small).astype(jnp.int32)


def pixelate(image: Planes, factor: jax.Array) -> Planes:
    """Resize to (H // factor, W // factor) and back by nearest neighbour; factor int32 [B]."""
    _, height, width = image[0].shape
    rows, columns = _nearest(height, factor), _nearest(width, factor)
    pick = jax.vmap(lambda p, r, c: p[r][:, c])
    return _each(lambda p: pick(p, rows, columns), image)


def _radius(height: int, width: int) -> np.ndarray:
    """Distance from the centre in units of the half diagonal, float32 [H, W]."""
    y = (np.arange(height) - height / 2).astype(np.float32)[:, None]
    x = (np.arange(width) - width / 2).astype(np.float32)[None]
    diagonal = np.sqrt(np.float32((height / 2) ** 2 + (width / 2) ** 2))
    return np.sqrt(y * y + x * x) / diagonal


def vignette(image: Planes, strength: jax.Array) -> Planes:
    """Darken towards the corners with the squared distance."""
    radius = _radius(*image[0].shape[1:])
    shade = jnp.clip(1.0 - strength * radius**2, 0.0, 1.0)
    return _each(lambda p: p * shade, image)


def radial_light(image: Planes, strength: jax.Array, color: jax.Array) -> Planes:
    """Add light of `color` (float32 [B, 3]) around the centre."""
    radius = _radius(*image[0].shape[1:])
    glow = strength * np.clip(1.0 - radius**1.5, 0.0, 1.0).astype(np.float32)
    tint = color[:, :, None, None]
    red, green, blue = (_clip(p + glow * tint[:, i]) for i, p in enumerate(image))
    return red, green, blue


_PRESET_STEPS: dict[str, tuple[tuple[str, float], ...]] = {
    "vintage": (
        ("saturation", 0.7),
        ("color_temp", 0.3),
        ("vignette", 0.3),
        ("contrast", 1.1),
    ),
    "horror": (
        ("saturation", 0.3),
        ("color_temp", -0.4),
        ("brightness", -0.2),
        ("vignette", 0.6),
        ("contrast", 1.4),
    ),
    "retro": (("saturation", 1.5), ("hue_shift", 15.0), ("brightness", 0.1), ("contrast", 0.9)),
    "cyberpunk": (
        ("saturation", 1.8),
        ("color_temp", -0.2),
        ("contrast", 1.3),
        ("sharpen", 0.5),
    ),
    "noir": (("saturation", 0.0), ("contrast", 1.6), ("vignette", 0.4)),
}


def preset(image: Planes, name: str, token: jax.Array) -> Planes:
    """Apply one of the named looks."""
    one, zero = jnp.ones((1, 1, 1)), jnp.zeros((1, 1, 1))
    simple = {
        "color_temp": color_temperature,
        "vignette": vignette,
        "contrast": contrast,
        "brightness": brightness,
    }
    for step, value in _PRESET_STEPS[name]:
        amount = value * one
        if step == "saturation":
            image = hsv(image, amount, zero, token)
        elif step == "hue_shift":
            image = hsv(image, one, amount, token)
        elif step == "sharpen":
            image = sharpen(image, amount, token)
        else:
            image = simple[step](image, amount)
    return image


def _select(condition: jax.Array, chosen: Planes, otherwise: Planes) -> Planes:
    red, green, blue = (jnp.where(condition, a, b) for a, b in zip(chosen, otherwise, strict=True))
    return red, green, blue


def apply_presets(
    image: Planes, which: jax.Array, used: tuple[int, ...], token: jax.Array
) -> Planes:
    """Apply to each image the preset `which` (int [B], index into PRESETS) out of `used`."""
    out = image
    for index in used:
        if PRESETS[index] != "none":
            looks = preset(image, PRESETS[index], token)
            out = _select((which == index)[:, None, None], looks, out)
    return out


def apply(
    image: Planes, seed: jax.Array, params: EnvParams, spec: EnvSpec, token: jax.Array
) -> Planes:
    """The filter chain in the benchmark's order.

    Args:
        image: planes of whole values 0..255.
        seed: uint32 [B], fresh for every frame.
        params, spec: filters absent from spec.filters cost nothing.
        token: see `materialize`.

    Returns:
        Planes, clipped to 0..255 but not yet truncated.
    """
    f = params.filters
    batch = image[0].shape[0]
    value = {name: getattr(f, name).reshape(batch, 1, 1) for name in NEUTRAL}
    image = apply_presets(image, f.pop_filter, spec.presets, token)

    def stage(name: str, filtered: Callable[[], Planes], image: Planes) -> Planes:
        if name not in spec.filters:
            return image
        return _select(value[name] != NEUTRAL[name], filtered(), image)

    def stored(planes: Planes) -> Planes:
        return materialize(lambda: planes, token)

    image = stage("brightness", lambda: brightness(image, value["brightness"]), image)
    image = stage("contrast", lambda: contrast(image, value["contrast"]), image)
    image = stage("gamma", lambda: gamma(image, value["gamma"]), image)
    if "saturation" in spec.filters or "hue_shift" in spec.filters:
        source, used = image, (value["saturation"] != 1.0) | (value["hue_shift"] != 0.0)
        turned = hsv(source, value["saturation"], value["hue_shift"], token)
        image = _select(used, turned, source)
    image = stage("color_temp", lambda: color_temperature(image, value["color_temp"]), image)
    if "color_jitter_std" in spec.filters:
        noise = hashing.normal(seed, JITTER_STREAM, (3, 3))
        matrix = jitter_matrix(noise, f.color_jitter_std)
        image = stage("color_jitter_std", lambda: mix_colors(image, matrix), image)
    if "blur_sigma" in spec.filters:
        image = stored(image)
        image = stage("blur_sigma", lambda: blur(image, value["blur_sigma"], token), image)
    if "sharpen_amount" in spec.filters:
        image = stored(image)
        image = stage(
            "sharpen_amount", lambda: sharpen(image, value["sharpen_amount"], token), image
        )
    if "pixelate_factor" in spec.filters:
        image = pixelate(stored(image), f.pixelate_factor)
    if "gaussian_noise_std" in spec.filters:
        noisy = _gaussian(image, seed, value["gaussian_noise_std"])
        image = stage("gaussian_noise_std", lambda: noisy, image)
    if "poisson_noise_scale" in spec.filters:
        image = stored(image)
        shot = _poisson(image, seed, value["poisson_noise_scale"])
        image = stage("poisson_noise_scale", lambda: shot, image)
    image = stage("vignette_strength", lambda: vignette(image, value["vignette_strength"]), image)
    image = stage(
        "radial_light_strength",
        lambda: radial_light(image, value["radial_light_strength"], f.radial_light_color),
        image,
    )
    return _each(_clip, image)


def _gaussian(image: Planes, seed: jax.Array, std: jax.Array) -> Planes:
    shape = image[0].shape[1:]
    red, green, blue = (
        _clip(p + std * hashing.normal(seed, GAUSSIAN_STREAM + i, shape))
        for i, p in enumerate(image)
    )
    return red, green, blue


def _poisson(image: Planes, seed: jax.Array, scale: jax.Array) -> Planes:
    """Shot noise: Poisson(p x scale) / scale."""
    safe = jnp.where(scale > 0, scale, 1.0)
    red, green, blue = (
        _clip(poisson.sample(seed, POISSON_STREAM + 4 * i, p * safe) / safe)
        for i, p in enumerate(image)
    )
    return red, green, blue
