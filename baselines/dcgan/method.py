"""DCGAN: a convolutional generator against a convolutional discriminator.

Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional generative
adversarial networks, ICLR 2016. Networks, losses, optimiser and initial weights are those of
pytorch/examples, `dcgan` (64 × 64 pixels, width 64). For other sizes each network has more or fewer
stages, so that its smallest feature maps stay 4 × 4. At 128 × 128 this adds a stage of 1024
channels, which is our choice, as neither source has that size.

What differs here: samples are drawn with the running statistics of batch normalisation, so that an
image does not depend on the rest of its batch, where the source uses the statistics of the batch;
and each player's update draws new images, where the source's generator learns from those that the
discriminator has just seen.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from baselines.blocks.adversarial import Adversarial
from baselines.blocks.alternation import Terms
from baselines.blocks.game import Game, discriminator_loss, generator_loss
from baselines.dcgan.networks import discriminator, generator, stages
from baselines.dcgan.settings import DcganSettings


class Dcgan(Adversarial):
    """The two networks in the cross-entropy game."""

    settings: DcganSettings
    norm: ClassVar[type[nn.Module]] = nn.BatchNorm2d  # of the discriminator

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
