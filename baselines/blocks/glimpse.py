"""Spatial transformer for axis-aligned boxes: crop glimpses from an image and place them back.

Jaderberg et al., "Spatial transformer networks" (NeurIPS 2015), restricted to scale and shift as in
AIR and the methods derived from it. Bilinear sampling in such boxes separates into rows and
columns, so that a transform is two products with interpolation matrices. It needs no copy of the
image per box, and its gradients need no atomic additions, which make `grid_sample` irreproducible
on a GPU.

Boxes are (w, h, x, y): width and height in fractions of the image side, centre in [-1, 1] from the
left and upper border to the right and lower border.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST = 1e-6  # fraction of the image side; keeps the inverse of an empty box finite


def crop(images: Tensor, boxes: Tensor, side: int, *, extend: bool = False) -> Tensor:
    """Glimpses of an image: out(u) = image(centre + size · u), u in [-1, 1]².

    Args:
        images: (B, C, H, W).
        boxes: (B, K, 4).
        side: of the square glimpses in pixels.
        extend: outside the image, repeat the colour of its border instead of 0.

    Returns:
        (B, K, C, side, side).
    """
    height, width = images.shape[2:]
    size, centre = boxes[..., :2], boxes[..., 2:]
    u = _pixel_centres(side, boxes)
    columns = _interpolation(centre[..., :1] + size[..., :1] * u, width, extend)
    rows = _interpolation(centre[..., 1:] + size[..., 1:] * u, height, extend)
    # One product per image, then one per box: one copy of the images, none per box.
    strips = rows.flatten(1, 2) @ images.transpose(1, 2).flatten(2)
    strips = strips.view(*boxes.shape[:2], side * images.shape[1], width)
    return (strips @ columns.mT).unflatten(2, (side, -1)).transpose(2, 3)


def place(glimpses: Tensor, boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """The inverse of `crop`: out(v) = glimpse((v - centre) / size), 0 outside the boxes.

    Args:
        glimpses: (B, K, C, side, side).
        boxes: (B, K, 4).
        shape: height and width of the image in pixels.

    Returns:
        (B, K, C, height, width).
    """
    channels, side = glimpses.shape[2], glimpses.shape[4]
    rows, columns = placement(boxes, side, shape)
    # One product per box for all channels: matrices need no copies, their gradients no sum.
    tall = rows @ glimpses.transpose(2, 3).flatten(3)
    tall = tall.unflatten(3, (channels, side)).transpose(2, 3)
    return (tall.flatten(2, 3) @ columns.mT).unflatten(2, (channels, shape[0]))


def placement(boxes: Tensor, side: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Interpolation matrices of `place`: out = rows · glimpse · columnsᵀ.

    Args:
        boxes: (B, K, 4).
        side: of the square glimpses in pixels.
        shape: height and width of the image in pixels.

    Returns:
        rows (B, K, height, side) and columns (B, K, width, side).
    """
    size, centre = boxes[..., :2].clamp(min=_SMALLEST), boxes[..., 2:]
    y, x = (_pixel_centres(n, boxes) for n in shape)
    columns = _interpolation((x - centre[..., :1]) / size[..., :1], side)
    rows = _interpolation((y - centre[..., 1:]) / size[..., 1:], side)
    return rows, columns


def _pixel_centres(n: int, like: Tensor) -> Tensor:
    """(n,) centres of n pixels that fill [-1, 1]."""
    return (2 * torch.arange(n, dtype=like.dtype, device=like.device) + 1) / n - 1


def _interpolation(positions: Tensor, n: int, extend: bool = False) -> Tensor:
    """Weights of n pixels at positions in [-1, 1]: max(0, 1 - |distance in pixels|).

    Args:
        positions: (..., P).
        n: pixels that fill [-1, 1].
        extend: positions outside get the outermost pixel instead of 0.

    Returns:
        (..., P, n).
    """
    index = ((positions + 1) * n - 1) / 2
    if extend:
        index = index.clamp(0, n - 1)
    pixels = torch.arange(n, dtype=index.dtype, device=index.device)
    return (1 - (index[..., None] - pixels).abs()).clamp(min=0)
