"""From present cells to instances: boxes, non-maximum suppression, labels (section 3.1.5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou, nms

from denf.model.boxes import cell_boxes, cell_centres, corners
from denf.model.denf import to_pixels
from denf.model.latents import Latents
from denf.model.settings import Instances


@dataclass(frozen=True)
class Decomposition:
    """Instances of a batch of images.

    Args:
        labels: (B, H, W), 0 where no cell is present, else 1…K.
        object_labels: (B, H, W), 1…K everywhere: the label of the nearest present cell.
        boxes: one tensor (K, 4) an image, x0, y0, x1, y1 as fractions of the image side; box k
            belongs to label k + 1.
    """

    labels: Tensor
    object_labels: Tensor
    boxes: list[Tensor]


def decompose(latents: Latents, shape: tuple[int, int], settings: Instances) -> Decomposition:
    """Group the present cells of each image into objects.

    1. Cells with a positive logit are present. 2. Each proposes a box. 3. Non-maximum suppression,
    scored by how much the other proposals agree, keeps one box an object. 4. A present cell
    belongs to the kept box that its own overlaps most. 5. Every other cell takes, in
    `object_labels`, the label of the nearest present cell.

    Args:
        latents: of the images.
        shape: (H, W) of the images.
        settings: thresholds.
    """
    present = latents.presence_logit > 0
    h, w = present.shape[1:]
    proposals = corners(*cell_boxes(latents))
    rows, columns = cell_centres(h, w, proposals)
    cells = torch.cartesian_prod(rows, columns)
    least_votes = max(1, round(settings.support * h * w))
    labels, nearest, boxes = [], [], []
    for mask, candidates in zip(present.flatten(1), proposals, strict=True):
        kept, members = _group(candidates[mask], settings.overlap, least_votes)
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


def _group(proposals: Tensor, overlap: float, least_votes: int) -> tuple[Tensor, Tensor]:
    """Kept boxes (K, 4) and each proposal's label in 1…K, (M,)."""
    if len(proposals) == 0:
        return proposals, torch.zeros(0, dtype=torch.long, device=proposals.device)
    agreement = box_iou(proposals, proposals)
    kept = nms(proposals, agreement.sum(1), overlap)
    members = agreement[:, kept].argmax(1)
    votes = torch.bincount(members, minlength=len(kept))
    enough = votes >= min(least_votes, int(votes.max()))
    kept = kept[enough]
    return proposals[kept], agreement[:, kept].argmax(1) + 1


def _spread(cells: Tensor, mask: Tensor, members: Tensor) -> Tensor:
    """The label of the nearest present cell for every cell, (h·w,); 1 if none is present."""
    if len(members) == 0:
        return torch.ones(len(cells), dtype=torch.long, device=cells.device)
    distance = torch.cdist(cells, cells[mask])
    return members[distance.argmin(1)]


def inside(box: Tensor, h: int, w: int) -> Tensor:
    """Cells whose centre lies in the box (x0, y0, x1, y1), fractions of the side: (h, w) bool."""
    rows, columns = cell_centres(h, w, box)
    in_rows = (rows >= box[1]) & (rows <= box[3])
    in_columns = (columns >= box[0]) & (columns <= box[2])
    return in_rows[:, None] & in_columns[None, :]
