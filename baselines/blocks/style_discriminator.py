"""The discriminator of BlockGAN and RELATE, with style heads on the statistics of its features.

Nguyen-Phuoc et al., BlockGAN, NeurIPS 2020; Ehrhardt et al., RELATE, NeurIPS 2020. Spectral norm:
Miyato et al., ICLR 2018. The input of a style head is mean and variance of every channel before
normalisation together, as in RELATE's code; BlockGAN's code applies one head to each in turn. The
real-or-fake head has no bias, because the shifts of the last normalisation act as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import spectral_norm

from baselines.blocks.adain import initialise
from denf.errors import DenfError

NARROW = 4  # side of the last feature maps in cells


@dataclass(frozen=True)
class Judgement:
    """Outputs of the discriminator for a batch.

    Args:
        real: raw output, (B, 1).
        styles: raw outputs of the style heads, each (B, 1).
        guess: estimates of the generator's latents in (-1, 1), (B, guesses).
    """

    real: Tensor
    styles: list[Tensor]
    guess: Tensor


class StyleDiscriminator(nn.Module):
    """Convolutions 5 × 5 of stride 2 down to 4 × 4, each but the first with a style head.

    Args:
        size: side of the images: 16, 32, 64, 128 and so on.
        width: channels of the first convolution; every further one doubles them.
        guesses: numbers that are also estimated from the image.
        spectral: spectral norm also of the normalisations' scales and of the heads (RELATE), else
            only of the convolutions (BlockGAN).
    """

    def __init__(self, size: int, width: int, guesses: int, spectral: bool) -> None:
        super().__init__()
        count = (size // NARROW).bit_length() - 1
        if count < 2 or NARROW * 2**count != size:
            raise DenfError(
                "settings.size",
                expected="16, 32, 64, 128 or another power of two",
                got=size,
                fix="Choose one of these, and data of that size.",
            )
        channels = [width * 2**k for k in range(count)]
        pairs = list(pairwise(channels))
        flat = channels[-1] * NARROW**2
        self.first = nn.Conv2d(3, width, 5, stride=2, padding=2)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 5, stride=2, padding=2) for a, b in pairs)
        norms = [nn.InstanceNorm2d(b, affine=True) for _, b in pairs]
        self.norms = nn.ModuleList(norms)
        self.styles = nn.ModuleList(nn.Linear(2 * b, 1) for _, b in pairs)
        self.real = nn.Linear(flat, 1, bias=False)
        self.guess = nn.Linear(flat, guesses) if guesses else None
        self.apply(initialise)
        for norm in norms:
            # RELATE's scales have mean 0; spectral norm turns them into a unit vector.
            nn.init.normal_(norm.weight, 0.0 if spectral else 1.0, 0.02)
        normalised = [*self.convolutions]
        if spectral:
            normalised += [*self.norms, self.real, *([self.guess] if self.guess else [])]
        for module in normalised:
            spectral_norm(module)

    def forward(self, x: Tensor) -> Judgement:
        """x (B, 3, size, size)."""
        h = F.leaky_relu(self.first(x), 0.2)
        styles = []
        for convolution, norm, style in zip(
            self.convolutions, self.norms, self.styles, strict=True
        ):
            h = convolution(h)
            variance, mean = torch.var_mean(h.flatten(2), dim=2)
            styles.append(style(torch.cat((mean, variance), 1)))
            h = F.leaky_relu(norm(h), 0.2)
        h = h.flatten(1)
        guess = h[:, :0] if self.guess is None else torch.tanh(self.guess(h))
        return Judgement(self.real(h), styles, guess)
