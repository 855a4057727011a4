"""What methods return about images: label maps, proposed boxes, and all of it from one pass."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Segmentation:
    """Two label maps, each (B, H, W) integers.

    Args:
        labels: 0 is background, for methods that distinguish it.
        object_labels: never background; equal to `labels` for methods that do not distinguish it.
    """

    labels: Tensor
    object_labels: Tensor


@dataclass(frozen=True)
class Proposals:
    """The boxes that a method's cells or glimpses propose for objects, N per image.

    Args:
        boxes: (B, N, 4) float, x0, y0, x1, y1 as fractions of the image side; they may reach beyond
            the image.
        anchors: (B, N, 2) float, x, y as fractions of the image side: the point whose object the
            box describes, such as the centre of a cell, or of the box itself.
        present: (B, N) bool, whether there is an object; otherwise the other values of the
            proposal are meaningless.
        count: (B,) integers, number of objects in the image according to the method. Several
            proposals may describe one object.
    """

    boxes: Tensor
    anchors: Tensor
    present: Tensor
    count: Tensor


@dataclass(frozen=True)
class Prediction:
    """What a method infers from images in one pass.

    Args:
        segmentation: see `Method.segment`.
        reconstruction: see `Method.reconstruct`.
        log_prob: see `Method.log_prob`; None where it needs another pass.
        background: see `Method.without_objects`; None where it needs another pass.
        proposals: see `Method.boxes`; None where it needs another pass.
    """

    segmentation: Segmentation
    reconstruction: Tensor
    log_prob: Tensor | None = None
    background: Tensor | None = None
    proposals: Proposals | None = None
