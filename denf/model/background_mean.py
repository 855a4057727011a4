"""The mean of z_bg over the images of one camera, with which hidden cells are filled."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from denf.model.hidden import filled, hidden_in_background
from denf.model.latents import Latents
from denf.model.settings import Background

_SIDE = 128  # places along a side that are stored: exact for images of up to 256 pixels


class BackgroundMean(nn.Module):
    """Sum and number of z_bg at each place, over images in which no present cell is near it.

    They are stored at one resolution, so that the weights of a model do not depend on the size of
    its images.
    """

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1, 1, _SIDE, _SIDE))
        self.register_buffer("count", torch.zeros(1, 1, _SIDE, _SIDE))

    def clear(self) -> None:
        """Forget all images."""
        self.total.zero_()
        self.count.zero_()

    @torch.no_grad()
    def add(self, latents: Latents, settings: Background) -> None:
        """Add the latents of a batch."""
        known = (~hidden_in_background(latents, settings))[:, None].to(self.total.dtype)
        self.total += _resized(latents.background * known, (_SIDE, _SIDE)).sum(0, keepdim=True)
        self.count += _resized(known, (_SIDE, _SIDE)).sum(0, keepdim=True)

    def at(self, size: tuple[int, int]) -> Tensor:
        """The mean at a resolution (h, w): (1, 1, h, w).

        Places that were hidden in all images are interpolated from the others.
        """
        mean = filled(self.total / self.count.clamp(min=1), self.count[:, 0] == 0)
        return _resized(mean, size)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size=size, mode="nearest-exact")
