"""IODINE's refinement network and its inputs (appendix B)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import coordinates
from baselines.blocks.likelihood import mixture_log_prob
from baselines.blocks.mixture import SlotMixture
from baselines.iodine.settings import IodineSettings

SPATIAL_INPUTS = 18  # input channels per slot; see `Refinement`
INPUT_CONSTANT = 0.5


@dataclass(frozen=True)
class Decoded:
    """A decoding of images x and its likelihood.

    Args:
        mixture: the slots' colours and masks.
        log_components: log p_k(x), (B, K, 1, H, W), summed over channels.
        log_p: log Σ_k m_k p_k(x), (B, 1, 1, H, W).
        loss: −Σ log p + Σ_k KL of each image, (B,), nats.
    """

    mixture: SlotMixture
    log_components: Tensor
    log_p: Tensor
    loss: Tensor


class Refinement(nn.Module):
    """The update of all slots' posteriors λ from one decoding of the image.

    The inputs per pixel are image, colours, mask logit, mask, the gradients of colours and logit,
    the mask's posterior, log p, the counterfactual log p, a constant and two coordinates. Further
    inputs are λ and its gradient. Gradients, log p and the counterfactual are normalised and
    detached: there are no second derivatives (appendix B).
    """

    def __init__(self, s: IodineSettings) -> None:
        super().__init__()
        # One group: over pixels and channels of a slot, with a scale and a shift per channel.
        self.norm_d_rgb = nn.GroupNorm(1, 3)
        self.norm_d_logits = nn.GroupNorm(1, 1)
        self.norm_log_p = nn.GroupNorm(1, 1)
        self.norm_counterfactual = nn.GroupNorm(1, 1)
        self.norm_d_posterior = nn.LayerNorm(2 * s.latent)
        layers: list[nn.Module] = []
        before = SPATIAL_INPUTS
        for channels in s.encoder_channels:
            layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.ELU()]
            before = channels
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        for width in s.hidden:
            layers += [nn.Linear(before, width), nn.ELU()]
            before = width
        self.encoder = nn.Sequential(*layers[:-1])  # nothing after the last layer
        self.lstm = nn.LSTMCell(before + 4 * s.latent + 1, s.state)
        self.update = nn.Linear(s.state, 2 * s.latent)

    def forward(
        self,
        x: Tensor,
        decoded: Decoded,
        posterior: Tensor,
        gradients: tuple[Tensor, Tensor, Tensor],
        state: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The next posterior and state.

        Args:
            x: (B, 3, H, W) in [0, 1].
            decoded: the decoding of a sample from the posterior.
            posterior: λ, (B, K, 2 · latent).
            gradients: of the loss with respect to λ, colours and mask logits.
            state: of the LSTM; None at first.
        """
        pixels = self.pixel_inputs(x, decoded, gradients[1], gradients[2])
        d_posterior = self.norm_d_posterior(gradients[0].detach())
        constant = torch.full_like(posterior[..., :1], INPUT_CONSTANT)
        flat = torch.cat((posterior, d_posterior, constant), 2).flatten(0, 1)
        features = self.encoder(pixels.flatten(0, 1))
        state = self.lstm(torch.cat((features, flat), 1), state)
        return posterior + self.update(state[0]).view_as(posterior), state

    def pixel_inputs(self, x: Tensor, decoded: Decoded, d_rgb: Tensor, d_logits: Tensor) -> Tensor:
        """Inputs per pixel, (B, K, 18, H, W)."""
        rgb, logits = decoded.mixture.rgb, decoded.mixture.logits
        likelihood = decoded.log_components.exp()
        channels = (
            x[:, None],
            rgb,
            logits,
            decoded.mixture.masks,
            _normed(self.norm_d_rgb, d_rgb),
            _normed(self.norm_d_logits, d_logits),
            likelihood / (likelihood.sum(1, keepdim=True) + 1e-6),
            _normed(self.norm_log_p, decoded.log_p),
            _normed(self.norm_counterfactual, counterfactual(decoded)),
            torch.full_like(logits, INPUT_CONSTANT),
            coordinates(x.shape[2], x.shape[3], like=x),
        )
        shape = (*rgb.shape[:2], -1, *rgb.shape[3:])
        return torch.cat([c.expand(shape) for c in channels], 2)


@torch.no_grad()
def counterfactual(decoded: Decoded) -> Tensor:
    """log p minus log p without slot k, with the other masks renormalised; (B, K, 1, H, W)."""
    logits = decoded.mixture.logits
    slots = logits.shape[1]
    itself = torch.eye(slots, dtype=torch.bool, device=logits.device)[..., None, None, None]
    others = logits[:, None].masked_fill(itself, -torch.inf)  # (B, K, K, 1, H, W)
    without = mixture_log_prob(torch.log_softmax(others, 2), decoded.log_components[:, None], dim=2)
    return decoded.log_p - without


def _normed(norm: nn.Module, values: Tensor) -> Tensor:
    """Normalise detached values (B, K or 1, C, H, W) per image and slot."""
    return norm(values.detach().flatten(0, 1)).view_as(values)
