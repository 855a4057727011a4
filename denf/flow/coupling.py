"""The coupling layer of Liu et al. (2021), with residual convolutional subnets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from denf.flow.bijection import Bijection

LEAKY_SLOPE = 0.2


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
        reduced = self.precision != torch.float32
        with torch.autocast(x.device.type, self.precision, enabled=reduced):
            h = functional.leaky_relu_(self.first(x), LEAKY_SLOPE)
            h = functional.leaky_relu_(self.second(h), LEAKY_SLOPE)
            y = self.last(h) + self.skip(x)
        return y.to(torch.promote_types(y.dtype, torch.float32))


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
        s = self._log_scale(y1)
        return self._join(y1, x2 * s.exp() + self.G(y1)), s.sum((1, 2, 3))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y1, y2 = self._split(y)
        s = self._log_scale(y1)
        x2 = (y2 - self.G(y1)) * (-s).exp()
        return self._join(y1 - self.F(x2), x2), -s.sum((1, 2, 3))

    def _log_scale(self, y1: Tensor) -> Tensor:
        return self.clamp * (2 * torch.sigmoid(self.H(y1)) - 1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.swap:  # the halves keep their places in the tensor; only their roles change
            second, first = x.split((self.sizes[1], self.sizes[0]), 1)
            return first, second
        first, second = x.split(self.sizes, 1)
        return first, second

    def _join(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat((second, first) if self.swap else (first, second), 1)
