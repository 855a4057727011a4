"""An image in layers, and the labels that it gives to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.blocks.layers import compose, unhidden
from denf.harness.method import Segmentation


@dataclass(frozen=True)
class Scene:
    """An image in layers: background (B, 3, H, W); of the chosen sprites colours (B, L, 3, H, W)
    and masks (B, L, 1, H, W); occlusion (B, L, L); the choice (B, L, K), zero for no sprite."""

    background: Tensor
    colours: Tensor
    masks: Tensor
    occlusion: Tensor
    choice: Tensor

    def compose(self) -> Tensor:
        """(B, 3, H, W)."""
        return compose(self.background, self.colours, self.masks, self.occlusion)

    def segmentation(self, x: Tensor) -> Segmentation:
        """The layer that is seen, 1 … L, or 0; and there the layer of the colour nearest to x.

        Masks and occlusion are cut at one half. A layer without a sprite is never nearest.
        """
        hard = (self.masks > 0.5).to(self.masks.dtype)
        lower = torch.tril((self.occlusion > 0.5).to(hard.dtype), -1)
        order = lower + torch.triu(1 - lower.mT, 1)  # of two layers one is in front, also at a tie
        seen = (hard * unhidden(hard, order))[:, :, 0] > 0.5  # (B, L, H, W)
        labels = torch.where(seen.any(1), seen.int().argmax(1) + 1, 0)
        distance = (self.colours - x[:, None]).square().sum(2)
        absent = self.choice.sum(2)[..., None, None] == 0
        nearest = distance.masked_fill(absent, torch.inf).argmin(1) + 1
        return Segmentation(labels, torch.where(labels == 0, nearest, labels))
