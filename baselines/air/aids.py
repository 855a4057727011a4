"""AIR with aids for a small budget: input, initial weights, weights of the loss and a schedule."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.air.aid_settings import AirAids
from baselines.air.inference import WHERE, Trace
from baselines.air.method import AirMethod, Terms
from baselines.air.settings import AirSettings
from baselines.blocks.background_vae import standing_out
from baselines.blocks.convolutions import quieten
from baselines.blocks.likelihood import gaussian_log_prob
from baselines.blocks.perceptron import last_layer
from denf.harness.method import Step


class AidedAir(AirMethod):
    """AIR with aids; with their defaults it equals AIR."""

    def __init__(self, settings: AirSettings, aids: AirAids) -> None:
        super().__init__(settings)
        self.aids = aids
        set_first_values(self, aids)

    def trace(self, x: Tensor, background: Tensor, step: Step | None) -> Trace:
        shown = standing_out(x, background) if self.aids.above_background else x
        trace = super().trace(shown, background, step)
        weight = 1.0 if step is None else self.aids.object_weight.at(step.index)
        return trace._replace(kl_object=weight * trace.kl_object)

    def loss(self, terms: Terms, x: Tensor, background: Tensor, step: Step) -> Tensor:
        if step.index < self.aids.training_wheels:
            terms = terms._replace(reinforce=torch.zeros_like(terms.reinforce))
        loss = super().loss(terms, x, background, step)
        if self.aids.above_background:
            log_prob = gaussian_log_prob(x, background, self.settings.std)
            loss = loss - log_prob.flatten(1).sum(1).mean()
        return loss


@torch.no_grad()
def set_first_values(method: AirMethod, aids: AirAids) -> None:
    """Change initial weights and biases by the aids, in place."""
    s, inference = method.settings, method.inference
    quieten(last_layer(method.decoder), aids.quiet)
    biases = (
        (method.decoder, 3 * s.glimpse**2, aids.alpha_bias),  # red, green, blue, alpha
        (inference.head, 1 + WHERE, aids.std_bias),  # presence, means, raw standard deviations
        (inference.encoder, s.what, aids.std_bias),  # means, raw standard deviations
    )
    for network, first, value in biases:
        last_layer(network).bias[first:] += value
