"""Proposed boxes against true masks: intersection over union with the objects' visible boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.metrics.objects import check_masks


def visible_boxes(truth: Tensor) -> Tensor:
    """Bounding boxes of the visible pixels of every object.

    A pixel in column x and row y covers [x/W, (x+1)/W] × [y/H, (y+1)/H].

    Args:
        truth: (B, H, W) integers; 0 is the background.

    Returns:
        (B, K, 4) float64, K the largest label: x0, y0, x1, y1 as fractions of the image sides, of
        labels 1…K; NaN for a label without a pixel.
    """
    check_masks("truth", truth)
    batch, height, width = truth.shape
    labels = truth.flatten(1).long()
    rows, columns = (
        axis.flatten().expand(batch, -1)
        for axis in torch.meshgrid(
            torch.arange(height, device=truth.device),
            torch.arange(width, device=truth.device),
            indexing="ij",
        )
    )
    bins = int(labels.max()) + 1 if labels.numel() else 1

    def extreme(values: Tensor, side: int, reduce: str) -> Tensor:
        start = values.new_full((batch, bins), side if reduce == "amin" else -1)
        return start.scatter_reduce(1, labels, values, reduce)[:, 1:].double()

    x0, y0 = extreme(columns, width, "amin") / width, extreme(rows, height, "amin") / height
    x1 = (extreme(columns, width, "amax") + 1) / width
    y1 = (extreme(rows, height, "amax") + 1) / height
    boxes = torch.stack((x0, y0, x1, y1), -1)
    return boxes.masked_fill((x1 <= 0)[..., None], torch.nan)


def box_iou(truth: Tensor, boxes: Tensor, anchors: Tensor, present: Tensor) -> Tensor:
    """Intersection over union of proposed boxes with the objects that they belong to.

    A proposal belongs to the object that its anchor lies on. The score of an object is the mean
    IoU of its proposals' boxes with its visible bounding box, that of a scene the mean over the
    objects with a proposal. Boxes are not clipped to the image; one that is not finite overlaps
    nothing.

    Args:
        truth: (B, H, W) integers; 0 is the background.
        boxes: (B, N, 4), x0, y0, x1, y1 as fractions of the image sides.
        anchors: (B, N, 2), x, y as fractions of the image sides.
        present: (B, N) bool; other proposals are left out.

    Returns:
        (B,) float64 in [0, 1]; NaN where no present proposal is anchored on an object.

    Raises:
        ValueError: on shapes that do not fit.
    """
    _check_proposals(truth, boxes, anchors, present)
    owners = _labels_at(truth, anchors).masked_fill(~present, 0)
    true = torch.nn.functional.pad(visible_boxes(truth), (0, 0, 1, 0))  # label 0 gets no box
    own = true.gather(1, owners[..., None].expand(-1, -1, 4))
    overlap = _paired_iou(boxes.double(), own).nan_to_num(nan=0).masked_fill(owners == 0, 0)
    shape = true.shape[:2]
    total = overlap.new_zeros(shape).scatter_add(1, owners, overlap)
    votes = overlap.new_zeros(shape).scatter_add(1, owners, torch.ones_like(overlap))
    return (total / votes)[:, 1:].nanmean(1)  # 0 / 0 for an object without a proposal


def _labels_at(truth: Tensor, points: Tensor) -> Tensor:
    """The label of the pixel that each point (B, N, 2) lies in, 0 outside the image: (B, N)."""
    height, width = truth.shape[1:]
    inside = ((points >= 0) & (points < 1)).all(-1)
    x, y = points.masked_fill(~inside[..., None], 0).double().unbind(-1)
    pixel = (y * height).long() * width + (x * width).long()
    return truth.flatten(1).long().gather(1, pixel).masked_fill(~inside, 0)


def _paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (…, 4), pair by pair."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1) for box in (a, b)]
    return both / (areas[0] + areas[1] - both)


def _check_proposals(truth: Tensor, boxes: Tensor, anchors: Tensor, present: Tensor) -> None:
    check_masks("truth", truth)
    if present.ndim != 2 or present.dtype != torch.bool or len(present) != len(truth):
        raise ValueError(
            f"present: expected bool ({len(truth)}, N), got {present.dtype} {tuple(present.shape)}"
        )
    for name, values, last in (("boxes", boxes, 4), ("anchors", anchors, 2)):
        if values.shape != (*present.shape, last):
            raise ValueError(
                f"{name}: expected {(*present.shape, last)}, got {tuple(values.shape)}"
            )
