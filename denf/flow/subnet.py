"""The residual convolutional subnets of a coupling: their definition and their evaluation."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from denf.flow.padded import padded
from denf.flow.products import LEAKY_SLOPE, SubnetProducts
from denf.model.settings import SubnetKind


class Subnet(nn.Module):
    """conv3×3 → LeakyReLU → conv3×3 → LeakyReLU → concatenate the input → conv3×3, zero-padded.

    The last layer is the sum of two convolutions, of the hidden maps and of the input: the same
    function as one convolution of their concatenation, without the copy. It starts at zero, so
    that a flow starts as the identity.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        features: width of the hidden layers.
        precision: arithmetic of the convolutions; the output has the input's type.
        kind: how the subnet is evaluated.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        features: int,
        precision: torch.dtype = torch.float32,
        kind: SubnetKind = SubnetKind.AUTO,
    ) -> None:
        super().__init__()
        self.precision, self.kind = precision, kind
        self.first = nn.Conv2d(inputs, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        self.last = nn.Conv2d(features, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        for parameter in (*self.last.parameters(), *self.skip.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, H, W)."""
        return evaluate((self,), x)

    def convolutions(self, x: Tensor) -> Tensor:
        """`forward` layer by layer."""
        reduced = self.precision != torch.float32
        with torch.autocast(x.device.type, self.precision, enabled=reduced):
            h = functional.leaky_relu_(self.first(x), LEAKY_SLOPE)
            h = functional.leaky_relu_(self.second(h), LEAKY_SLOPE)
            y = self.last(h) + self.skip(x)
        return y.to(torch.promote_types(y.dtype, torch.float32))


def evaluate(nets: Sequence[Subnet], x: Tensor, groups: int = 1) -> Tensor:
    """The outputs of n subnets of equal shape side by side.

    Args:
        nets: n, a multiple of `groups`; n / groups subnets one after the other share an input.
        x: (B, groups·inputs, H, W).
        groups: number of inputs.

    Returns:
        (B, n·outputs, H, W).
    """
    kind = chosen(nets[0], x)
    if kind is SubnetKind.TRITON:
        from denf.flow.kernels import FusedSubnets  # imported late: Triton may be missing

        return FusedSubnets.apply(x, groups, nets[0].precision, *_all_parameters(nets))
    if kind is SubnetKind.PADDED:
        return padded(nets, x, groups)
    inputs, shared = x.chunk(groups, 1), len(nets) // groups
    parts = []
    for group, part in enumerate(inputs):
        own = nets[group * shared : (group + 1) * shared]
        if kind is SubnetKind.PRODUCTS:
            parts.append(_products(own, part))
        else:
            parts += [net.convolutions(part) for net in own]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def chosen(net: Subnet, x: Tensor) -> SubnetKind:
    """The kind that evaluates a subnet: its own, or the default where that cannot run.

    The default on a CPU is matrix products in float32 and convolutions in reduced precision; on a
    GPU it is convolutions in float32 and padded ones in reduced precision.
    """
    kind, reduced = net.kind, net.precision != torch.float32
    if kind is SubnetKind.TRITON and not runs_triton(x):
        kind = SubnetKind.AUTO
    if kind is not SubnetKind.AUTO:
        return kind
    if x.device.type == "cpu":
        return SubnetKind.CONVOLUTIONS if reduced else SubnetKind.PRODUCTS
    return SubnetKind.PADDED if reduced else SubnetKind.CONVOLUTIONS


def runs_triton(x: Tensor) -> bool:
    """Whether Triton's kernels accept x: float32, not empty, on a GPU or under the interpreter."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    possible = x.dtype == torch.float32 and x.numel() > 0 and (x.is_cuda or interpreted)
    return possible and importlib.util.find_spec("triton") is not None


def _products(nets: Sequence[Subnet], x: Tensor) -> Tensor:
    parameters, precision = _all_parameters(nets), nets[0].precision
    if precision == torch.float32:
        return SubnetProducts.apply(x, *parameters)
    reduced = (parameter.to(precision) for parameter in parameters)
    return SubnetProducts.apply(x.to(precision), *reduced).to(x.dtype)


def _all_parameters(nets: Sequence[Subnet]) -> list[Tensor]:
    """Weight and bias of `first`, `second` and `last` and weight of `skip`, for each subnet."""
    found: list[Tensor] = []
    for net in nets:
        for layer in (net.first, net.second, net.last):
            assert layer.bias is not None
            found += [layer.weight, layer.bias]
        found.append(net.skip.weight)
    return found
