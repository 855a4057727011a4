"""ObSuRF's decoder: colour and mask logit of a slot as a field over the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PointDecoder(nn.Module):
    """Colour and mask logit of every slot at points of the plane.

    Before each layer but the last, h ← (h + shift) · scale with shift and scale linear in the slot.

    Args:
        slot_size: channels of a slot.
        hidden: width of the hidden layers.
        layers: number of linear layers.
        frequencies: number of frequencies of the position code.
    """

    def __init__(self, slot_size: int, hidden: int, layers: int, frequencies: int) -> None:
        super().__init__()
        self.frequencies = frequencies
        widths = [2 + 4 * frequencies, *[hidden] * (layers - 1)]
        self.conditions = nn.ModuleList(nn.Linear(slot_size, 2 * width) for width in widths[:-1])
        self.layers = nn.ModuleList(nn.Linear(width, hidden) for width in widths[:-1])
        self.last = nn.Linear(hidden, 4)

    def forward(self, points: Tensor, slots: Tensor) -> Tensor:
        """(B, K, P, 4), red, green, blue and logit, from (B, P, 2) and (B, K, slot_size)."""
        h = position_code(points, self.frequencies)[
            :, None
        ]  # (B, 1, P, code), the same for all slots
        for condition, layer in zip(self.conditions, self.layers, strict=True):
            shift, scale = condition(slots)[:, :, None].chunk(2, -1)  # (B, K, 1, width)
            h = torch.relu(layer((h + shift) * scale))
        return self.last(h)


def position_code(points: Tensor, frequencies: int) -> Tensor:
    """Coordinates p, then sin(2^i π p) and cos(2^i π p), i = 0 … F − 1: (…, 2 + 4 F).

    Args:
        points: (…, 2) in [−½, ½].
        frequencies: F.
    """
    powers = math.pi * 2 ** torch.arange(frequencies, device=points.device, dtype=points.dtype)
    angles = (points[..., None] * powers).flatten(-2)
    return torch.cat((points, angles.sin(), angles.cos()), -1)
