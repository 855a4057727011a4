"""SPACE with aids for a small budget: initial weights, likelihoods, a weight and an optimiser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.convolutions import quieten
from baselines.space.aid_settings import SpaceAids
from baselines.space.background import Background
from baselines.space.compositing import Rendering
from baselines.space.foreground import SpaceForeground
from baselines.space.method import SpaceMethod
from baselines.space.settings import SpaceSettings


class AidedSpace(SpaceMethod):
    """SPACE with aids; with their defaults it equals SPACE."""

    def __init__(self, settings: SpaceSettings, aids: SpaceAids) -> None:
        super().__init__(settings)
        self.aids = aids
        set_first_values(self.foreground, aids)

    def make_optimizers(self) -> dict[str, Optimizer]:
        optimizers = super().make_optimizers()
        if self.aids.foreground_adam:
            rate = self.settings.foreground_rate
            optimizers["foreground"] = Adam(self.foreground.parameters(), rate, fused=True)
        return optimizers

    def log_likelihood(
        self, x: Tensor, rendering: Rendering, background: Background, index: int
    ) -> Tensor:
        """With `separate`, the lower bound of the mixture by Jensen's inequality:
        α log N(x; foreground, σ_fg²) + (1 - α) log Σ_k π_k N(x; component_k, σ_bg²).
        """
        if not self.aids.separate or index >= self.settings.fixed_alpha_until:
            return super().log_likelihood(x, rendering, background, index)
        alpha = self.alpha(rendering, index)
        halves = self.halves(x, rendering, background)
        return (torch.stack((alpha, 1 - alpha), 1) * halves).flatten(1).sum(1)

    def divergence(self, kl: Mapping[str, Tensor], index: int) -> Tensor:
        return super().divergence(
            {**kl, "what": self.aids.what_weight.at(index) * kl["what"]}, index
        )


@torch.no_grad()
def set_first_values(foreground: SpaceForeground, aids: SpaceAids) -> None:
    """Change initial weights and biases by the aids, in place."""
    decoder, encoder = foreground.glimpse_decoder[-1], foreground.glimpse_encoder[-1]
    _bias(quieten(decoder, aids.quiet))[3:] += aids.alpha_bias  # red, green, blue, alpha
    for layer in (*(foreground.heads[name] for name in ("depth", "scale", "shift")), encoder):
        bias = _bias(layer)
        bias[len(bias) // 2 :] += aids.std_bias  # means, raw standard deviations


def _bias(layer: nn.Module) -> Tensor:
    assert isinstance(layer.bias, Tensor)
    return layer.bias
