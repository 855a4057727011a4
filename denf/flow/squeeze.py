"""Squeeze: trade resolution for channels, without arithmetic (Dinh et al., 2016)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from denf.flow.bijection import Bijection


class Squeeze(Bijection):
    """(B, C, H, W) → (B, 4C, H/2, W/2): each 2×2 block of a channel becomes four channels.

    A permutation of the elements, so `ladj` is zero. Row "Squeeze" of Table 4.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return functional.pixel_shuffle(y, 2), y.new_zeros(len(y))
