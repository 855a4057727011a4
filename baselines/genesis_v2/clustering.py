"""GENESIS-V2's clustering of pixels by embeddings (IC-SBP), and mean features of clusters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import coordinates
from baselines.blocks.stick_breaking import break_stick

_LEAST, _MOST = 0.01, 0.99  # share of the scope that a cluster may take


class SemiConvolution(nn.Module):
    """A gated 1 × 1 convolution plus the pixel's coordinates in [−1, 1] in the last two channels.

    Novotny et al. (2018), "Semi-convolutional operators for instance segmentation". The gate
    starts at zero, so that clusters are discs at first.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)
        self.gate = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        y = self.gate * self.conv(x)
        grid = coordinates(x.shape[2], x.shape[3], like=y)
        return torch.cat((y[:, :-2], y[:, -2:] + grid), 1)


def cluster(colours: Tensor, scale: Tensor, scores: Tensor, slots: int) -> Tensor:
    """Instance colouring stick breaking, IC-SBP (Algorithm 1).

    The next seed is the pixel of the largest product of score and scope. Its cluster takes the
    share α = exp(−‖colour − seed's colour‖² / scale) of the scope, clamped with full gradients.

    Args:
        colours: embeddings (B, D, H, W).
        scale: of squared distances, a positive scalar.
        scores: (B, H, W) in [0, 1), independent and uniform.
        slots: K; the last is the remaining scope.

    Returns:
        log-masks (B, K, 1, H, W).
    """
    log_scope, log_masks = torch.zeros_like(colours[:, :1]), []
    for _ in range(slots - 1):
        pixel = (scores * log_scope[:, 0].exp()).flatten(1).argmax(1)
        index = pixel[:, None, None].expand(-1, colours.shape[1], 1)
        seed = colours.flatten(2).gather(2, index)[..., None]
        alpha = torch.exp(-(colours - seed).square().sum(1, keepdim=True) / scale)
        alpha = alpha + (alpha.clamp(_LEAST, _MOST) - alpha).detach()
        log_mask, log_scope = break_stick(log_scope, torch.logit(alpha))
        log_masks.append(log_mask)
    return torch.stack((*log_masks, log_scope), 1)


def masked_means(features: Tensor, masks: Tensor) -> Tensor:
    """Σ m f / (Σ m + 1e-5) over pixels, (B, K, C), of (B, C, H, W) under masks (B, K, 1, H, W)."""
    masks = masks[:, :, 0]
    total = torch.einsum("bkhw,bchw->bkc", masks, features)
    return total / (masks.sum((2, 3))[..., None] + 1e-5)
