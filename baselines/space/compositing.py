"""SPACE's foreground in pixels: glimpses placed and weighted by depth, and the boundary loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.blocks.glimpse import place
from baselines.blocks.likelihood import gaussian_log_prob

RIM = 3 / 16  # width of the boundary loss's frame, as a fraction of the glimpse's side


@dataclass(frozen=True)
class Objects:
    """Latents of all cells, N = grid².

    Args:
        presence: (B, N, 1) in (0, 1).
        depth: (B, N, 1); larger is further away.
        boxes: (B, N, 4); see `baselines.blocks.glimpse`.
        what: (B, N, what).
    """

    presence: Tensor
    depth: Tensor
    boxes: Tensor
    what: Tensor


@dataclass(frozen=True)
class Rendering:
    """The foreground in pixels.

    Args:
        masks: (B, N, 1, H, W), each object's share of a pixel; their sum is alpha.
        image: (B, 3, H, W), colours times shares.
        rims: (B, 1, H, W), sum of the placed frames of the boundary loss.
    """

    masks: Tensor
    image: Tensor
    rims: Tensor

    @property
    def alpha(self) -> Tensor:
        """(B, 1, H, W), the share of all objects."""
        return self.masks.sum(1)


def composite(rgb: Tensor, alpha: Tensor, objects: Objects, shape: tuple[int, int]) -> Rendering:
    """Place glimpses and weight them by a softmax over cells of 100 · alpha · σ(-depth).

    Args:
        rgb: (B, N, 3, side, side) in [0, 1].
        alpha: (B, N, 1, side, side) in [0, 1], before it is multiplied by presence.
        objects: of the same cells.
        shape: height and width of the image in pixels.
    """
    present = objects.presence[..., None, None]
    seen = alpha * present
    importance = 100 * seen * torch.sigmoid(-objects.depth)[..., None, None]
    glimpses = torch.cat((seen * rgb, seen, importance, present * _rim(alpha)), 2)
    colour, seen, importance, rims = place(glimpses, objects.boxes, shape).split((3, 1, 1, 1), 2)
    weights = torch.softmax(importance, 1)
    return Rendering(weights * seen, (weights * colour).sum(1), rims.sum(1))


def boundary_loss(rendering: Rendering) -> Tensor:
    """-log N(1000 · rims · alpha; 0, 0.7²), (B,): keeps objects inside their boxes' frames."""
    overlap = 1000 * rendering.rims * rendering.alpha
    return -gaussian_log_prob(overlap, torch.zeros_like(overlap), 0.7).flatten(1).sum(1)


def _rim(like: Tensor) -> Tensor:
    """A frame (side, side) of width RIM · side with the value 1/32²; 0 inside."""
    side = like.shape[-1]
    width = round(RIM * side)
    rim = like.new_full((side, side), 1 / 32**2)
    rim[width:-width, width:-width] = 0
    return rim.expand(*like.shape[:2], 1, -1, -1)
