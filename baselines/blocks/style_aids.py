"""Aids for BlockGAN and RELATE: the generator's initial weights, and style heads in its loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.adain import STD
from baselines.blocks.adversarial_aids import Averaged
from baselines.blocks.adversarial_settings import StyleGameAids
from baselines.blocks.alternation import Terms
from baselines.blocks.style_game import StyleGame


class AidedStyleGame(Averaged, StyleGame):
    """A mixin for BlockGAN or RELATE: `class Aided(AidedStyleGame, Published)`."""

    aids: StyleGameAids

    def apply_aids(self, aids: StyleGameAids) -> None:
        """Set initial weights and start the average; call once, after the published constructor."""
        self.aids = aids
        scale_weights(self.generator, aids.weight_std / STD)
        self.average_weights(aids.average)

    def generator_objective(self, terms: Terms) -> Tensor:
        objective = super().generator_objective(terms)  # type: ignore[safe-super]
        return objective + self.aids.generator_style * terms["generator_style"]


@torch.no_grad()
def scale_weights(module: nn.Module, factor: float) -> None:
    """Multiply the weights of all convolutions and linear layers, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
            layer.weight.mul_(factor)
