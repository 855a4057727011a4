"""Squeeze: trade resolution for channels (Dinh et al., 2016), plainly or by Haar wavelets."""

from __future__ import annotations

import torch
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


class HaarSqueeze(Bijection):
    r"""Squeeze of three colours whose first channel is the block's mean, up to a factor.

    .. math:: y = (C \otimes H)\,\mathrm{squeeze}(x)

    with C the orthonormal rows (1, 1, 1), (1, −1, 0), (1, 1, −2) over colours and H the Haar
    wavelets of a 2×2 block: mean, horizontal, vertical and diagonal difference. An orthogonal map,
    so `ladj` is zero. Liu et al. (2021) squeeze by Haar wavelets, without mixing colours.
    """

    Q: Tensor

    def __init__(self) -> None:
        super().__init__()
        colours = torch.tensor([[1, 1, 1], [1, -1, 0], [1, 1, -2]], dtype=torch.float64)
        colours = colours / colours.norm(dim=1, keepdim=True)
        wavelets = torch.tensor(
            [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64
        )
        Q = torch.kron(colours, wavelets / 2).float()
        self.register_buffer("Q", Q[:, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = functional.conv2d(functional.pixel_unshuffle(x, 2), self.Q)
        return y, x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.conv2d(y, self.Q.transpose(0, 1))
        return functional.pixel_shuffle(x, 2), y.new_zeros(len(y))
