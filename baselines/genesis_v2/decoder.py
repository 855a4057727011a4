"""GENESIS-V2's decoder of slots."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import coordinates
from baselines.blocks.unet import group_norm

_DOUBLINGS = 4  # of the grid's side


class SlotDecoder(nn.Sequential):
    """A latent and coordinates on a grid of 1/16 of the image's side, doubled four times."""

    def __init__(self, size: int, features: int) -> None:
        before, layers = features + 2, []
        for _ in range(_DOUBLINGS):
            grow = nn.ConvTranspose2d(before, features, 5, stride=2, padding=2, output_padding=1)
            layers += [grow, group_norm(features), nn.ReLU()]
            before = features
        super().__init__(*layers, nn.Conv2d(features, 4, 1))
        self.cells = size // 2**_DOUBLINGS

    def forward(self, z: Tensor) -> Tensor:
        """(N, 4, size, size): colours and mask logit, linear, from latents (N, features)."""
        tiled = z[:, :, None, None].expand(-1, -1, self.cells, self.cells)
        grid = coordinates(self.cells, self.cells, like=z).expand(len(z), -1, -1, -1)
        return super().forward(torch.cat((tiled, grid), 1))
