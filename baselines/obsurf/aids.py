"""ObSuRF with aids for a small budget: a view, the encoder's input, initial weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from baselines.blocks.slot_attention import initialise_as_keras
from baselines.blocks.view import View, Viewed
from baselines.obsurf.aid_settings import ObsurfAids
from baselines.obsurf.method import Obsurf
from baselines.obsurf.settings import ObsurfSettings

EVEN = 0.1  # factor on the initial weights of colours and mask logits, with unit gain


class AidedObsurf(Viewed, Obsurf):
    """ObSuRF with aids; with their defaults it equals ObSuRF."""

    def __init__(self, settings: ObsurfSettings, aids: ObsurfAids) -> None:
        super().__init__(settings)
        self.aids = aids
        self.view = View(aids.view)
        if aids.unit_gain:
            set_unit_gain(self)

    def encoded(self, x: Tensor) -> Tensor:
        x = super().encoded(x)
        return 2 * x - 1 if self.aids.centred else x


@torch.no_grad()
def set_unit_gain(method: Obsurf) -> None:
    """Change the initial parameters, in place, so that the masks depend on image and position.

    Encoder and decoder get He's initial weights, the decoder's scales start around 1, and slot
    attention starts as in Keras. Slots start nearly alike, with small means and nearly equal masks,
    so that no slot takes the whole image before the others have learned anything.
    """
    method.encoder.apply(_keep_variance)
    method.attend.apply(initialise_as_keras)
    method.decoder.layers.apply(_keep_variance)
    for condition in method.decoder.conditions:
        assert isinstance(condition, nn.Linear)
        nn.init.ones_(condition.bias.chunk(2)[1])
    method.decoder.last.weight.mul_(EVEN)
    method.decoder.last.bias.zero_()
    method.slot_mean.mul_(0.3)
    method.slot_raw_std.fill_(math.log(math.e - 1))  # softplus(log(e − 1)) = 1


@torch.no_grad()
def _keep_variance(module: nn.Module) -> None:
    """Weights of standard deviation √(2 / inputs), for layers with ReLU: He et al. (2015)."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
