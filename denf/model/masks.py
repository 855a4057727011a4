"""Masks of numbered cells: their boxes and the areas of their convex hulls."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_DIRECTIONS = 8  # two half-planes per direction: the hull is a polygon of 16 sides


def masks_of(labels: Tensor, count: int) -> Tensor:
    """Numbers 1…count of a map (B, h, w) as masks: bool (B, count, h, w)."""
    numbers = torch.arange(1, count + 1, device=labels.device)
    return labels[:, None] == numbers[:, None, None]


def boxes_of(masks: Tensor, stray: float = 0.0) -> Tensor:
    """Bounding boxes of masks; outermost rows and columns with few cells are left out.

    Args:
        masks: bool (…, h, w).
        stray: largest fraction of a mask's cells beyond each side of its box.

    Returns:
        (…, 4), x0, y0, x1, y1 as fractions of the image side; 0 for an empty mask.
    """
    ends = []
    for axis in (-2, -1):  # collapse rows for x, columns for y
        cells = masks.sum(axis)
        size, most = cells.shape[-1], stray * cells.sum(-1, keepdim=True)
        first = (cells.cumsum(-1) <= most).sum(-1)
        last = size - (cells.flip(-1).cumsum(-1) <= most).sum(-1)
        ends.append((first.clamp(max=last), last, size))
    (x0, x1, w), (y0, y1, h) = ends
    return torch.stack((x0 / w, y0 / h, x1 / w, y1 / h), -1)


def hull_area(masks: Tensor) -> Tensor:
    r"""Area, in cells, of the convex hull of each mask, a polygon of 16 sides: (…,) from (…, h, w).

    With :math:`s_i` the support of the cells' outlines in direction :math:`i \delta`,
    :math:`\delta = \pi/8`, side i of the polygon has the length
    :math:`\ell_i = (s_{i-1} + s_{i+1} - 2 s_i \cos\delta) / \sin\delta`, and the area is
    :math:`\frac{1}{2} \sum_i s_i \ell_i`. Outlines, not centres, so that a full rectangle is its
    own hull. The first and the last cell of each row determine the hull.
    """
    h, w = masks.shape[-2:]
    columns = torch.arange(w, device=masks.device, dtype=torch.float32)
    first = torch.where(masks, columns, w).amin(-1)
    last = torch.where(masks, columns, -1).amax(-1)
    angles = torch.arange(_DIRECTIONS, device=masks.device) * (math.pi / _DIRECTIONS)
    sin, cos = angles.sin(), angles.cos()
    rows = torch.arange(h, device=masks.device)[:, None, None]
    along = rows * sin + torch.stack((first, last), -1)[..., None] * cos  # (…, h, 2, 8)
    empty = (last < 0)[..., None, None]
    high = along.masked_fill(empty, -math.inf).amax((-3, -2))
    low = along.masked_fill(empty, math.inf).amin((-3, -2))
    support = torch.cat((high, -low), -1) + (sin.abs() + cos.abs()).repeat(2) / 2
    delta = math.pi / _DIRECTIONS
    both = support.roll(1, -1) + support.roll(-1, -1)
    side = (both - 2 * math.cos(delta) * support) / math.sin(delta)
    area = (support * side).sum(-1) / 2
    return torch.where((last >= 0).any(-1), area, 0)
