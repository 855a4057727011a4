"""Conversion between uint8 images and floats, and checks of image sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.errors import DenfError


def to_unit(images: Tensor) -> Tensor:
    """uint8 of any shape to contiguous floats in [0, 1] of PyTorch's default dtype.

    Batches have the channels-last memory format. With it, PyTorch 2.11 on a CPU corrupts the heap
    in the backward pass of narrow strided convolutions (a ResNet of width 4).
    """
    return images.contiguous().to(torch.get_default_dtype()) / 255


def fastest_layout(x: Tensor) -> Tensor:
    """The same values (N, C, H, W) in the layout in which convolutions are fastest.

    That is channels last for float32 on a CPU; elsewhere x is unchanged. Only for layers of stride
    1, for the reason that `to_unit` gives.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32:
        return x.contiguous(memory_format=torch.channels_last)
    return x


def to_bytes(x: Tensor) -> Tensor:
    """Floats, clipped to [0, 1], to the nearest of 256 grey levels, uint8."""
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


def check_multiple(images: Tensor, multiple: int, method: str) -> None:
    """Check that a method's strides divide the size of images.

    Args:
        images: (B, 3, H, W).
        multiple: divisor of H and W, in pixels.
        method: its name, for the message.

    Raises:
        DenfError: if H or W is no multiple of it.
    """
    height, width = images.shape[2:]
    if height % multiple or width % multiple:
        raise DenfError(
            f"images for {method}",
            expected=f"height and width that {multiple} divides",
            got=f"{width}×{height} pixels",
            fix="Prepare the data with another --size, or change the settings' strides.",
        )


def check_size(images: Tensor, size: int, method: str) -> None:
    """Check that images have the size for which a method was built.

    Args:
        images: (B, 3, H, W).
        size: H and W, in pixels.
        method: its name, for the message.

    Raises:
        DenfError: for images of another size.
    """
    height, width = images.shape[2:]
    if (height, width) != (size, size):
        raise DenfError(
            f"images for {method}",
            expected=f"{size}×{size} pixels, the setting `size`",
            got=f"{width}×{height} pixels",
            fix=f"Set settings.size to the data set's, as in --set settings.size={height}.",
        )
