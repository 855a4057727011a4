"""The coupling layer of Liu et al. (2021), with residual convolutional subnets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from denf.flow.bijection import Bijection

LEAKY_SLOPE = 0.2


class Subnet(nn.Module):
    """`groups` networks of one shape and one input, run as one.

    Each is conv3×3 → LeakyReLU → conv3×3 → LeakyReLU → concatenate the input → conv3×3,
    zero-padded, 3×3 kernels. Grouped convolutions keep the networks independent and save
    launches. The last layer starts at zero, so that a flow starts as the identity.

    Args:
        inputs: channels of the input.
        outputs: channels of each network's output.
        features: width of the hidden layers.
        groups: how many independent networks.
        precision: arithmetic of the convolutions; the output has the input's type again.
    """

    def __init__(
        self, inputs: int, outputs: int, features: int, groups: int, precision: torch.dtype
    ) -> None:
        super().__init__()
        self.groups, self.precision = groups, precision
        self.first = nn.Conv2d(inputs, groups * features, 3, padding=1)
        self.second = nn.Conv2d(groups * features, groups * features, 3, padding=1, groups=groups)
        self.last = nn.Conv2d(
            groups * (features + inputs), groups * outputs, 3, padding=1, groups=groups
        )
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map x (B, inputs, H, W) to `groups` tensors (B, outputs, H, W)."""
        reduced = self.precision != torch.float32
        with torch.autocast(x.device.type, self.precision, enabled=reduced):
            h = functional.leaky_relu(self.first(x), LEAKY_SLOPE)
            h = functional.leaky_relu(self.second(h), LEAKY_SLOPE)
            x = x.to(h.dtype)
            parts = [part for hidden in h.chunk(self.groups, 1) for part in (hidden, x)]
            out = self.last(torch.cat(parts, 1))
        return out.to(torch.promote_types(out.dtype, torch.float32)).chunk(self.groups, 1)


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
        self.F = Subnet(second, first, features, 1, precision)
        self.GH = Subnet(first, second, features, 2, precision)

    def extra_repr(self) -> str:
        return f"x1={self.sizes[0]}, x2={self.sizes[1]}, swap={self.swap}, clamp={self.clamp}"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x1, x2 = self._split(x)
        y1 = x1 + self.F(x2)[0]
        g, s = self._shift_and_log_scale(y1)
        return self._join(y1, x2 * s.exp() + g), s.sum((1, 2, 3))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y1, y2 = self._split(y)
        g, s = self._shift_and_log_scale(y1)
        x2 = (y2 - g) * (-s).exp()
        return self._join(y1 - self.F(x2)[0], x2), -s.sum((1, 2, 3))

    def _shift_and_log_scale(self, y1: Tensor) -> tuple[Tensor, Tensor]:
        g, h = self.GH(y1)
        return g, self.clamp * (2 * torch.sigmoid(h) - 1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.swap:  # the halves keep their places in the tensor; only their roles change
            second, first = x.split((self.sizes[1], self.sizes[0]), 1)
            return first, second
        first, second = x.split(self.sizes, 1)
        return first, second

    def _join(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat((second, first) if self.swap else (first, second), 1)
