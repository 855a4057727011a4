"""Groups of cells whose boxes describe one object: boxes against the extent of their own cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denf.model.suppression import box_iou

_STRAY = 0.02  # fraction of a group's cells that may lie beyond each side of its extent
_MEETING = 0.1  # IoU of mean boxes below which two groups are two objects


def unite(
    proposals: Tensor,
    cells: Tensor,
    members: Tensor,
    side: float,
    tolerance: float,
    features: Tensor | None = None,
) -> Tensor:
    r"""Unite groups of cells whose boxes fit the extent of both as well as the extent of each.

    The box of a cell is the bounding box of its object (section 3.1.4). In a part of an object, the
    boxes are therefore larger than the extent of the part's cells; in a group of two objects, they
    are smaller. With :math:`e(G)` the bounding box of the cells of G without the outermost 2 % on
    each side,

    .. math:: F(G) = \sum_{n \in G} \mathrm{IoU}(b_n, e(G)),

    and :math:`\bar c_G` the mean of the features of G, the two groups of the largest

    .. math::
        \frac{F(G \cup H) - F(G) - F(H)}{\min(|G|, |H|)} - \lVert \bar c_G - \bar c_H \rVert

    of all pairs whose mean boxes have an IoU above 0.1 become one, as long as that exceeds
    −`tolerance`; then again with the new group.

    Args:
        proposals: boxes of the present cells, (M, 4), x0, y0, x1, y1, fractions of the image side.
        cells: centres of the same cells, (M, 2), rows then columns.
        members: number of the group of each, (M,).
        side: of a cell, fraction of the image side.
        tolerance: loss of IoU per cell of the smaller group, at least 0.
        features: (M, C) of the same cells; their differences keep groups apart. None: all equal.

    Returns:
        groups (M,), 0…K' − 1.
    """
    # Many small operations: a GPU would only wait for each of them.
    if features is None:
        features = proposals.new_zeros(len(proposals), 1)
    boxes, points, looks = (x.detach().double().cpu() for x in (proposals, cells, features))
    numbers = members.cpu()

    def fit(of: Tensor) -> float:
        return float(box_iou(boxes[of], _extent(points[of], side)[None]).sum())

    def made(of: Tensor) -> _Group:
        return _Group(of, fit(of), boxes[of].mean(0), looks[of].mean(0))

    groups = [made((numbers == k).nonzero()[:, 0]) for k in numbers.unique()]
    gains: dict[tuple[int, int], float] = {}

    def compare(b: int, others: list[int]) -> None:
        if not others:
            return
        overlaps = box_iou(torch.stack([groups[a].box for a in others]), groups[b].box[None])[:, 0]
        for a in torch.tensor(others)[overlaps > _MEETING].tolist():
            g, h = groups[a], groups[b]
            gain = fit(torch.cat((g.cells, h.cells))) - g.fit - h.fit
            apart = float(torch.linalg.vector_norm(g.feature - h.feature))
            gains[a, b] = gain / min(len(g.cells), len(h.cells)) - apart

    for b in range(len(groups)):
        compare(b, list(range(b)))
    gone: set[int] = set()
    while gains:
        (a, b), gain = max(gains.items(), key=lambda item: item[1])
        if gain <= -tolerance:
            break
        gone |= {a, b}
        groups.append(made(torch.cat((groups[a].cells, groups[b].cells))))
        gains = {pair: value for pair, value in gains.items() if gone.isdisjoint(pair)}
        compare(len(groups) - 1, [k for k in range(len(groups) - 1) if k not in gone])
    united = torch.empty_like(numbers)
    for k, group in enumerate(g for i, g in enumerate(groups) if i not in gone):
        united[group.cells] = k
    return united.to(members.device)


@dataclass(frozen=True)
class _Group:
    """Indices of a group's cells, their F, mean box (4,) and mean features (C,)."""

    cells: Tensor
    fit: float
    box: Tensor
    feature: Tensor


def _extent(points: Tensor, side: float) -> Tensor:
    """Bounding box (4,) of the cells at `points` (N, 2), without the outermost ones."""
    low, high = torch.quantile(points, points.new_tensor((_STRAY, 1 - _STRAY)), 0)
    return torch.cat((low.flip(0) - side / 2, high.flip(0) + side / 2))
