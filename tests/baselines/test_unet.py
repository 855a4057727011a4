"""The U-Net: shapes at every size, receptive field of its bottleneck, refused sizes."""

from __future__ import annotations

import pytest
import torch

from baselines.blocks.unet import UNet, group_norm, instance_norm
from denf.errors import DenfError


@pytest.mark.parametrize(("size", "blocks"), [(16, 3), (32, 4), (64, 5), (128, 6)])
def test_output_has_the_size_of_the_input(size, blocks):
    net = UNet(size, 4, 8, instance_norm)
    assert len(net.down) == len(net.up) == blocks
    assert net(torch.rand(1, 4, size, size)).shape == (1, 8, size, size)


def test_blocks_have_the_published_widths():
    net = UNet(128, 4, 32, instance_norm)
    down = [(block[0].in_channels, block[0].out_channels) for block in net.down]
    up = [(block[0].in_channels, block[0].out_channels) for block in net.up]
    assert down == [(4, 32), (32, 32), (32, 32), (32, 64), (64, 64), (64, 64)]
    assert up == [(128, 64), (128, 64), (128, 32), (64, 32), (64, 32), (64, 32)]


def test_every_output_sees_every_input():
    """The MLP mixes all cells, so that a corner's output depends on the opposite corner."""
    torch.manual_seed(0)
    net = UNet(16, 3, 8, group_norm)
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    net(x)[0, :, 0, 0].sum().backward()
    assert x.grad[0, :, -1, -1].abs().sum() > 0


@pytest.mark.parametrize("size", [8, 24, 96])
def test_other_sizes_are_refused(size):
    with pytest.raises(DenfError, match="power of two"):
        UNet(size, 3, 8, instance_norm)
