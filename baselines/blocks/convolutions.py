"""Convolutions of SPACE and related methods: activation before group normalisation.

Lin et al. (2020), SPACE, appendix D; upsampling by sub-pixel convolution (Shi et al., CVPR 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Activation = Callable[[], nn.Module]
Layer = TypeVar("Layer", bound=nn.Module)


def convolution(
    channels: int,
    out: int,
    groups: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    padding: int | None = None,
    activation: Activation = nn.CELU,
) -> nn.Sequential:
    """Convolution, activation, group normalisation.

    Args:
        channels: of the input.
        out: channels of the output.
        groups: of the normalisation.
        kernel: side of the square kernel.
        stride: of the convolution.
        padding: pixels on every side; None: (kernel - 1) // 2.
        activation: makes a module.
    """
    pad = (kernel - 1) // 2 if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, pad), activation(), nn.GroupNorm(groups, out)
    )


def enlargement(
    channels: int, out: int, groups: int, *, factor: int = 2, activation: Activation = nn.CELU
) -> nn.Sequential:
    """Sub-pixel convolution, which multiplies height and width by `factor`: 1×1 convolution, pixel
    shuffle, activation, group normalisation.

    Args:
        channels: of the input.
        out: channels of the output.
        groups: of the normalisation.
        factor: of height and width.
        activation: makes a module.
    """
    return nn.Sequential(
        nn.Conv2d(channels, out * factor**2, 1),
        nn.PixelShuffle(factor),
        activation(),
        nn.GroupNorm(groups, out),
    )


@torch.no_grad()
def quieten(last: Layer, share: float) -> Layer:
    """Multiply the weights and bias of a decoder's last layer, so that its first images are grey.

    An untrained decoder draws a texture that is the same for every latent. Unlearning the texture
    takes the first tens of steps. In this time information in the latents is lost: group
    normalisation makes their differences small beside what they have in common. With a share below
    1 there is little to unlearn.

    Args:
        last: the layer, changed in place.
        share: factor; 1 changes nothing.
    """
    for parameter in last.parameters():
        parameter.mul_(share)
    return last
