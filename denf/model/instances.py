"""From present cells to instances: boxes, non-maximum suppression, labels (section 3.1.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from denf.model.appearance import chroma, group_by_appearance
from denf.model.boxes import cell_boxes, cell_centres, corners
from denf.model.denf import to_pixels
from denf.model.extents import unite
from denf.model.latents import Latents
from denf.model.settings import Instances
from denf.model.suppression import box_iou, means_of, suppress

_ROUNDS = 3  # of averaging and suppression; in nearly all scenes boxes are constant after two


@dataclass(frozen=True)
class Decomposition:
    """Instances of a batch of images.

    Args:
        labels: (B, H, W), 1…K where a present cell belongs to an object, else 0.
        object_labels: (B, H, W), 1…K everywhere: the label of the nearest such cell.
        boxes: one tensor (K, 4) per image, x0, y0, x1, y1 as fractions of the image side; box k
            belongs to label k + 1.
    """

    labels: Tensor
    object_labels: Tensor
    boxes: list[Tensor]


def decompose(latents: Latents, images: Tensor, settings: Instances) -> Decomposition:
    """Group the present cells of each image into objects.

    1. Cells with a positive logit are present. 2. Each proposes a box. 3. Non-maximum suppression
    leaves one box per object, and parts of one object are united (`group_proposals`). 4. A present
    cell belongs to the box that its own box overlaps most; a cell whose box overlaps none, an
    isolated speck, belongs to no object. 5. In `object_labels`, every other cell takes the label of
    the nearest labelled cell. With `appearance`, clusters of boxes and colours replace suppression
    in step 3, and step 4.

    Args:
        latents: of the images.
        images: uint8 (B, 3, H, W); their colours are used only with `appearance`.
        settings: thresholds.
    """
    shape = (images.shape[2], images.shape[3])
    present = latents.presence_logit > 0
    h, w = present.shape[1:]
    proposals = corners(*cell_boxes(latents))
    rows, columns = cell_centres(h, w, proposals)
    cells = torch.cartesian_prod(rows, columns)
    group = _grouping(images, present, cells, settings)
    labels, nearest, boxes = [], [], []
    for b, mask in enumerate(present.flatten(1)):
        kept, members = group(b, proposals[b][mask])
        members = _without_specks(proposals[b][mask], kept, members)
        flat = members.new_zeros(h * w)
        flat[mask] = members
        labels.append(flat)
        boxes.append(kept)
        nearest.append(_spread(cells, mask, members))
    return Decomposition(
        to_pixels(torch.stack(labels).view(-1, h, w).float(), shape).long(),
        to_pixels(torch.stack(nearest).view(-1, h, w).float(), shape).long(),
        boxes,
    )


def _grouping(
    images: Tensor, present: Tensor, cells: Tensor, settings: Instances
) -> Callable[[int, Tensor], tuple[Tensor, Tensor]]:
    """Map from image b and its present cells' boxes (M, 4) to boxes (K, 4) and labels 1…K, (M,)."""
    least, side = max(1, round(settings.support * present[0].numel())), 1 / present.shape[1]
    of = [cells[mask] for mask in present.flatten(1)]
    if settings.appearance is None:
        return lambda b, proposals: group_proposals(proposals, of[b], side, settings, least)
    colours = chroma(images, present)
    return lambda b, proposals: group_by_appearance(
        proposals, colours[b][present[b]], of[b], side, settings, least
    )


def _without_specks(proposals: Tensor, boxes: Tensor, members: Tensor) -> Tensor:
    """Labels (M,) with 0 for proposals that overlap no box, as long as each box keeps one."""
    if len(proposals) == 0:
        return members
    near = box_iou(proposals, boxes).amax(1) > 0
    return torch.where(near | ~torch.isin(members, members[near]), members, 0)


def group_proposals(
    proposals: Tensor, cells: Tensor, side: float, settings: Instances, least_votes: int
) -> tuple[Tensor, Tensor]:
    """One box per object from the boxes that its cells propose, and the object of each proposal.

    Suppression at `overlap`, scored by agreement, leaves one proposal or a few per object. Then,
    `_ROUNDS` times, each box is replaced by the mean of the proposals that overlap it most, which
    varies far less than a single proposal, and suppression at `merge`, scored by votes, leaves
    fewer. Last, groups of proposals that fit one extent become one (`denf.model.extents`).

    Args:
        proposals: (M, 4), x0, y0, x1, y1.
        cells: centres of the cells that propose them, (M, 2), rows then columns.
        side: of a cell, fraction of the image side.
        settings: thresholds.
        least_votes: fewest proposals of a box; a box with the most votes is always kept.

    Returns:
        boxes (K, 4) and for each proposal a label in 1…K, (M,).
    """
    if len(proposals) == 0:
        return proposals, torch.zeros(0, dtype=torch.long, device=proposals.device)
    agreement = box_iou(proposals, proposals)
    boxes = proposals[suppress(proposals, agreement.sum(1), settings.overlap)]
    for _ in range(_ROUNDS):
        means, votes = _means(proposals, boxes)
        boxes = means[suppress(means, votes, settings.merge)]
    boxes = _supported(proposals, boxes, least_votes)
    if settings.tolerance is not None:
        members = box_iou(proposals, boxes).argmax(1)
        members = unite(proposals, cells, members, side, settings.tolerance)
        boxes, _ = means_of(proposals, members, int(members.max()) + 1)
        boxes = _supported(proposals, boxes, least_votes)
    used, members = box_iou(proposals, boxes).argmax(1).unique(return_inverse=True)
    return boxes[used], members + 1


def _supported(proposals: Tensor, boxes: Tensor, least_votes: int) -> Tensor:
    """Means (K, 4) of the proposals that overlap each box most; see `least_votes` above."""
    means, votes = _means(proposals, boxes)
    return means[votes >= votes.max().clamp(max=least_votes)]


def _means(proposals: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and number of the proposals that overlap each box most; boxes with none are left out."""
    return means_of(proposals, box_iou(proposals, boxes).argmax(1), len(boxes))


def _spread(cells: Tensor, mask: Tensor, members: Tensor) -> Tensor:
    """The label of the nearest labelled cell for every cell, (h·w,); 1 if there is none."""
    labelled = members > 0
    if not labelled.any():
        return torch.ones(len(cells), dtype=torch.long, device=cells.device)
    distance = torch.cdist(cells, cells[mask][labelled])
    return members[labelled][distance.argmin(1)]
