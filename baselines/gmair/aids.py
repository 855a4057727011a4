"""GMAIR with aids for a small budget: input, initial weights, weights of the loss and schedules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.background_vae import standing_out
from baselines.blocks.convolutions import quieten
from baselines.gmair.aid_settings import GmairAids
from baselines.gmair.inference import Objects
from baselines.gmair.method import GmairMethod, Terms, cross_entropy
from baselines.gmair.settings import GmairSettings
from denf.harness.method import Step

_WEIGHED = ("what", "cluster")  # divergences that `what_weight` multiplies


class AidedGmair(GmairMethod):
    """GMAIR with aids; with their defaults it equals GMAIR."""

    def __init__(self, settings: GmairSettings, aids: GmairAids) -> None:
        super().__init__(settings)
        self.aids = aids
        set_first_values(self, aids)

    def presence_prior(self, index: int) -> float:
        falling = max(0, index - self.aids.presence_hold)
        return min(super().presence_prior(falling), self.aids.presence_ceiling)

    def infer(self, x: Tensor, background: Tensor, step: Step | None) -> Objects:
        shown = standing_out(x, background) if self.aids.above_background else x
        objects = super().infer(shown, background, step)
        if step is not None and step.index < self.aids.training_wheels:
            return objects._replace(presence=objects.presence.detach())
        return objects

    def loss(self, terms: Terms, x: Tensor, background: Tensor, step: Step) -> Tensor:
        weight = self.aids.what_weight.at(step.index)
        kl = {name: weight * v if name in _WEIGHED else v for name, v in terms.kl.items()}
        loss = super().loss(terms._replace(kl=kl), x, background, step)
        if self.aids.above_background:
            loss = loss + self.settings.reconstruction * cross_entropy(background, x)
        return loss


@torch.no_grad()
def set_first_values(method: GmairMethod, aids: GmairAids) -> None:
    """Change initial weights and biases by the aids, in place."""
    inference = method.inference
    quieten(method.decoder[-1], aids.quiet)
    for name in ("where", "depth"):
        head = inference.heads[name]
        assert isinstance(head, nn.Sequential)
        _raw_deviations(head).add_(aids.std_bias)
    _raw_deviations(inference.encoder).add_(aids.std_bias)


def _raw_deviations(network: nn.Sequential) -> Tensor:
    """The biases of a posterior's raw standard deviations, which come after those of its means."""
    bias = network[-1].bias
    assert isinstance(bias, Tensor)
    return bias[len(bias) // 2 :]
