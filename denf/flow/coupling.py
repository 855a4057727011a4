"""The coupling layer of Liu et al. (2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from denf.flow.bijection import Bijection
from denf.flow.subnet import Subnet, evaluate
from denf.model.settings import SubnetKind


class Coupling(Bijection):
    r"""An affine coupling in which both halves are transformed.

    With the channels split into :math:`x_1 | x_2`:

    .. math::
        y_1 = x_1 + F(x_2), \quad s = c\,(2\sigma(H(y_1)) - 1), \quad
        y_2 = x_2 \odot e^{s} + G(y_1), \quad \log|\det J| = \sum s.

    Args:
        channels: channels of the input, at least 2; the first half is the smaller one.
        swap: exchange the roles of the halves.
        features: width of the subnets F, G, H.
        clamp: c, the largest |log-scale| of one layer.
        precision: arithmetic inside the subnets; the affine map and `ladj` keep the input's type.
        kind: how the subnets are evaluated.

    Source: Liu et al. (2021), Invertible Denoising Network; layers "Coupling 1–12" of Table 4.
    """

    def __init__(
        self,
        channels: int,
        *,
        swap: bool = False,
        features: int = 64,
        clamp: float = 1.0,
        precision: torch.dtype = torch.float32,
        kind: SubnetKind = SubnetKind.AUTO,
    ) -> None:
        super().__init__()
        if channels < 2:
            raise ValueError(f"channels: expected at least 2 to split, got {channels}")
        self.swap, self.clamp = swap, clamp
        small, large = channels // 2, channels - channels // 2
        self.sizes = (large, small) if swap else (small, large)
        first, second = self.sizes
        self.F = Subnet(second, first, features, precision, kind)
        # G and H share their input, so `evaluate` computes them together.
        self.G = Subnet(first, second, features, precision, kind)
        self.H = Subnet(first, second, features, precision, kind)

    def extra_repr(self) -> str:
        return f"x1={self.sizes[0]}, x2={self.sizes[1]}, swap={self.swap}, clamp={self.clamp}"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return couple((self,), x)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return uncouple((self,), y)


def couple(layers: Sequence[Coupling], x: Tensor) -> tuple[Tensor, Tensor]:
    """`forward` of n equal layers side by side, each on its own channels.

    Args:
        layers: of equal sizes, `swap` and `clamp`; their parameters differ.
        x: (B, n·C, H, W), the inputs one after the other.

    Returns:
        outputs likewise, and the sum of the n log-determinants, (B,).
    """
    x1, x2 = _split(layers, x)
    y1 = x1 + evaluate([layer.F for layer in layers], x2, len(layers))
    shift, s = _shift_and_log_scale(layers, y1)
    return _join(layers, y1, x2 * s.exp() + shift), s.sum((1, 2, 3))


def uncouple(layers: Sequence[Coupling], y: Tensor) -> tuple[Tensor, Tensor]:
    """`inverse` of n equal layers side by side; see `couple`."""
    y1, y2 = _split(layers, y)
    shift, s = _shift_and_log_scale(layers, y1)
    x2 = (y2 - shift) * (-s).exp()
    x1 = y1 - evaluate([layer.F for layer in layers], x2, len(layers))
    return _join(layers, x1, x2), -s.sum((1, 2, 3))


def _shift_and_log_scale(layers: Sequence[Coupling], y1: Tensor) -> tuple[Tensor, Tensor]:
    nets = [net for layer in layers for net in (layer.G, layer.H)]
    y = evaluate(nets, y1, len(layers)).unflatten(1, (len(layers), 2, -1))
    shift, h = (part.flatten(1, 2) for part in y.unbind(2))
    return shift, layers[0].clamp * (2 * torch.sigmoid(h) - 1)


def _split(layers: Sequence[Coupling], x: Tensor) -> tuple[Tensor, Tensor]:
    first, second = layers[0].sizes
    x = x.unflatten(1, (len(layers), first + second))
    if layers[0].swap:  # the halves keep their places in the tensor; only their roles change
        x2, x1 = x.split((second, first), 2)
    else:
        x1, x2 = x.split((first, second), 2)
    return x1.flatten(1, 2), x2.flatten(1, 2)


def _join(layers: Sequence[Coupling], first: Tensor, second: Tensor) -> Tensor:
    parts = [part.unflatten(1, (len(layers), -1)) for part in (first, second)]
    return torch.cat(parts[::-1] if layers[0].swap else parts, 2).flatten(1, 2)
