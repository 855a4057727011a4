"""Components of the presence map that count as one object, and the boxes around them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from denf.model.settings import Components as Settings

MOST = 16  # components considered per image and erosion, the largest ones
_STILL_FREE = 0.9  # least fraction of a part's cells that belong to no earlier part
_DIRECTIONS = 8  # two half-planes per direction: the hull is a polygon of 16 sides


@dataclass(frozen=True)
class Components:
    """The 8-connected components of the present cells of B images, padded to K.

    Args:
        labels: (B, h, w) long, 0 where there is no component, else 1…K.
        whole: (B, K) bool, whether a component counts as one object; False for padding.
    """

    labels: Tensor
    whole: Tensor

    @property
    def masks(self) -> Tensor:
        """(B, K, h, w) bool."""
        return masks_of(self.labels, self.whole.shape[1])


@dataclass(frozen=True)
class BoxTargets:
    """The box that each cell should propose, and its weight in the loss.

    Args:
        boxes: (B, h·w, 4), x0, y0, x1, y1 as fractions of the image side.
        weight: (B, h·w), at least 0; 0 for cells without a target.
    """

    boxes: Tensor
    weight: Tensor


def find_components(present: Tensor, settings: Settings) -> Components:
    """Components of a presence map, and which of them count as one object.

    A component is whole when it has enough cells, when neither side of its box is longer than an
    object may be, and when it fills its convex hull: two objects that touch leave a notch. Other
    components are eroded cell by cell, which separates touching objects at the notch. The parts
    are grown back within the component, and the same test decides which of them are whole.

    Args:
        present: bool (B, h, w).
        settings: thresholds.
    """
    labels = _largest(connected(present))
    whole = _pass(labels, settings)
    rest = present & ~_chosen(labels, whole)
    eroded, free = rest, rest
    for k in range(1, round(settings.erosion * present.shape[1]) + 1):
        eroded = _eroded(eroded)
        parts = _grown(_largest(connected(eroded)), rest, k + 1)
        passing = _pass(parts, settings) & (_share(parts, free) >= _STILL_FREE)
        taken = _chosen(parts, passing) & free
        labels = torch.where(taken, parts + k * MOST, labels)
        free = free & ~taken
        whole = torch.cat((whole, passing), 1)
    return Components(labels, whole)


def _largest(numbers: Tensor) -> Tensor:
    """Numbers of components (B, h, w) replaced by rank: 1…MOST by decreasing size; others 0."""
    b, h, w = numbers.shape
    flat = numbers.flatten(1)
    cells = torch.zeros(b, h * w + 1, dtype=torch.long, device=numbers.device)
    cells.scatter_add_(1, flat, torch.ones_like(flat))
    cells[:, 0] = 0
    count, chosen = cells.topk(min(MOST, h * w), dim=1)
    rank = torch.arange(1, count.shape[1] + 1, device=numbers.device) * (count > 0)
    ranks = torch.zeros_like(cells).scatter_(1, chosen, rank)
    ranks[:, 0] = 0
    return ranks.gather(1, flat).view(b, h, w)


def _pass(labels: Tensor, settings: Settings) -> Tensor:
    """Whether each of the components 1…MOST counts as one object: bool (B, MOST)."""
    masks = masks_of(labels, MOST)
    boxes, cells = boxes_of(masks), masks.sum((-2, -1))
    sides = torch.maximum(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1])
    least = max(settings.least_cells, round(settings.least_area * labels[0].numel()))
    solidity = cells / hull_cells(masks).clamp(min=1)
    large, compact = cells >= least, solidity >= settings.solidity
    return large & compact & (sides <= settings.longest_side)


def _chosen(labels: Tensor, components: Tensor) -> Tensor:
    """Cells of the components for which (B, K) is true: bool (B, h, w)."""
    padded = functional.pad(components, (1, 0))
    return padded.gather(1, labels.flatten(1)).view_as(labels)


def _share(labels: Tensor, of: Tensor) -> Tensor:
    """Fraction of each component's cells that lie in a map: (B, MOST)."""
    masks = masks_of(labels, MOST)
    cells = masks.sum((-2, -1)).clamp(min=1)
    return (masks & of[:, None]).sum((-2, -1)) / cells


def _eroded(present: Tensor) -> Tensor:
    """Cells whose whole 3 × 3 neighbourhood is present; beyond the image border nothing is."""
    absent = functional.pad((~present).float(), (1, 1, 1, 1), value=1.0)
    return functional.max_pool2d(absent[:, None], 3, stride=1)[:, 0] == 0


def _grown(labels: Tensor, region: Tensor, steps: int) -> Tensor:
    """Components grown by `steps` cells within a region; where two meet, the higher number wins."""
    for _ in range(steps):
        near = functional.max_pool2d(labels[:, None].float(), 3, stride=1, padding=1)[:, 0].long()
        labels = torch.where((labels == 0) & region, near, labels)
    return labels


def masks_of(labels: Tensor, count: int) -> Tensor:
    """Numbers 1…count of a map (B, h, w) as masks: bool (B, count, h, w)."""
    numbers = torch.arange(1, count + 1, device=labels.device)
    return labels[:, None] == numbers[:, None, None]


def connected(present: Tensor) -> Tensor:
    """8-connected components: one number in 1…h·w per component, 0 in absent cells; long (B, h, w).

    Every cell starts as a component of its own. In each round a component points to the highest
    number next to it, and takes the number at the end of its chain of pointers. The number of
    rounds is fixed, so that a CUDA graph can record them.
    """
    b, h, w = present.shape
    rounds = math.ceil(math.log2(max(2, h * w)))
    label = torch.arange(1, h * w + 1, device=present.device).view(1, h, w) * present
    nothing = torch.zeros(b, h * w + 1, dtype=torch.long, device=present.device)
    for _ in range(rounds):
        # float32 holds every integer up to 2²⁴ exactly
        near = functional.max_pool2d(label[:, None].float(), 3, stride=1, padding=1)[:, 0].long()
        numbers = label.flatten(1)
        target = nothing.scatter_reduce(1, numbers, (near * present).flatten(1), "amax")
        for _ in range(rounds):  # each round halves the chains of pointers
            target = target.gather(1, target)
        label = target.gather(1, numbers).view(b, h, w)
    return label


def boxes_of(masks: Tensor) -> Tensor:
    """Bounding boxes of masks (…, h, w), fractions of the side: (…, 4), 0 for an empty mask."""
    ends = []
    for axis in (-2, -1):  # collapse rows for x, columns for y
        occupied = masks.any(axis)
        cells = torch.arange(occupied.shape[-1], device=masks.device)
        size = occupied.shape[-1]
        first = torch.where(occupied, cells, size).amin(-1)
        last = torch.where(occupied, cells + 1, 0).amax(-1)
        ends.append((first.clamp(max=last), last, size))
    (x0, x1, w), (y0, y1, h) = ends
    return torch.stack((x0 / w, y0 / h, x1 / w, y1 / h), -1)


def hull_cells(masks: Tensor) -> Tensor:
    """Cells within the convex hull of each mask, a polygon of 16 directions: (…,) from (…, h, w).

    The hull is that of the cells' outlines, not of their centres, so that a full rectangle,
    upright or tilted, is its own hull.
    """
    h, w = masks.shape[-2:]
    rows = torch.arange(h, device=masks.device, dtype=torch.float32)[:, None]
    columns = torch.arange(w, device=masks.device, dtype=torch.float32)
    inside = torch.ones_like(masks)
    for k in range(_DIRECTIONS):
        angle = math.pi * k / _DIRECTIONS
        along = rows * math.sin(angle) + columns * math.cos(angle)
        half = (abs(math.sin(angle)) + abs(math.cos(angle))) / 2  # half extent of a cell
        high = torch.where(masks, along, -math.inf).amax((-2, -1), keepdim=True) + half
        low = torch.where(masks, along, math.inf).amin((-2, -1), keepdim=True) - half
        inside = inside & (along <= high) & (along >= low)
    return inside.sum((-2, -1)) * masks.any(-1).any(-1)


def box_targets(components: Components) -> BoxTargets:
    r"""The component's box for each cell of a whole component; no target for other cells.

    A cell of a component with n cells has weight :math:`1/\sqrt n`, so the weight of an object
    grows with the square root of its number of cells. Source: section 3.1.4, "the pair (z_scale,
    z_loc) indicates the bounding box of the object that cell (i, j) belongs to".
    """
    masks = components.masks
    weight = components.whole / masks.sum((-2, -1)).clamp(min=1).sqrt()

    def of_cells(values: Tensor) -> Tensor:
        padded = functional.pad(values, (0, 0, 1, 0))  # number 0: no component
        index = components.labels.flatten(1)[..., None].expand(-1, -1, values.shape[2])
        return padded.gather(1, index)

    return BoxTargets(of_cells(boxes_of(masks)), of_cells(weight[..., None])[..., 0])
