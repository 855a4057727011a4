"""Scenes with one whole object each, over the generated background (section 3.1.5, Figure 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.model.instances import Decomposition


def whole_objects(found: Decomposition, x_bg: Tensor, x_fg: Tensor) -> dict[str, Tensor]:
    """Every object's own cells, whole, over the background.

    The paper masks by the object's box. Here the mask is the cells that were assigned to the
    object: they follow its outline, even where boxes overlap or are smaller than their objects.

    Args:
        found: objects of a batch of images.
        x_bg: generated background, uint8 (B, 3, H, W).
        x_fg: generated foreground, uint8 (B, 3, H, W).

    Returns:
        `labels` and `object_labels` (B, H, W), those of `found`, `boxes` (B, K, 4), x0, y0, x1, y1
        in pixels, `singles` uint8 (B, K, H, W, 3) and `single_count` (B,), the objects of each
        image. K is the largest count; unused boxes are NaN, and unused singles show the background
        alone.
    """
    count = torch.tensor([len(kept) for kept in found.boxes])
    most = int(count.max())
    boxes = torch.full((len(x_bg), most, 4), torch.nan, device=x_bg.device)
    for b, kept in enumerate(found.boxes):
        boxes[b, : len(kept)] = kept * x_bg.shape[3]
    numbers = torch.arange(1, most + 1, device=x_bg.device)
    own = (found.labels[:, None] == numbers[:, None, None])[:, :, None]  # (B, K, 1, H, W)
    singles = torch.where(own, x_fg[:, None], x_bg[:, None])
    return {
        "labels": found.labels,
        "object_labels": found.object_labels,
        "boxes": boxes,
        "singles": singles.permute(0, 1, 3, 4, 2),
        "single_count": count,
    }
