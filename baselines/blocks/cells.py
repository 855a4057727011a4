"""Objects in the cells of a grid: centres of the cells, and label maps from the objects' masks."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.harness.method import Segmentation

PRESENT = 0.5  # an object is present above this probability


def cell_centres(grid: int, like: Tensor) -> Tensor:
    """Centres of grid × grid cells in units of cells, row by row: (grid², 2), x before y."""
    axis = torch.arange(grid, dtype=like.dtype, device=like.device) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack((x, y), -1).flatten(0, 1)


def label_maps(masks: Tensor, presence: Tensor) -> Segmentation:
    """Label 0 for the background, k for object k - 1, of the objects that are present.

    Empty cells are left out: the faint masks of a grid's cells would divide a scene by position
    alone and score high before anything is learned.

    Args:
        masks: (B, K, H, W) shares of the objects in each pixel, which sum to at most one; the
            background has the rest.
        presence: (B, K) probabilities; an object is present above `PRESENT`.

    Returns:
        `labels`: the largest share, with the background; `object_labels`: the largest share of an
        object, 1 everywhere in a scene without objects.
    """
    there = (presence > PRESENT)[:, :, None, None]
    masks = masks * there
    background = 1 - masks.sum(1, keepdim=True)
    objects = masks.masked_fill(~there, -1)
    return Segmentation(torch.cat((background, masks), 1).argmax(1), objects.argmax(1) + 1)
