"""Overlap of boxes and non-maximum suppression (section 3.1.5).

Implemented here because importing torchvision takes longer than decomposing a picture.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_LEAST_AREA = 1e-12  # of a union


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of `a` with every one of `b`.

    Args:
        a, b: (N, 4) and (M, 4), x0, y0, x1, y1.

    Returns:
        (N, M) in [0, 1]; 0 for two boxes without area, because tiny sizes vanish when corners are
        rounded.
    """
    low, high = torch.max(a[:, None, :2], b[:, :2]), torch.min(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(1) for x in (a, b))
    return shared / (area_a[:, None] + area_b - shared).clamp(min=_LEAST_AREA)


def suppress(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Boxes that no kept box of a higher score overlaps by more than `overlap`.

    Args:
        boxes: (N, 4), x0, y0, x1, y1.
        scores: (N,); of equal scores the earlier counts as higher.
        overlap: IoU.

    Returns:
        indices of the kept boxes, by decreasing score.
    """
    order = scores.argsort(descending=True, stable=True)
    close = (box_iou(boxes[order], boxes[order]) > overlap).cpu().numpy()
    gone = np.zeros(len(close), bool)
    kept = []
    for k, near in enumerate(close):
        if not gone[k]:
            kept.append(k)
            gone |= near
    return order[kept]


def means_of(proposals: Tensor, members: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and number of the proposals of each of `count` groups; empty groups are left out."""
    one_hot = functional.one_hot(members, count).to(proposals.dtype)
    votes = one_hot.sum(0)
    voted = votes > 0
    return (one_hot.T @ proposals / votes[:, None])[voted], votes[voted]
