"""Convolutions of SPACE and its relatives: activation before group normalisation.

Lin et al. (2020), SPACE, appendix D; enlarging is sub-pixel convolution (Shi et al., CVPR 2016).
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
    """Height and width times `factor`: 1×1 convolution, channels moved into pixels, activation,
    group normalisation.

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
    """Multiply a decoder's last weights by a share, its bias too, so that it starts near grey.

    An untrained decoder paints a texture that is the same for every latent. Unlearning it takes
    the first tens of steps, and with it goes what the latents say: behind a group normalisation,
    what all latents share makes their differences small. Below 1 there is little to unlearn.

    Args:
        last: changed in place.
        share: of the initial weights that is kept; 1 changes nothing.
    """
    for parameter in last.parameters():
        parameter.mul_(share)
    return last
