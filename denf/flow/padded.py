"""Subnets as few wide convolutions: a GPU's matrix units need multiples of 8 channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from denf.flow.products import LEAKY_SLOPE

if TYPE_CHECKING:
    from denf.flow.subnet import Subnet

MULTIPLE = 8


def padded(nets: Sequence[Subnet], x: Tensor, groups: int) -> Tensor:
    """Layers of n subnets in one call each, channels-last, thin sides padded with zeros.

    The thin layers are dense: where a subnet does not see a channel, its weight is zero. The wide
    layer in the middle has n groups.

    Args and returns: see `denf.flow.subnet.evaluate`.
    """
    n, dtype = len(nets), nets[0].precision
    if dtype == torch.float32:
        dtype = x.dtype
    outputs = n * nets[0].last.out_channels
    more_in, more_out = -x.shape[1] % MULTIPLE, -outputs % MULTIPLE

    def weight(name: str, blocks: int, outer: int = 0, inner: int = 0) -> Tensor:
        dense = _block_diagonal(_stacked(nets, f"{name}.weight"), blocks)
        dense = functional.pad(dense, (0, 0, 0, 0, 0, inner, 0, outer))
        return dense.to(dtype, memory_format=torch.channels_last)

    def bias(name: str, outer: int = 0) -> Tensor:
        return functional.pad(_stacked(nets, f"{name}.bias"), (0, outer)).to(dtype)

    maps = functional.pad(x, (0, 0, 0, 0, 0, more_in))
    maps = maps.to(dtype, memory_format=torch.channels_last)
    first = weight("first", groups, inner=more_in)
    h = functional.conv2d(maps, first, bias("first"), padding=1)
    h = functional.leaky_relu_(h, LEAKY_SLOPE)
    h = functional.conv2d(h, weight("second", 1), bias("second"), padding=1, groups=n)
    h = functional.leaky_relu_(h, LEAKY_SLOPE)
    y = functional.conv2d(h, weight("last", n, more_out), bias("last", more_out), padding=1)
    y = y + functional.conv2d(maps, weight("skip", groups, more_out, more_in), padding=1)
    return y[:, :outputs].to(x.dtype)


def _stacked(nets: Sequence[Subnet], name: str) -> Tensor:
    """One parameter of all subnets, outputs one after the other."""
    if len(nets) == 1:
        return nets[0].get_parameter(name)
    return torch.cat([net.get_parameter(name) for net in nets])


def _block_diagonal(weight: Tensor, blocks: int) -> Tensor:
    """A weight (out, in, 3, 3) over blocks·in channels; rows of a block see its `in` channels."""
    if blocks == 1:
        return weight
    rows = weight.unflatten(0, (blocks, -1))[:, :, None]
    eye = torch.eye(blocks, dtype=weight.dtype, device=weight.device)
    return (rows * eye[:, None, :, None, None, None]).flatten(2, 3).flatten(0, 1)
