"""The U-Net of MONet's attention network and GENESIS-V2's encoder.

Burgess et al. (2019), MONet, appendix B; widths and the handling of image sizes as in the public
code applied-ai-lab/genesis.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from denf.errors import DenfError

_BOTTLENECK = 4  # side in cells, after 3 blocks for 16 × 16 pixels and 6 for 128 × 128
_HIDDEN = 128  # units of the MLP at the bottleneck

Normalise = Callable[[int], nn.Module]


def instance_norm(channels: int) -> nn.Module:
    """MONet's normalisation."""
    return nn.InstanceNorm2d(channels, affine=True)


def group_norm(channels: int) -> nn.Module:
    """GENESIS-V2's normalisation."""
    return nn.GroupNorm(8, channels)


def conv_block(inputs: int, outputs: int, normalise: Normalise) -> nn.Sequential:
    """3 × 3 convolution without bias, normalisation, ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, normalise(outputs), nn.ReLU())


class UNet(nn.Module):
    """Blocks down to 4 × 4 cells, an MLP over all cells, blocks up with skip connections.

    The last three blocks down and the first two up have 2c channels, the others c. Between blocks
    the side is halved or doubled by nearest-neighbour interpolation.

    Args:
        size: side of the images in pixels, a power of two, at least 16.
        inputs: channels.
        channels: c; the output has as many.
        normalise: makes the normalisation of a block from its number of channels.

    Raises:
        DenfError: for another size.
    """

    def __init__(self, size: int, inputs: int, channels: int, normalise: Normalise) -> None:
        super().__init__()
        if size < 16 or size.bit_count() != 1:
            raise DenfError(
                "size of a U-Net",
                expected="a power of two, at least 16 pixels",
                got=size,
                fix="Change settings.size and the size of the data set.",
            )
        c, blocks = channels, size.bit_length() - 2
        down = [c] * (blocks - 3) + [2 * c] * 3
        up = [2 * c] * 2 + [c] * (blocks - 2)
        below = [2 * c, *up[:-1]]  # channels from the coarser level
        self.down = nn.ModuleList(
            conv_block(i, o, normalise) for i, o in zip([inputs, *down[:-1]], down, strict=True)
        )
        self.up = nn.ModuleList(
            conv_block(i + skip, o, normalise)
            for i, skip, o in zip(below, reversed(down), up, strict=True)
        )
        cells = 2 * c * _BOTTLENECK**2
        widths = (cells, _HIDDEN, _HIDDEN, cells)
        layers = [(nn.Linear(i, o), nn.ReLU()) for i, o in pairwise(widths)]
        self.mlp = nn.Sequential(*(module for pair in layers for module in pair))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, size, size) to (B, channels, size, size)."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.interpolate(x, scale_factor=0.5))
            skips.append(x)
        x = self.mlp(x.flatten(1)).view_as(x)
        for level, block in enumerate(self.up):
            x = x if level == 0 else nn.functional.interpolate(x, scale_factor=2)
            x = block(torch.cat((x, skips.pop()), 1))
        return x
