"""Inference: latents, both reconstructions and the density of images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denf.model.denf import DeNF
from denf.model.latents import Latents
from denf.model.losses import mixture


@dataclass(frozen=True)
class Inference:
    """Images, encoded and decoded once.

    Args:
        latents: of the images.
        presence: 0 or 1, (B, h, w).
        x_bg: x̂_bg of Eq. 5 without noise, (B, 3, H, W).
        x_fg: x̂_fg of Eq. 10, (B, 3, H, W).
        log_prob: of the images in nats, (B,).
    """

    latents: Latents
    presence: Tensor
    x_bg: Tensor
    x_fg: Tensor
    log_prob: Tensor

    @property
    def reconstruction(self) -> Tensor:
        """x̂ of Eq. 10, (B, 3, H, W) in [0, 1]."""
        return mixture(self.presence, self.x_fg, self.x_bg).clamp(0, 1)


def infer(model: DeNF, x: Tensor) -> Inference:
    """Encode images (B, 3, H, W) in [0, 1], and decode them with hard presence, without noise."""
    encoding = model.encode(x)
    latents = encoding.latents
    presence = (latents.presence_logit > 0).to(x.dtype)
    silence = torch.zeros_like(latents.background)
    x_bg, x_fg = model.reconstructions(latents, presence, silence, encoding.given)
    log_prob = model.log_density(encoding)
    return Inference(latents, presence, x_bg, x_fg, log_prob)
