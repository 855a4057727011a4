"""DCGAN: a convolutional generator against a convolutional discriminator.

Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional generative
adversarial networks, ICLR 2016. Networks, losses, optimiser and initial weights are those of
pytorch/examples, `dcgan` (64 × 64 pixels, width 64). Other sizes have one stage more or less at the
narrow end of each network, so that it stays 4 × 4: at 128 × 128 that adds a stage of 1024 channels,
our reading, as neither source has that size.

Samples are drawn with the running statistics of the batch normalisation, so that an image does not
depend on the ones drawn beside it; the source draws with those of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn

from baselines.blocks.adversarial import Adversarial, AdversarialSettings, Terms
from baselines.blocks.game import Game, discriminator_loss, generator_loss
from denf.errors import DenfError

NARROW = 4  # side of the smallest feature maps


@dataclass(frozen=True)
class DcganSettings(AdversarialSettings):
    """Settings; those of `AdversarialSettings` have the published defaults.

    Args:
        size: 16, 32, 64, 128 and so on.
        latent: numbers in z ~ N(0, 1).
        width: channels of both networks beside the image; they double with each stage.
    """

    latent: Annotated[int, Ge(1)] = 100
    width: Annotated[int, Ge(1)] = 64


class Dcgan(Adversarial):
    """The two networks in the cross-entropy game."""

    Settings: ClassVar[type] = DcganSettings
    norm: ClassVar[type[nn.Module]] = nn.BatchNorm2d  # of the discriminator
    settings: DcganSettings

    def make_players(self) -> tuple[nn.Sequential, nn.Sequential]:
        s = self.settings
        channels = stages(s.size, s.width)
        made = generator(s.latent, channels)  # first: the order of the random draws
        return discriminator(channels, self.norm), made

    def discriminator_terms(self, real: Tensor, random: torch.Generator) -> Terms:
        with torch.no_grad():
            fake = self.draw(len(real), random)
        loss = discriminator_loss(
            Game.CROSS_ENTROPY, self.discriminator(real), self.discriminator(fake)
        )
        return {"objective": loss, "discriminator": loss}

    def generator_terms(self, count: int, random: torch.Generator) -> Terms:
        fake = self.discriminator(self.draw(count, random))
        loss = generator_loss(Game.CROSS_ENTROPY, fake)
        return {"objective": loss, "generator": loss}

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        shape = (count, self.settings.latent, 1, 1)
        z = torch.randn(shape, generator=random, device=self.device)
        images: Tensor = self.generator(z)
        return images


def stages(size: int, width: int) -> list[int]:
    """Channels from beside the image to 4 × 4: `width`, doubled with each halving of the side."""
    count = (size // NARROW).bit_length() - 1
    if NARROW * 2**count != size:
        raise DenfError(
            "settings.size",
            expected=f"{NARROW} times a power of two",
            got=size,
            fix="Choose 16, 32, 64 or 128, and data of that size.",
        )
    return [width * 2**k for k in range(count)]


def generator(latent: int, channels: list[int]) -> nn.Sequential:
    """z (B, latent, 1, 1) to images in [-1, 1]: transposed convolutions 4 × 4, ReLU, batch norm.

    Args:
        latent: numbers in z.
        channels: from beside the image to the narrow end.
    """
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, channels[-1], NARROW, bias=False)]
    for wide, narrow in zip(channels[::-1], [*channels[-2::-1], 3], strict=True):
        layers += [nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False)]
    return nn.Sequential(*layers, nn.Tanh()).apply(initialise)


def discriminator(channels: list[int], norm: type[nn.Module]) -> nn.Sequential:
    """Images to one raw output each, (B, 1, 1, 1): convolutions 4 × 4, leaky ReLU of slope 0.2.

    Args:
        channels: from beside the image to the narrow end.
        norm: `BatchNorm2d`, or `InstanceNorm2d`, which does not mix the batch; not on the first.
    """
    layers: list[nn.Module] = []
    for k, (narrow, wide) in enumerate(zip([3, *channels[:-1]], channels, strict=True)):
        layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False)]
        layers += [norm(wide, affine=True)] if k else []
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    layers += [nn.Conv2d(channels[-1], 1, NARROW, bias=False)]
    return nn.Sequential(*layers).apply(initialise)


def initialise(module: nn.Module) -> None:
    """Weights N(0, 0.02²); those of a normalisation N(1, 0.02²), its biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
