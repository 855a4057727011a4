"""The coupling layer of Liu et al. (2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.flow.bijection import Bijection
from denf.flow.subnet import Subnet, evaluate


class Coupling(Bijection):
    r"""An affine coupling in which both halves are transformed.

    With the channels split into :math:`x_1 | x_2`:

    .. math::
        y_1 = x_1 + F(x_2), \quad s = c\,(2\sigma(H(y_1)) - 1), \quad
        y_2 = x_2 \odot e^{s} + G(y_1), \quad \log|\det J| = \sum s.

    Args:
        channels: channels of the input, at least 2; the first half is the smaller one.
        swap: take the halves in the other order.
        features: width of the subnets F, G, H.
        clamp: c, the largest |log-scale| of one layer.
        precision: arithmetic inside the subnets; the affine map and `ladj` stay as the input.

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
    ) -> None:
        super().__init__()
        if channels < 2:
            raise ValueError(f"channels: expected at least 2 to split, got {channels}")
        self.swap, self.clamp = swap, clamp
        small, large = channels // 2, channels - channels // 2
        self.sizes = (large, small) if swap else (small, large)
        first, second = self.sizes
        self.F = Subnet(second, first, features, precision)
        # G and H share their input; two networks are faster than one with two groups.
        self.G = Subnet(first, second, features, precision)
        self.H = Subnet(first, second, features, precision)

    def extra_repr(self) -> str:
        return f"x1={self.sizes[0]}, x2={self.sizes[1]}, swap={self.swap}, clamp={self.clamp}"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x1, x2 = self._split(x)
        y1 = x1 + self.F(x2)
        shift, s = self._shift_and_log_scale(y1)
        return self._join(y1, x2 * s.exp() + shift), s.sum((1, 2, 3))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y1, y2 = self._split(y)
        shift, s = self._shift_and_log_scale(y1)
        x2 = (y2 - shift) * (-s).exp()
        return self._join(y1 - self.F(x2), x2), -s.sum((1, 2, 3))

    def _shift_and_log_scale(self, y1: Tensor) -> tuple[Tensor, Tensor]:
        shift, h = evaluate((self.G, self.H), y1)
        return shift, self.clamp * (2 * torch.sigmoid(h) - 1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.swap:  # the halves keep their places in the tensor; only their roles change
            second, first = x.split((self.sizes[1], self.sizes[0]), 1)
            return first, second
        first, second = x.split(self.sizes, 1)
        return first, second

    def _join(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat((second, first) if self.swap else (first, second), 1)
