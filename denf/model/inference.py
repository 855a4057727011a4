"""Inference: latents, both reconstructions and the density of images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from denf.model.denf import DeNF
from denf.model.hidden import filled_background
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


def infer(model: DeNF, x: Tensor, mean: Tensor | None = None) -> Inference:
    """Encode images (B, 3, H, W) in [0, 1], and decode them with hard presence, without noise.

    `mean` is that of `filled_background`.
    """
    encoding = model.encode(x)
    presence, x_bg, x_fg = render(model, encoding.latents, mean, encoding.given)
    return Inference(encoding.latents, presence, x_bg, x_fg, model.log_density(encoding))


def render(
    model: DeNF, latents: Latents, mean: Tensor | None = None, given: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Hard presence (B, h, w), x̂_bg without noise, and x̂_fg.

    Args:
        model: DeNF.
        latents: of a batch.
        mean: see `filled_background`.
        given: see `Encoding`, for latents of an encoding.
    """
    z_bg = filled_background(latents, model.settings.background, mean)
    presence = (latents.presence_logit > 0).to(z_bg.dtype)
    shown = replace(latents, background=z_bg)
    return presence, *model.reconstructions(shown, presence, torch.zeros_like(z_bg), given)
