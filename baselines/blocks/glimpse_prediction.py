"""Predictions of methods whose objects are glimpses in boxes, in front of one background."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.blocks.cells import PRESENT, label_maps
from denf.harness.method import Capability, Prediction, Proposals

GLIMPSE_CAPABILITIES = frozenset(
    {Capability.SEGMENT, Capability.RECONSTRUCT, Capability.BACKGROUND, Capability.BOXES}
)


def proposals(boxes: Tensor, presence: Tensor) -> Proposals:
    """Proposals from glimpses, each anchored at its own centre; every glimpse is one object.

    Args:
        boxes: (B, N, 4); see `glimpse`.
        presence: (B, N) probabilities; a glimpse is present above `PRESENT`.
    """
    size, centre = boxes[..., :2], (boxes[..., 2:] + 1) / 2
    present = presence > PRESENT
    corners = torch.cat((centre - size / 2, centre + size / 2), -1)
    return Proposals(corners, centre, present, present.sum(1))


def prediction(
    masks: Tensor, presence: Tensor, boxes: Tensor, *, canvas: Tensor, background: Tensor
) -> Prediction:
    """Label maps, reconstruction, background and proposals of one pass.

    Args:
        masks: (B, N, 1, H, W) shares of the objects; see `cells.label_maps`.
        presence: (B, N) probabilities.
        boxes: (B, N, 4); see `glimpse`.
        canvas: (B, 3, H, W), objects and background together.
        background: (B, 3, H, W).
    """
    return Prediction(
        label_maps(masks[:, :, 0], presence),
        canvas.clamp(0, 1),
        background=background.clamp(0, 1),
        proposals=proposals(boxes, presence),
    )
