"""Grouping by boxes and colour together: beyond the paper, for objects that touch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from denf.model.extents import unite
from denf.model.settings import Instances
from denf.model.suppression import box_iou, means_of

_DARK = 0.1  # added to the brightness that divides colours, so that dark cells differ little
_BRIGHTNESS = 0.3  # weight of brightness, which shading changes within an object
_WINDOW = 3  # cells over which colours are averaged


def chroma(images: Tensor, present: Tensor) -> Tensor:
    r"""Two colour differences relative to brightness, and the brightness, per cell: (B, h, w, 3).

    With r, g, b the means of a cell and :math:`\ell = (r + g + b)/3`:
    :math:`\left(\frac{r - g}{\ell + 0.1}, \frac{(r + g)/2 - b}{\ell + 0.1}, 0.3\,\ell\right)`,
    averaged over the present cells of a 3 × 3 window.

    Args:
        images: uint8 (B, 3, H, W).
        present: bool (B, h, w).
    """
    h, w = present.shape[1:]
    r, g, b = functional.adaptive_avg_pool2d(images.float() / 255, (h, w)).unbind(1)
    brightness = (r + g + b) / 3
    relative = brightness + _DARK
    features = torch.stack(
        ((r - g) / relative, ((r + g) / 2 - b) / relative, _BRIGHTNESS * brightness), 1
    )
    weight = present[:, None].float()
    total, cells = (
        functional.avg_pool2d(x, _WINDOW, stride=1, padding=_WINDOW // 2)
        for x in (features * weight, weight)
    )
    return (total / cells.clamp(min=1 / _WINDOW**2)).permute(0, 2, 3, 1)


def group_by_appearance(
    proposals: Tensor,
    colours: Tensor,
    cells: Tensor,
    side: float,
    settings: Instances,
    least_cells: int,
) -> tuple[Tensor, Tensor]:
    r"""Objects as average-linkage clusters of cells whose boxes and colours agree.

    The distance of two cells is :math:`1 - \mathrm{IoU} + w \lVert c - c' \rVert`: boxes that do
    not overlap and colours that differ by 1/w weigh the same. Each cell of a cluster with fewer
    than `least_cells` cells joins the cluster whose box its own box overlaps most. Last, clusters
    whose boxes fit one extent become one (`denf.model.extents`), with :math:`w c` as features, so
    that a highlight returns to its object.

    Args:
        proposals: (M, 4), x0, y0, x1, y1.
        colours: (M, 3) of the same cells, see `chroma`.
        cells: centres of the same cells, (M, 2), rows then columns.
        side: of a cell, fraction of the image side.
        settings: thresholds; `appearance` has w and the mean distance at which clusters stay apart.
        least_cells: fewest cells of a cluster; the largest cluster is always kept.

    Returns:
        boxes (K, 4), each the mean of its cells' proposals, and for each proposal a label in 1…K.
    """
    assert settings.appearance is not None
    weight = settings.appearance.weight
    if len(proposals) < 2:
        return proposals, torch.ones(len(proposals), dtype=torch.long, device=proposals.device)
    distance = 1 - box_iou(proposals, proposals) + weight * torch.cdist(colours, colours)
    members = _average_linkage(distance, settings.appearance.distance)
    boxes, count = means_of(proposals, members, int(members.max()) + 1)
    large = count >= count.max().clamp(max=least_cells)
    boxes = boxes[large]
    rank, nearest = large.cumsum(0) - 1, box_iou(proposals, boxes).argmax(1)
    members = torch.where(large[members], rank[members], nearest)
    if settings.tolerance is not None:
        members = unite(proposals, cells, members, side, settings.tolerance, weight * colours)
        boxes, _ = means_of(proposals, members, int(members.max()) + 1)
    return boxes, members + 1


def _average_linkage(distance: Tensor, largest: float) -> Tensor:
    """Clusters 0…K − 1 of M ≥ 2 points, (M,), merged while nearer than `largest` to each other."""
    from scipy.cluster.hierarchy import fcluster, linkage  # late: few runs need it

    upper = torch.triu_indices(len(distance), len(distance), 1, device=distance.device)
    tree = linkage(distance[upper[0], upper[1]].detach().cpu().numpy(), "average")
    clusters = torch.from_numpy(fcluster(tree, largest, "distance")).long() - 1
    return clusters.to(distance.device)
