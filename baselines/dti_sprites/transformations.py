"""Transformations of DTI-Sprites' sprites, and their initial masks."""

from __future__ import annotations

import torch
from torch import Tensor


def leaky(x: Tensor) -> Tensor:
    """Clamp to [0, 1] with slope 0.01 outside."""
    return x.clamp(0, 1) + 0.01 * (x - x.clamp(0, 1))


def boxes_of(raw: Tensor) -> Tensor:
    """(…, 4), width, height and centre, of the map v ↦ (1 + exp(a)) v + t; raw (…, 3) holds a, t.

    At a = t = 0 a sprite has half the image side and is centred.
    """
    size = 1 / (1 + raw[..., :1].exp())
    return torch.cat((size, size, -raw[..., 1:] * size), -1)


def tinted(colours: Tensor, raw: Tensor) -> Tensor:
    """(1 + a) · colour + b per channel, clamped; raw (…, 6) holds a and b of each channel."""
    a, b = raw.unflatten(-1, (3, 2))[..., None, None].unbind(-3)
    return leaky((1 + a) * colours + b)


def gaussian(side: int, std: float) -> Tensor:
    """exp(−r² / 2 std²) around the centre, (1, 1, side, side)."""
    axis = torch.arange(side) - (side - 1) / 2
    profile = torch.exp(-0.5 * (axis / std).square())
    return (profile[:, None] * profile)[None, None]
