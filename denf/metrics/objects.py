"""Scores of objects: their number in a scene, whether two touch, the fraction of each found."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

TOUCHING = 2  # pixels, Chebyshev distance


def visible_pixels(truth: Tensor) -> Tensor:
    """Pixels of every object: (B, K) int64 of labels 1…K, K the largest label of the batch.

    Args:
        truth: (B, H, W) integers; 0 is the background.
    """
    return _sums(truth, torch.ones_like(truth, dtype=torch.float64)).long()


def count_objects(truth: Tensor) -> Tensor:
    """Number of visible objects of every scene: (B,) int64; truth as for `visible_pixels`."""
    return (visible_pixels(truth) > 0).sum(1)


def touching(truth: Tensor) -> Tensor:
    """Whether two objects of a scene come within `TOUCHING` pixels of each other.

    Pixels at most 2 apart along both axes lie in a common window of 3 × 3 pixels, and a window
    contains two objects where the largest of its labels differs from the smallest.

    Args:
        truth: (B, H, W) integers; 0 is the background.

    Returns:
        (B,) bool.
    """
    check_masks("truth", truth)
    labels = truth.double()[:, None]
    if not labels.numel():
        return torch.zeros(len(truth), dtype=torch.bool, device=truth.device)
    beyond = labels.max() + 1  # above every label, so that the background is never the smallest
    side = TOUCHING + 1
    largest = max_pool2d(labels, side, stride=1, padding=side // 2)
    smallest = beyond - max_pool2d(
        torch.where(labels > 0, beyond - labels, 0), side, stride=1, padding=side // 2
    )
    return ((largest > smallest) & (smallest < beyond)).flatten(1).any(1)


def coverage(truth: Tensor, labels: Tensor) -> Tensor:
    """Fraction of each object's visible pixels that are not predicted to be background.

    Args:
        truth: (B, H, W) integers; 0 is the background.
        labels: (B, H, W) integers; 0 is the predicted background.

    Returns:
        (B, K) float64 in [0, 1] of labels 1…K; NaN for a label without a pixel.

    Raises:
        ValueError: on different shapes.
    """
    if truth.shape != labels.shape:
        raise ValueError(f"labels: expected {tuple(truth.shape)}, got {tuple(labels.shape)}")
    return _sums(truth, (labels != 0).double()) / visible_pixels(truth)


def check_masks(name: str, masks: Tensor) -> None:
    """Refuse anything but a batch of label maps.

    Raises:
        ValueError: for other shapes than (B, H, W), and types that are not integers.
    """
    if masks.ndim != 3 or masks.is_floating_point() or masks.is_complex():
        raise ValueError(
            f"{name}: expected integers (B, H, W), got {masks.dtype} {tuple(masks.shape)}"
        )


def _sums(truth: Tensor, values: Tensor) -> Tensor:
    """Sums of values (B, H, W) over the pixels of labels 1…K: (B, K) float64."""
    check_masks("truth", truth)
    labels = truth.flatten(1).long()
    bins = int(labels.max()) + 1 if labels.numel() else 1
    start = values.new_zeros(len(truth), bins)
    return start.scatter_add(1, labels, values.flatten(1))[:, 1:]
