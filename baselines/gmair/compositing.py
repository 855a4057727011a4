"""GMAIR's objects in pixels: glimpses placed and weighted by depth, and their overlap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from baselines.blocks.glimpse import place
from baselines.gmair.inference import Objects

_LEAST_IMPORTANCE = 1e-4


class Rendering(NamedTuple):
    """The objects in pixels.

    Args:
        image: (B, 3, H, W), colours times shares.
        shares: (B, N, 1, H, W) of each object in a pixel; their sum is at most one.
        overlap: (B,), intensity of all objects minus that of the brightest object, summed over
            pixels.
    """

    image: Tensor
    shares: Tensor
    overlap: Tensor


def composite(decoded: Tensor, objects: Objects, shape: tuple[int, int]) -> Rendering:
    """Shares w_n α_n with w ∝ max(α · depth, 1e-4) over the cells whose boxes contain the pixel.

    Args:
        decoded: (B, N, 4, side, side) in [0, 1], colours and alpha, before alpha is multiplied by
            presence.
        objects: of the same cells.
        shape: height and width of the image in pixels.
    """
    rgb, alpha = decoded.split((3, 1), 2)
    alpha = alpha * objects.presence[..., None, None]
    importance = (alpha * objects.depth[..., None, None]).clamp(min=_LEAST_IMPORTANCE)
    placed = place(torch.cat((rgb, alpha, importance), 2), objects.boxes, shape)
    rgb, alpha, importance = placed.split((3, 1, 1), 2)
    importance = importance + 1e-9
    shares = alpha * importance / importance.sum(1, keepdim=True)
    drawn = (alpha * rgb).mean(2)
    overlap = (drawn.sum(1) - drawn.amax(1)).sum((1, 2))
    return Rendering((shares * rgb).sum(1), shares, overlap)
