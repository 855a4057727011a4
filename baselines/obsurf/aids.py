"""ObSuRF with aids for a small budget: what it is shown, and first values."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from baselines.blocks.slot_attention import initialise_as_keras
from baselines.blocks.view import View, Viewed
from baselines.obsurf.aid_settings import ObsurfAids
from baselines.obsurf.method import Obsurf
from baselines.obsurf.settings import ObsurfSettings

EVEN = 0.1  # factor on the first weights of colours and mask logits, with unit gain


class AidedObsurf(Viewed, Obsurf):
    """ObSuRF and its aids; with their defaults it is ObSuRF."""

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
    """Change the initial parameters in place, so that image and place reach the masks.

    Encoder and decoder get He's weights, the decoder's scales start around 1, the attention as in
    Keras, and slots nearly alike: their means small, masks nearly even, so that no slot takes all
    of the image before the others have learned anything.
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
    method.slot_raw_std.fill_(math.log(math.e - 1))  # softplus of it is 1


@torch.no_grad()
def _keep_variance(module: nn.Module) -> None:
    """Weights of standard deviation √(2 / inputs), for layers of ReLUs: He et al. (2015)."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
