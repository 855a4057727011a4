"""Adaptive instance normalisation: a latent sets the scale and shift of normalised features.

Huang and Belongie, Arbitrary style transfer in real-time with adaptive instance normalization, ICCV
2017, Eq. 8; as in BlockGAN and RELATE, where scale and shift are ReLU(Linear(z)).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

STD = 0.02  # standard deviation of the initial weights, in BlockGAN and in RELATE


class AdaIn(nn.Module):
    """s(z) · (x - mean(x)) / std(x) + b(z), mean and std over each channel's plane or volume.

    Args:
        latent: dimensions of z.
        channels: channels of x.
    """

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__()
        self.style = nn.Linear(latent, 2 * channels)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """x (B, channels, ...), z (B, latent)."""
        style = F.relu(self.style(z)).unflatten(1, (2, -1))
        scale, shift = style.view(*style.shape, *[1] * (x.ndim - 2)).unbind(1)
        return torch.addcmul(shift, scale, F.instance_norm(x))


def initialise(module: nn.Module) -> None:
    """Set convolutions to N(0, 0.02²) truncated at two standard deviations, linear layers to
    N(0, 0.02²), biases to 0.

    Args:
        module: one layer, as passed by `nn.Module.apply`; other kinds of layers are not changed.
    """
    if isinstance(module, nn.modules.conv._ConvNd):
        nn.init.trunc_normal_(module.weight, 0.0, STD, -2 * STD, 2 * STD)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, STD)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
