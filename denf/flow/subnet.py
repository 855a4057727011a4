"""The residual convolutional subnets of a coupling: their definition and their evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from denf.flow.products import LEAKY_SLOPE, SubnetProducts


class Subnet(nn.Module):
    """conv3×3 → LeakyReLU → conv3×3 → LeakyReLU → concatenate the input → conv3×3, zero-padded.

    The last layer is the sum of two convolutions, of the hidden maps and of the input: the same
    function as one convolution of their concatenation, without the copy. It starts at zero, so
    that a flow starts as the identity.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        features: width of the hidden layers.
        precision: arithmetic of the convolutions; the output has the input's type again.
    """

    def __init__(
        self, inputs: int, outputs: int, features: int, precision: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.precision = precision
        self.first = nn.Conv2d(inputs, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        self.last = nn.Conv2d(features, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        for parameter in (*self.last.parameters(), *self.skip.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, H, W)."""
        return evaluate((self,), x)[0]

    def convolutions(self, x: Tensor) -> Tensor:
        """`forward` layer by layer."""
        reduced = self.precision != torch.float32
        with torch.autocast(x.device.type, self.precision, enabled=reduced):
            h = functional.leaky_relu_(self.first(x), LEAKY_SLOPE)
            h = functional.leaky_relu_(self.second(h), LEAKY_SLOPE)
            y = self.last(h) + self.skip(x)
        return y.to(torch.promote_types(y.dtype, torch.float32))


def evaluate(nets: Sequence[Subnet], x: Tensor) -> Sequence[Tensor]:
    """The outputs (B, outputs, H, W) of subnets of equal shape for one input x (B, inputs, H, W).

    On a CPU as matrix products, which share what they need of x; elsewhere, and in reduced
    precision, as convolutions. Both are the same function, to rounding.
    """
    if x.device.type == "cpu" and nets[0].precision == torch.float32:
        y = SubnetProducts.apply(x, *(parameter for net in nets for parameter in _parameters(net)))
        return y.chunk(len(nets), 1)
    return [net.convolutions(x) for net in nets]


def _parameters(net: Subnet) -> tuple[Tensor | None, ...]:
    """In the order of `SubnetProducts`."""
    first, second, last, skip = net.first, net.second, net.last, net.skip
    return (
        *(first.weight, first.bias, second.weight, second.bias),
        *(last.weight, last.bias, skip.weight),
    )
