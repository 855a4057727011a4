"""Groups of cells whose boxes describe one object: boxes against the extent of their own cells."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_STRAY = 0.02  # fraction of a group's cells that may lie beyond each side of its extent
_MEETING = 0.1  # IoU of mean boxes below which two groups are two objects
_LEAST_AREA = 1e-12  # of a union of boxes

Floats = NDArray[np.float64]


def unite(
    proposals: Tensor, cells: Tensor, members: Tensor, side: float, tolerance: float
) -> Tensor:
    r"""Unite groups of cells whose boxes fit the extent of both as well as the extent of each.

    The box of a cell is the bounding box of its object (section 3.1.4). In a part of an object, the
    boxes are therefore larger than the extent of the part's cells; in a group of two objects, they
    are smaller. With :math:`e(G)` the bounding box of the cells of G without the outermost 2 % on
    each side,

    .. math:: F(G) = \sum_{n \in G} \mathrm{IoU}(b_n, e(G)),

    and of all pairs whose mean boxes have an IoU above 0.1, the two groups of the largest
    :math:`(F(G \cup H) - F(G) - F(H)) / \min(|G|, |H|)` become one, as long as that exceeds
    −`tolerance`; then again with the new group.

    Args:
        proposals: boxes of the present cells, (M, 4), x0, y0, x1, y1, fractions of the image side.
        cells: centres of the same cells, (M, 2), rows then columns.
        members: group 0…K − 1 of each, (M,).
        side: of a cell, fraction of the image side.
        tolerance: loss of IoU per cell of the smaller group, at least 0.

    Returns:
        groups (M,), 0…K' − 1.
    """
    boxes = proposals.detach().double().cpu().numpy()
    points = cells.detach().double().cpu().numpy()
    numbers = members.cpu().numpy()
    groups = [np.flatnonzero(numbers == k) for k in range(int(numbers.max(initial=-1)) + 1)]

    def fit(group: NDArray[np.intp]) -> float:
        return float(_paired_iou(boxes[group], _extent(points[group], side)).sum())

    fits = [fit(group) for group in groups]
    means = [boxes[group].mean(0) for group in groups]
    gains: dict[tuple[int, int], float] = {}

    def compare(b: int, others: list[int]) -> None:
        if not others:
            return
        meets = _paired_iou(np.stack([means[a] for a in others]), means[b]) > _MEETING
        for a in np.array(others)[meets].tolist():
            gain = fit(np.concatenate((groups[a], groups[b]))) - fits[a] - fits[b]
            gains[a, b] = gain / min(len(groups[a]), len(groups[b]))

    for b in range(len(groups)):
        compare(b, list(range(b)))
    gone: set[int] = set()
    while gains:
        (a, b), gain = max(gains.items(), key=lambda item: item[1])
        if gain <= -tolerance:
            break
        gone |= {a, b}
        groups.append(np.concatenate((groups[a], groups[b])))
        fits.append(fit(groups[-1]))
        means.append(boxes[groups[-1]].mean(0))
        gains = {pair: value for pair, value in gains.items() if gone.isdisjoint(pair)}
        compare(len(groups) - 1, [k for k in range(len(groups) - 1) if k not in gone])
    united = np.empty_like(numbers)
    for k, group in enumerate(g for i, g in enumerate(groups) if i not in gone):
        united[group] = k
    return torch.from_numpy(united).to(members.device)


def _extent(points: Floats, side: float) -> Floats:
    """Bounding box (4,) of the cells at `points` (N, 2), without the outermost ones."""
    (top, left), (bottom, right) = np.quantile(points, (_STRAY, 1 - _STRAY), axis=0)
    return np.array([left, top, right, bottom]) + np.array([-1, -1, 1, 1]) * side / 2


def _paired_iou(boxes: Floats, other: Floats) -> Floats:
    """IoU of each of the boxes (N, 4) with one box (4,): (N,)."""
    low, high = np.maximum(boxes[:, :2], other[:2]), np.minimum(boxes[:, 2:], other[2:])
    shared = (high - low).clip(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (other[2:] - other[:2]).prod()
    return np.asarray(shared / (areas - shared).clip(min=_LEAST_AREA))
