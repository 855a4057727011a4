"""Components of the presence map that count as one object, and the boxes around them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from denf.model.masks import boxes_of, hull_area, masks_of
from denf.model.settings import Components as Settings

MOST = 16  # components considered per image and erosion, the largest ones
_STILL_FREE = 0.9  # least fraction of a part's cells that belong to no earlier part
_KEPT = 2 * MOST  # components after erosion, whole ones first, then the largest


@dataclass(frozen=True)
class Components:
    """The 8-connected components of the present cells of B images, padded to K.

    Args:
        labels: (B, h, w) long, 0 where there is no component, else 1…K.
        whole: (B, K) bool, whether a component counts as one object; False for padding.
        convex: (B, K) bool, those that passed at the solidity of an object that nothing hides.
    """

    labels: Tensor
    whole: Tensor
    convex: Tensor

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
    are grown back within the component, and the same test decides which of them are whole. A part
    that has grown back is smoother than the component, so that two objects with a shallow notch may
    pass as one. Cells that no part has taken are tested last, with a lower solidity: an object that
    another one hides in part may be too thin to survive the erosion that separates the two.

    Args:
        present: bool (B, h, w).
        settings: thresholds.
    """
    labels = _largest(connected(present))
    whole = _pass(labels, settings, settings.solidity)
    found = Components(labels, whole, convex=whole)
    rest = present & ~_chosen(labels, whole)
    eroded, free = rest, rest
    rounds = round(settings.erosion * present.shape[1])
    for k in range(1, rounds + 1):
        eroded = _eroded(eroded)
        parts = _grown(_largest(connected(eroded)), rest, k + 1)
        passing = _pass(parts, settings, settings.solidity) & (_share(parts, free) >= _STILL_FREE)
        found, free = _with(found, free, parts, passing, convex=passing)
    if rounds:
        left = _largest(connected(free))
        passing = _pass(left, settings, settings.solidity_left)
        found, _ = _with(found, free, left, passing, convex=torch.zeros_like(passing))
    return _kept(found)


def _with(
    found: Components, free: Tensor, parts: Tensor, passing: Tensor, convex: Tensor
) -> tuple[Components, Tensor]:
    """Components with the passing ones of `parts` after them, and the cells that are still free."""
    taken = _chosen(parts, passing) & free
    labels = torch.where(taken, parts + found.whole.shape[1], found.labels)
    whole, convex = torch.cat((found.whole, passing), 1), torch.cat((found.convex, convex), 1)
    return Components(labels, whole, convex), free & ~taken


def _kept(found: Components) -> Components:
    """The first components by wholeness and size, numbered anew; cells of others get 0.

    Numbers grow with each erosion, and most of them have no cell: masks of all would be slow.
    """
    cells = _sizes(found.labels, found.whole.shape[1])
    first = cells + found.whole * found.labels[0].numel()
    labels, chosen = _ranked(found.labels, first, _KEPT)
    return Components(labels, found.whole.gather(1, chosen), found.convex.gather(1, chosen))


def _largest(numbers: Tensor) -> Tensor:
    """Numbers of components (B, h, w) replaced by rank: 1…MOST by decreasing size; others 0."""
    return _ranked(numbers, _sizes(numbers, numbers[0].numel()), MOST)[0]


def _sizes(numbers: Tensor, count: int) -> Tensor:
    """Cells of each of the components 1…count of a map (B, h, w): long (B, count)."""
    flat = numbers.flatten(1)
    cells = torch.zeros(len(flat), count + 1, dtype=torch.long, device=numbers.device)
    return cells.scatter_add_(1, flat, torch.ones_like(flat))[:, 1:]


def _ranked(numbers: Tensor, value: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Numbers replaced by rank, 1…most by decreasing value, others 0, and the index of each rank.

    Args:
        numbers: (B, h, w) in 0…K.
        value: long (B, K), at least 0, and 0 for numbers without a cell.
        most: ranks.
    """
    columns = value.shape[1]
    value, chosen = value.topk(min(most, columns), dim=1)
    rank = torch.arange(1, value.shape[1] + 1, device=numbers.device) * (value > 0)
    ranks = torch.zeros(len(numbers), columns + 1, dtype=torch.long, device=numbers.device)
    ranks.scatter_(1, chosen + 1, rank)
    return ranks.gather(1, numbers.flatten(1)).view_as(numbers), chosen


def _pass(labels: Tensor, settings: Settings, least_solidity: float) -> Tensor:
    """Whether each of the components 1…MOST counts as one object: bool (B, MOST)."""
    masks = masks_of(labels, MOST)
    boxes, cells = boxes_of(masks), masks.sum((-2, -1))
    sides = torch.maximum(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1])
    least = max(settings.least_cells, round(settings.least_area * labels[0].numel()))
    solidity = cells / hull_area(masks).clamp(min=1)
    large, compact = cells >= least, solidity >= least_solidity
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
    return ~_highest_around(~present, outside=1)


def _grown(labels: Tensor, region: Tensor, steps: int) -> Tensor:
    """Components grown by `steps` cells within a region; where two meet, the higher number wins."""
    for _ in range(steps):
        labels = torch.where((labels == 0) & region, _highest_around(labels), labels)
    return labels


def _highest_around(values: Tensor, outside: int = 0) -> Tensor:
    """Largest value of each 3 × 3 neighbourhood of a map (B, h, w) of integers or bools.

    Four maxima of shifted views; on a CPU `max_pool2d` of maps of this size takes twice as long.
    """
    padded = functional.pad(values, (1, 1, 1, 1), value=outside)
    three = torch.maximum(padded[:, :-2], padded[:, 1:-1]).maximum(padded[:, 2:])
    return torch.maximum(three[..., :-2], three[..., 1:-1]).maximum(three[..., 2:])


def connected(present: Tensor) -> Tensor:
    """8-connected components: one number in 1…h·w per component, 0 in absent cells; long (B, h, w).

    Every cell starts as a component of its own. In each round a component points to the highest
    number next to it, and takes the number at the end of its chain of pointers. The number of
    rounds is fixed on a GPU, so that a CUDA graph can record them.
    """
    b, h, w = present.shape
    rounds = math.ceil(math.log2(max(2, h * w)))
    label = torch.arange(1, h * w + 1, device=present.device).view(1, h, w) * present
    nothing = torch.zeros(b, h * w + 1, dtype=torch.long, device=present.device)
    for _ in range(rounds):
        before = label
        near = _highest_around(label)
        numbers = label.flatten(1)
        target = nothing.scatter_reduce(1, numbers, (near * present).flatten(1), "amax")
        for _ in range(rounds):  # each round halves the chains of pointers
            target = target.gather(1, target)
        label = target.gather(1, numbers).view(b, h, w)
        if not label.is_cuda and torch.equal(label, before):
            break
    return label


def box_targets(components: Components, stray: float) -> BoxTargets:
    r"""The component's box for each cell of a whole component; no target for other cells.

    A cell of a component with n cells has weight :math:`1/\sqrt n`, so the weight of an object
    grows with the square root of its number of cells. Source: section 3.1.4, "the pair (z_scale,
    z_loc) indicates the bounding box of the object that cell (i, j) belongs to".

    Args:
        components: of presence.
        stray: largest fraction of a component's cells beyond each side of its box.
    """
    masks = components.masks
    weight = components.whole / masks.sum((-2, -1)).clamp(min=1).sqrt()

    def of_cells(values: Tensor) -> Tensor:
        padded = functional.pad(values, (0, 0, 1, 0))  # number 0: no component
        index = components.labels.flatten(1)[..., None].expand(-1, -1, values.shape[2])
        return padded.gather(1, index)

    return BoxTargets(of_cells(boxes_of(masks, stray)), of_cells(weight[..., None])[..., 0])
