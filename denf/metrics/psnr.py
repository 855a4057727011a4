"""Peak signal-to-noise ratio of images in [0, 1], over all pixels or some of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SquaredErrors:
    """Squared errors of scenes, as sums, so that scenes can be pooled.

    Args:
        total: (B,) float64, over the pixels that count and all channels.
        count: (B,) float64, number of those values.
    """

    total: Tensor
    count: Tensor

    @property
    def psnr(self) -> Tensor:
        """-10 log10 of each scene's mean squared error, (B,) in dB; NaN where no pixel counts."""
        return decibels(self.total / self.count)


def squared_errors(images: Tensor, target: Tensor, counted: Tensor | None = None) -> SquaredErrors:
    """Squared errors of images against a target.

    Args:
        images: (B, C, H, W), clipped to [0, 1] here.
        target: (B, C, H, W) in [0, 1].
        counted: (B, H, W) bool, the pixels that count; all unless given.

    Raises:
        ValueError: on different shapes.
    """
    if images.shape != target.shape:
        raise ValueError(f"images: expected {tuple(target.shape)}, got {tuple(images.shape)}")
    squares = (images.clamp(0, 1).double() - target.double()).square().sum(1)
    if counted is None:
        counted = torch.ones_like(squares, dtype=torch.bool)
    return SquaredErrors(
        (squares * counted).flatten(1).sum(1),
        counted.flatten(1).sum(1).double() * images.shape[1],
    )


def decibels(mean_squared_error: Tensor) -> Tensor:
    """-10 log10 of mean squared errors of values in [0, 1]; infinite for 0."""
    return -10 * mean_squared_error.log10()
