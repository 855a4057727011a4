"""An image in layers, and its label maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.blocks.layers import compose, unhidden
from denf.harness.method import Segmentation


@dataclass(frozen=True)
class Scene:
    """An image in layers.

    Args:
        background: (B, 3, H, W).
        colours: of the chosen sprites, (B, L, 3, H, W).
        masks: of the chosen sprites, (B, L, 1, H, W).
        occlusion: (B, L, L); see `occlusion_matrix`.
        choice: (B, L, K), one-hot, all zero for a layer without a sprite.
    """

    background: Tensor
    colours: Tensor
    masks: Tensor
    occlusion: Tensor
    choice: Tensor

    def compose(self) -> Tensor:
        """The composed image, (B, 3, H, W)."""
        return compose(self.background, self.colours, self.masks, self.occlusion)

    def segmentation(self, x: Tensor) -> Segmentation:
        """Labels: the visible layer, 1 … L, or 0. Object labels: where the label is 0, the layer of
        the colour nearest to x.

        Masks and occlusion are thresholded at one half. A layer without a sprite is never nearest.
        """
        hard = (self.masks > 0.5).to(self.masks.dtype)
        lower = torch.tril((self.occlusion > 0.5).to(hard.dtype), -1)
        order = lower + torch.triu(1 - lower.mT, 1)  # one of two layers is in front, also at a tie
        seen = (hard * unhidden(hard, order))[:, :, 0] > 0.5  # (B, L, H, W)
        labels = torch.where(seen.any(1), seen.int().argmax(1) + 1, 0)
        distance = (self.colours - x[:, None]).square().sum(2)
        absent = self.choice.sum(2)[..., None, None] == 0
        nearest = distance.masked_fill(absent, torch.inf).argmin(1) + 1
        return Segmentation(labels, torch.where(labels == 0, nearest, labels))
