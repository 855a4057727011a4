"""A scene as a mixture of slots: every slot has colours and a mask logit for every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denf.harness.method import Segmentation


@dataclass(frozen=True)
class SlotMixture:
    """Colours and masks of K slots.

    Args:
        rgb: (B, K, 3, H, W).
        logits: (B, K, 1, H, W), up to a constant; the masks are their softmax over slots.
    """

    rgb: Tensor
    logits: Tensor

    @staticmethod
    def of(decoded: Tensor, batch: int) -> SlotMixture:
        """From a decoder's output (B·K, 4, H, W): red, green, blue, mask logit."""
        rgb, logits = decoded.unflatten(0, (batch, -1)).split((3, 1), 2)
        return SlotMixture(rgb, logits)

    @property
    def log_masks(self) -> Tensor:
        """(B, K, 1, H, W); exponentials sum to one over slots."""
        return torch.log_softmax(self.logits, 1)

    @property
    def masks(self) -> Tensor:
        """(B, K, 1, H, W); sum to one over slots."""
        return torch.softmax(self.logits, 1)

    @property
    def mean(self) -> Tensor:
        """Σ_k masks_k · rgb_k, (B, 3, H, W)."""
        return (self.masks * self.rgb).sum(1)

    @property
    def segmentation(self) -> Segmentation:
        """The slot of the largest mask; no slot is known to be the background."""
        labels = self.logits[:, :, 0].argmax(1)
        return Segmentation(labels, labels)

    def subset(self, generator: torch.Generator) -> SlotMixture:
        """Each slot kept with probability one half, that of the largest area always.

        The largest stands for the background, so that something is left to see; the remaining
        masks are renormalised, and so fill the holes.
        """
        batch, slots = self.logits.shape[:2]
        coins = torch.rand(batch, slots, generator=generator, device=self.logits.device)
        area = self.masks.sum((2, 3, 4))
        kept = (coins < 0.5) | (area == area.amax(1, keepdim=True))
        dropped = ~kept[:, :, None, None, None]
        return SlotMixture(self.rgb, self.logits.masked_fill(dropped, -torch.inf))
