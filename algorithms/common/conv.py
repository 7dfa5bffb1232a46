"""Convolution of images, as a matrix product of patches or as XLA's convolution.

The two formulations take the same kernel and differ in rounding only. Patches are the default:
on CPU, XLA's convolution runs outside its optimised library once it is inside ``lax.scan`` or
``vmap`` and costs tens of times more, and under ``vmap`` over kernels (seeds) it becomes a grouped
convolution on any backend, where patches become one batched matrix product. Summing one matrix
product per kernel offset needs less memory than patches but is slower; ``docs/performance.md``
holds the measurements.
"""

from typing import Literal

import jax
import jax.numpy as jnp

Method = Literal["patches", "lax"]


def conv(
    images: jax.Array, kernel: jax.Array, stride: int, method: Method = "patches"
) -> jax.Array:
    """Convolution without padding, channels last, equal strides in both directions.

    Args:
        images: float32 (B, H, W, C), or uint8, of which 255 stands for 1.
        kernel: float32 (k, k, C, O).
        stride: pixels between outputs, at least 1.
        method: "patches" or "lax".

    Returns:
        float32 (B, (H - k) // stride + 1, (W - k) // stride + 1, O).
    """
    if method == "lax":
        return jax.lax.conv_general_dilated(
            as_float(images),
            kernel,
            (stride, stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    size, _, channels, features = kernel.shape
    if size % stride:
        columns = as_float(patches(images, size, stride))
        return columns @ kernel.reshape(-1, features)
    # The kernel covers whole blocks of stride x stride pixels. With each block folded into the
    # channels the stride is 1, and pixels are copied span**2 times instead of size**2 times.
    span = size // stride
    columns = as_float(patches(fold_blocks(images, stride, span), span, 1))
    kernel = kernel.reshape(span, stride, span, stride, channels, features)
    return columns @ kernel.transpose(0, 2, 1, 3, 4, 5).reshape(-1, features)


def as_float(images: jax.Array) -> jax.Array:
    """Values as float32, bytes divided by 255; called late, since bytes are cheaper to move."""
    scale = 255.0 if images.dtype == jnp.uint8 else 1.0
    return images.astype(jnp.float32) / scale


def patches(images: jax.Array, size: int, stride: int) -> jax.Array:
    """Windows of an image (B, H, W, C) side by side in the channels: (B, H', W', size*size*C).

    The order within the channels is that of a kernel (size, size, C, O) flattened to rows.
    """
    height = (images.shape[1] - size) // stride + 1
    width = (images.shape[2] - size) // stride + 1
    if size == 1 and stride == 1:
        return images
    rows = [slice(i, i + (height - 1) * stride + 1, stride) for i in range(size)]
    columns = [slice(j, j + (width - 1) * stride + 1, stride) for j in range(size)]
    return jnp.concatenate([images[:, i, j] for i in rows for j in columns], axis=-1)


def fold_blocks(images: jax.Array, block: int, span: int) -> jax.Array:
    """Fold blocks of pixels into channels: (B, H, W, C) to (B, H // b, W // b, b * b * C).

    Trailing pixels that no window of ``span`` blocks reaches are dropped.
    """
    batch, height, width, channels = images.shape
    if height < block * span or width < block * span:
        raise ValueError(f"image {height}x{width} is smaller than the kernel {block * span}")
    if block == 1:
        return images
    rows, columns = height // block, width // block
    images = images[:, : rows * block, : columns * block]
    images = images.reshape(batch, rows, block, columns, block, channels)
    return images.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, rows, columns, block * block * channels
    )
