"""The game of BlockGAN and RELATE, with additional losses of the discriminator's style heads."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from baselines.blocks.adversarial import Adversarial
from baselines.blocks.alternation import Terms
from baselines.blocks.game import Game, discriminator_loss, generator_loss
from baselines.blocks.style_discriminator import Judgement, StyleDiscriminator


class StyleGame(Adversarial):
    """An adversarial method whose discriminator has style heads."""

    discriminator: StyleDiscriminator

    @abstractmethod
    def generator_objective(self, terms: Terms) -> Tensor:
        """The scalar that the generator minimises.

        Args:
            terms: logged terms, among them `generator` and `generator_style`.
        """


def style_loss(real: Judgement, fake: Judgement) -> Tensor:
    """The discriminator's cross-entropy, summed over the style heads."""
    pairs = zip(real.styles, fake.styles, strict=True)
    return torch.stack([discriminator_loss(Game.CROSS_ENTROPY, r, f) for r, f in pairs]).sum()


def style_generator_loss(fake: Judgement) -> Tensor:
    """The generator's cross-entropy, summed over the style heads."""
    return torch.stack([generator_loss(Game.CROSS_ENTROPY, f) for f in fake.styles]).sum()
