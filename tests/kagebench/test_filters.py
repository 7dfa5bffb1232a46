"""Every filter and preset: measured values, definitions in NumPy, and the statistics of noise.

All of them run in one program on one batch: image i goes through configuration i.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import conformance
from kagebench.build import build
from kagebench.params import NEUTRAL, PRESETS, EnvParams, EnvSpec
from kagebench.render import filters, hashing
from kagebench.render.frame import truncate

SIZE = 128
FLAT = ((200, 100, 50), (0, 128, 128), (10, 20, 240))
CENTER = SIZE // 2


def flat_image() -> np.ndarray:
    """Three vertical stripes, one of each of FLAT, of 43, 43 and 42 columns."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for i, color in enumerate(FLAT):
        image[:, 43 * i : 43 * (i + 1)] = color
    return image


def random_image() -> np.ndarray:
    """Every combination of channels is likely: smooth parts, edges and extremes."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (SIZE, SIZE, 3))
    image[:40] = np.linspace(0, 255, SIZE)[None, :, None].astype(int)
    image[40:50] = 0
    image[50:60] = 255
    return image.astype(np.uint8)


def uniform_image(color: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(color, np.uint8), (SIZE, SIZE, 3)).copy()


def impulse() -> np.ndarray:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[CENTER, CENTER] = 200
    return image


# Name -> image and filters. Names with "flat" are compared with measured colours.
CASES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "neutral": (random_image(), {}),
    "flat brightness": (flat_image(), {"brightness": 1.0}),
    "flat contrast": (flat_image(), {"contrast": 2.0}),
    "flat gamma": (flat_image(), {"gamma": 2.0}),
    "flat grey": (flat_image(), {"saturation": 0.0}),
    "flat vivid": (flat_image(), {"saturation": 2.0}),
    "flat hue": (flat_image(), {"hue_shift": 180.0}),
    "flat warm": (flat_image(), {"color_temp": 1.0}),
    "hue and saturation": (random_image(), {"saturation": 0.6, "hue_shift": -70.0}),
    "cool": (random_image(), {"color_temp": -0.5}),
    "vignette black": (uniform_image((255, 255, 255)), {"vignette_strength": 1.0}),
    "vignette": (uniform_image(FLAT[0]), {"vignette_strength": 10.0}),
    "radial": (uniform_image(FLAT[0]), {"radial_light_strength": 1.0}),
    "radial blue": (
        uniform_image((0, 0, 0)),
        {"radial_light_strength": 0.5, "radial_light_color": [0, 0, 100]},
    ),
    "blur": (impulse(), {"blur_sigma": 1.0}),
    "blur edges": (random_image(), {"blur_sigma": 2.0}),
    "sharpen": (impulse(), {"sharpen_amount": 1.0}),
    "pixelate 2": (random_image(), {"pixelate_factor": 2}),
    "pixelate 3": (random_image(), {"pixelate_factor": 3}),
    "pixelate 50": (random_image(), {"pixelate_factor": 50}),
    **{
        f"preset {name} {i}": (uniform_image(color), {"pop_filter": name})
        for name in PRESETS[1:]
        for i, color in enumerate(FLAT)
    },
    "stack": (
        random_image(),
        {"brightness": 0.2, "contrast": 0.7, "gamma": 0.8, "color_temp": 0.4, "blur_sigma": 5.0},
    ),
    "gaussian": (uniform_image((128, 110, 140)), {"gaussian_noise_std": 10.0}),
    "gaussian dark": (uniform_image((0, 0, 0)), {"gaussian_noise_std": 30.0}),
    "poisson": (uniform_image((128, 60, 30)), {"poisson_noise_scale": 0.5}),
    "poisson weak": (uniform_image((20, 0, 200)), {"poisson_noise_scale": 0.05}),
    "jitter": (flat_image(), {"color_jitter_std": 0.3}),
}


@pytest.fixture(scope="module")
def built() -> tuple[EnvSpec, EnvParams]:
    configs = [conformance.load({"filters": used}) for _, used in CASES.values()]
    spec, params, _ = build(configs, None, stack=True)
    assert set(spec.filters) == set(NEUTRAL) and len(spec.presets) == 5
    return spec, params


@partial(jax.jit, static_argnames="spec")
def run(images: jax.Array, seeds: jax.Array, params: EnvParams, spec: EnvSpec) -> filters.Planes:
    planes = images.astype(jnp.float32)
    red, green, blue = (planes[..., c] for c in range(3))
    token = seeds.astype(jnp.int32)
    return filters.apply((red, green, blue), seeds, params, spec, token)


def filtered(built: tuple[EnvSpec, EnvParams], first_seed: int) -> dict[str, np.ndarray]:
    """Float planes [H, W, 3] of every case; case i draws its noise from seed first_seed + i."""
    spec, params = built
    images = np.stack([image for image, _ in CASES.values()])
    seeds = np.arange(first_seed, first_seed + len(CASES), dtype=np.uint32)
    out = np.stack(run(images, seeds, params, spec), axis=-1)
    return dict(zip(CASES, out, strict=True))


@pytest.fixture(scope="module")
def out(built: tuple[EnvSpec, EnvParams]) -> dict[str, np.ndarray]:
    return filtered(built, 0)


def colors(image: np.ndarray) -> list[tuple[int, ...]]:
    """The colour in the middle row of each of the three stripes, next to the centre column."""
    columns = (42, CENTER, 86)
    return [tuple(int(v) for v in np.floor(image[CENTER, c])) for c in columns]


def assert_close(found: list[tuple[int, ...]], expected: Any, atol: int) -> None:
    assert np.abs(np.array(found) - np.array(expected)).max() <= atol, (found, expected)


def test_neutral_values_change_nothing(out: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(out["neutral"], CASES["neutral"][0])


# Measured on the reference for the three colours of FLAT, and how far truncation may move them.
MEASURED = {
    "flat brightness": (((255, 200, 150), (100, 228, 228), (110, 120, 255)), 0),
    "flat contrast": (((255, 72, 0), (0, 128, 128), (0, 0, 255)), 0),
    "flat gamma": (((156, 39, 9), (0, 64, 64), (0, 1, 225)), 0),
    "flat grey": (((200,) * 3, (128,) * 3, (240,) * 3), 1),
    "flat vivid": (((200, 66, 0), (0, 127, 128), (0, 10, 240)), 1),
    "flat hue": (((49, 149, 200), (128, 0, 0), (240, 229, 9)), 1),
    "flat warm": (((230, 100, 35), (30, 128, 113), (40, 20, 225)), 0),
}
# The same three colours in the centre of the frame.
PRESET_CENTER = {
    "vintage": ((217, 130, 86), (39, 127, 123), (84, 81, 246)),
    "horror": ((192, 158, 154), (37, 99, 116), (151, 164, 255)),
    "retro": ((201, 126, 21), (21, 108, 137), (66, 21, 237)),
    "cyberpunk": ((217, 48, 0), (0, 127, 135), (0, 0, 255)),
    "noir": ((243,) * 3, (128,) * 3, (255,) * 3),
}


@pytest.mark.parametrize("name", MEASURED)
def test_measured_colors(out: dict[str, np.ndarray], name: str) -> None:
    expected, atol = MEASURED[name]
    assert_close(colors(out[name]), expected, atol)
    whole = np.floor(out[name][0, [0, 64, 127]])
    assert_close([tuple(c) for c in whole], expected, atol)


@pytest.mark.parametrize("name", PRESET_CENTER)
def test_measured_presets(out: dict[str, np.ndarray], name: str) -> None:
    found = [np.floor(out[f"preset {name} {i}"][CENTER, CENTER]) for i in range(3)]
    assert_close([tuple(color) for color in found], PRESET_CENTER[name], 1)


def test_presets_are_their_operations_in_order(out: dict[str, np.ndarray]) -> None:
    """Vintage and horror once more, through the filters themselves."""
    image = CASES["preset vintage 0"][0][None].astype(np.float32)
    planes = tuple(jnp.asarray(image[..., c]) for c in range(3))
    token = jnp.zeros(1, jnp.int32)
    at = lambda v: jnp.full((1, 1, 1), v, jnp.float32)  # noqa: E731

    vintage = filters.hsv(planes, at(0.7), at(0.0), token)
    vintage = filters.vignette(filters.color_temperature(vintage, at(0.3)), at(0.3))
    vintage = filters.contrast(vintage, at(1.1))
    np.testing.assert_allclose(out["preset vintage 0"], np.stack(vintage, axis=-1)[0], atol=1e-3)
    horror = filters.color_temperature(filters.hsv(planes, at(0.3), at(0.0), token), at(-0.4))
    horror = filters.vignette(filters.brightness(horror, at(-0.2)), at(0.6))
    horror = filters.contrast(horror, at(1.4))
    np.testing.assert_allclose(out["preset horror 0"], np.stack(horror, axis=-1)[0], atol=1e-3)


def hsv_reference(rgb: np.ndarray, saturation: float, shift: float) -> np.ndarray:
    """One pixel by the textbook formulas, in double precision."""
    r, g, b = rgb / 255.0
    value, delta = max(r, g, b), max(r, g, b) - min(r, g, b)
    hue = 0.0
    if delta > 0:
        if value == r:
            hue = 60 * (((g - b) / delta) % 6)
        if value == g:
            hue = 60 * ((b - r) / delta + 2)
        if value == b:
            hue = 60 * ((r - g) / delta + 4)
    share = min(max((delta / value if value else 0.0) * saturation, 0.0), 1.0)
    hue = (hue + shift) % 360
    chroma = value * share
    middle = chroma * (1 - abs((hue / 60) % 2 - 1))
    sextant = int(hue // 60) % 6
    order = [
        (chroma, middle, 0),
        (middle, chroma, 0),
        (0, chroma, middle),
        (0, middle, chroma),
        (middle, 0, chroma),
        (chroma, 0, middle),
    ][sextant]
    return np.clip((np.array(order) + value - chroma) * 255, 0, 255)


def test_hsv_against_the_formulas(out: dict[str, np.ndarray]) -> None:
    image, used = CASES["hue and saturation"]
    rng = np.random.default_rng(0)
    for y, x in rng.integers(0, SIZE, (600, 2)):
        expected = hsv_reference(image[y, x].astype(float), used["saturation"], used["hue_shift"])
        np.testing.assert_allclose(out["hue and saturation"][y, x], expected, atol=0.02)


def test_cool_temperature(out: dict[str, np.ndarray]) -> None:
    image = CASES["cool"][0].astype(float)
    expected = np.clip(image + np.array([-7.5, 0, 15]), 0, 255)
    np.testing.assert_allclose(out["cool"], expected, atol=1e-4)


def test_blur_and_sharpen_of_an_impulse(out: dict[str, np.ndarray]) -> None:
    window = (slice(CENTER - 1, CENTER + 2),) * 2
    blurred, sharp = np.floor(out["blur"][window]), np.floor(out["sharpen"][window])
    assert blurred[1, 1].tolist() == [128] * 3 and sharp[1, 1].tolist() == [255] * 3
    around = np.delete(blurred.reshape(9, 3), 4, axis=0)
    assert (around == 8).all() and np.delete(sharp.reshape(9, 3), 4, axis=0).max() == 0
    assert out["blur"].sum() == pytest.approx(3 * 200, rel=1e-5)


def test_blur_replicates_edges(out: dict[str, np.ndarray]) -> None:
    image = CASES["blur edges"][0].astype(float)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    mean = sum(padded[i : i + SIZE, j : j + SIZE] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(out["blur edges"], 0.2 * image + 0.8 * mean, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "factor"), [("pixelate 2", 2), ("pixelate 3", 3), ("pixelate 50", 50)]
)
def test_pixelate_picks_the_documented_pixels(
    out: dict[str, np.ndarray], name: str, factor: int
) -> None:
    image = CASES[name][0]
    small = SIZE // factor
    coarse = [math.floor((i + 0.5) * small / SIZE) for i in range(SIZE)]
    source = [math.floor((i + 0.5) * SIZE / small) for i in coarse]
    np.testing.assert_array_equal(out[name], image[source][:, source])
    if factor == 2:
        assert source == [2 * (i // 2) + 1 for i in range(SIZE)]
    if factor == 3:
        assert source[:7] == [1, 1, 1, 4, 4, 4, 7] and len(set(source)) == 42 and source[-1] == 126


def test_vignette_and_radial_light(out: dict[str, np.ndarray]) -> None:
    assert np.floor(out["vignette black"][0, 0]).tolist() == [0, 0, 0]
    assert np.floor(out["vignette black"][CENTER, CENTER]).tolist() == [255] * 3
    assert np.floor(out["vignette"][64, 44]).tolist() == [102, 51, 25]
    assert np.floor(out["radial"][0, 64]).tolist() == [255, 203, 131]
    y, x = np.mgrid[:SIZE, :SIZE]
    distance = np.hypot(y - 64, x - 64) / np.hypot(64, 64)
    glow = 0.5 * np.clip(1 - distance**1.5, 0, 1) * 100
    np.testing.assert_allclose(out["radial blue"][..., 2], glow, atol=1e-3)
    assert out["radial blue"][..., :2].max() == 0


def test_stack_is_the_filters_in_order(out: dict[str, np.ndarray]) -> None:
    image, _ = CASES["stack"]
    x = np.clip(image.astype(float) + 20, 0, 255)
    x = np.clip((x - 128) * 0.7 + 128, 0, 255)
    x = (x / 255) ** 0.8 * 255
    x = np.clip(x + np.array([12, 0, -6]), 0, 255)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    mean = sum(padded[i : i + SIZE, j : j + SIZE] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(out["stack"], mean, atol=2e-3)


def test_results_stay_in_range(out: dict[str, np.ndarray]) -> None:
    for name, image in out.items():
        assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 255, name


def test_truncation_is_towards_zero() -> None:
    plane = jnp.array([0.0, 0.999, 1.0, 254.9999, 255.0])
    red, _, _ = truncate((plane, plane, plane))
    np.testing.assert_array_equal(red, [0, 0, 1, 254, 255])


def deviation(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return image - np.array(color, float)


def spatial_correlation(noise: np.ndarray) -> float:
    """Largest correlation between neighbours and between channels, in standard deviations."""
    a = noise - noise.mean(axis=(0, 1))
    pairs = [(a[1:], a[:-1]), (a[:, 1:], a[:, :-1]), (a[..., 1:], a[..., :-1])]
    return max(
        abs((p * q).sum() / math.sqrt((p**2).sum() * (q**2).sum())) * math.sqrt(p.size)
        for p, q in pairs
    )


def test_gaussian_noise(out: dict[str, np.ndarray]) -> None:
    noise = deviation(out["gaussian"], (128, 110, 140))
    n = noise.size
    assert abs(noise.mean()) < 5 * 10 / math.sqrt(n)
    assert abs(noise.std() / 10 - 1) < 5 / math.sqrt(2 * n)
    assert abs(((noise / 10) ** 4).mean() - 3) < 5 * math.sqrt(96 / n)
    assert spatial_correlation(noise) < 4.5
    assert (np.abs(noise.mean(axis=(0, 1))) < 5 * 10 / SIZE).all()
    # At black the lower half is cut off.
    dark = out["gaussian dark"]
    assert abs((dark == 0).mean() - 0.5) < 0.01
    assert dark.mean() == pytest.approx(30 / math.sqrt(2 * math.pi), rel=0.02)


def test_poisson_noise(out: dict[str, np.ndarray]) -> None:
    """Mean p and variance p / scale, in steps of 1 / scale."""
    for name, color, scale in (
        ("poisson", (128, 60, 30), 0.5),
        ("poisson weak", (20, 0, 200), 0.05),
    ):
        for channel, level in enumerate(color):
            x = out[name][..., channel].astype(float)
            if level == 0:
                assert (x == 0).all()
                continue
            deviation_of_mean = math.sqrt(level / scale / x.size)
            if level + 6 * math.sqrt(level / scale) < 255:
                assert abs(x.mean() - level) < 5 * deviation_of_mean + 0.002 * level
                assert x.var() == pytest.approx(level / scale, rel=0.06)
            counts = x[x < 255] * scale
            np.testing.assert_allclose(counts, np.round(counts), atol=1e-2)
    assert spatial_correlation(deviation(out["poisson"], (128, 60, 30))) < 4.5


def test_color_jitter_is_one_matrix_per_frame(built: Any, out: dict[str, np.ndarray]) -> None:
    """Rows of absolute sum one: each stripe stays one colour, inside the range of its channels."""
    image = out["jitter"]
    for start, stop in ((0, 43), (43, 86), (86, SIZE)):
        stripe = image[:, start:stop]
        np.testing.assert_allclose(stripe, np.broadcast_to(stripe[:1, :1], stripe.shape))
    assert np.abs(image - CASES["jitter"][0]).max() > 5
    noise = jax.random.normal(jax.random.key(0), (4000, 3, 3))
    matrix = np.asarray(filters.jitter_matrix(noise, jnp.full(4000, 0.3)))
    np.testing.assert_allclose(np.abs(matrix).sum(axis=2), 1.0, rtol=1e-5)
    raw = np.eye(3) + 0.3 * np.asarray(noise)
    ratio = matrix / raw
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[..., :1], ratio.shape), rtol=1e-4)


STOCHASTIC_CASES = ("gaussian", "gaussian dark", "poisson", "poisson weak", "jitter")


def test_noise_is_fresh_and_reproducible(built: Any, out: dict[str, np.ndarray]) -> None:
    again, later = filtered(built, 0), filtered(built, 1)
    for name in CASES:
        np.testing.assert_array_equal(again[name], out[name])
        differs = (later[name] != out[name]).mean()
        if name in STOCHASTIC_CASES:
            assert differs > 0.02, name
        else:
            assert differs == 0, name
    # Neighbouring seeds share nothing, not even shifted.
    a = deviation(out["gaussian"], (128, 110, 140)).astype(float)
    b = deviation(later["gaussian"], (128, 110, 140)).astype(float)
    for shift in (0, 1, SIZE):
        moved = np.roll(b.reshape(-1), shift)
        assert abs(np.corrcoef(a.reshape(-1), moved)[0, 1]) * math.sqrt(a.size) < 4.5


def test_jitter_matrices_of_seeds_are_independent(built: Any) -> None:
    """Over many frames the mixed colour scatters around the original one."""
    seeds = jnp.arange(4000, dtype=jnp.uint32)
    z = np.asarray(hashing.normal(seeds, filters.JITTER_STREAM, (3, 3))).reshape(-1, 9)
    assert np.abs(z.mean(axis=0)).max() < 5 / math.sqrt(len(z))
    assert np.abs(z.std(axis=0) - 1).max() < 5 / math.sqrt(2 * len(z))
    correlation = np.corrcoef(z.T) - np.eye(9)
    assert np.abs(correlation).max() < 5 / math.sqrt(len(z))


def test_filter_image_equals_the_batch(out: dict[str, np.ndarray]) -> None:
    """One filter alone, without the others in the program."""
    for name in ("pixelate 3", "flat contrast"):
        image, used = CASES[name]
        np.testing.assert_array_equal(conformance.filter_image(image, used), np.floor(out[name]))
    noisy = conformance.filter_image(CASES["gaussian"][0], CASES["gaussian"][1], seed=3)
    other = conformance.filter_image(CASES["gaussian"][0], CASES["gaussian"][1], seed=4)
    assert (noisy != other).any()
    assert noisy.astype(float).std(axis=(0, 1)) == pytest.approx([10] * 3, rel=0.05)
