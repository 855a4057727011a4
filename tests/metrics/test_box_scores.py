"""Boxes against masks, compared with loops over scenes and objects and torchvision's overlap."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor
from torchvision.ops import box_iou as torchvision_iou

from denf.metrics.boxes import box_iou, visible_boxes

SEEDS = st.integers(0, 2**31)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))


def scenes(seed: int, size: tuple[int, int, int], objects: int = 4) -> Tensor:
    """Rectangles over one another; some labels are hidden or missing."""
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = size
    truth = torch.zeros(size, dtype=torch.uint8)
    for b in range(batch):
        for label in torch.randperm(objects, generator=generator)[: objects - 1] + 1:
            y, x = (int(torch.randint(n, (), generator=generator)) for n in (height, width))
            truth[b, y : y + height // 2 + 1, x : x + width // 3 + 1] = label
    return truth


def proposals(seed: int, batch: int, n: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes partly beyond the image, some inside out, and anchors in and around the image."""
    generator = torch.Generator().manual_seed(seed + 1)
    low = 1.4 * torch.rand(batch, n, 2, generator=generator) - 0.2
    high = low + torch.rand(batch, n, 2, generator=generator) - 0.1
    anchors = 1.2 * torch.rand(batch, n, 2, generator=generator) - 0.1
    present = torch.rand(batch, n, generator=generator) < 0.7
    return torch.cat((low, high), -1), anchors, present


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_visible_boxes_are_those_of_scipy(seed, size):
    truth = scenes(seed, size)
    found = visible_boxes(truth)
    _, height, width = size
    assert found.shape == (size[0], int(truth.max()), 4)
    for mask, boxes in zip(truth.numpy(), found, strict=True):
        slices = ndimage.find_objects(mask, max_label=len(boxes))
        for place, box in zip(slices, boxes, strict=True):
            if place is None:
                assert box.isnan().all()
                continue
            rows, columns = place
            expected = (columns.start / width, rows.start / height,
                        columns.stop / width, rows.stop / height)  # fmt: skip
            assert tuple(box.tolist()) == expected


def plain_box_iou(truth: Tensor, boxes: Tensor, anchors: Tensor, present: Tensor) -> float:
    """One scene, object by object."""
    height, width = truth.shape
    scores = []
    for label in sorted(set(truth.flatten().tolist()) - {0}):
        rows, columns = (truth == label).nonzero(as_tuple=True)
        true = torch.tensor([
            int(columns.min()) / width, int(rows.min()) / height,
            (int(columns.max()) + 1) / width, (int(rows.max()) + 1) / height,
        ])  # fmt: skip
        own = []
        for box, (x, y), there in zip(boxes, anchors.tolist(), present, strict=True):
            i, j = math.floor(y * height), math.floor(x * width)
            if there and 0 <= i < height and 0 <= j < width and truth[i, j] == label:
                proper = bool((box[2:] > box[:2]).all())
                own.append(torchvision_iou(box[None], true[None]).item() if proper else 0.0)
        if own:
            scores.append(sum(own) / len(own))
    return sum(scores) / len(scores) if scores else math.nan


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_the_score_is_the_mean_over_objects_of_the_mean_over_their_proposals(seed, size):
    truth, given_boxes = scenes(seed, size), proposals(seed, size[0])
    found = box_iou(truth, *given_boxes)
    parts = zip(truth, *given_boxes, strict=True)
    expected = torch.tensor([plain_box_iou(*part) for part in parts], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_true_boxes_score_one_and_order_does_not_matter(seed, size):
    truth = scenes(seed, size)
    batch, height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    anchors = torch.stack(((x + 0.5) / width, (y + 0.5) / height), -1).flatten(0, 1)
    anchors = anchors.expand(batch, -1, -1)
    true = torch.nn.functional.pad(visible_boxes(truth), (0, 0, 1, 0))
    boxes = true.gather(1, truth.flatten(1).long()[..., None].expand(-1, -1, 4))
    present = torch.ones(batch, height * width, dtype=torch.bool)
    found = box_iou(truth, boxes, anchors, present)
    shown = (truth > 0).flatten(1).any(1)
    torch.testing.assert_close(found[shown], torch.ones_like(found[shown]))
    assert found[~shown].isnan().all()
    order = torch.randperm(height * width, generator=torch.Generator().manual_seed(seed))
    worse = boxes + 0.1
    torch.testing.assert_close(
        box_iou(truth, worse[:, order], anchors[:, order], present),
        box_iou(truth, worse, anchors, present),
        equal_nan=True,
    )


def test_proposals_that_are_absent_beyond_the_image_or_not_finite():
    truth = torch.zeros(4, 4, 4, dtype=torch.long)
    truth[:, :2, :2] = 3  # labels need not be dense
    box = torch.tensor([0.0, 0.0, 0.5, 0.5])
    boxes = box.repeat(4, 2, 1)
    boxes[3, 1] = torch.nan
    anchors = torch.full((4, 2, 2), 0.25)
    anchors[1] = torch.tensor([1.0, 0.25])  # the right border is outside
    anchors[2] = torch.nan
    present = torch.tensor([[True, True], [True, True], [True, True], [True, True]])
    found = box_iou(truth, boxes, anchors, present)
    assert found[0] == 1
    assert found[1].isnan()
    assert found[2].isnan()
    assert found[3] == 0.5  # the mean of 1 and nothing
    assert box_iou(truth, boxes, anchors, ~present).isnan().all()
    assert box_iou(torch.zeros_like(truth), boxes, anchors, present).isnan().all()
    nothing = (boxes[:, :0], anchors[:, :0], present[:, :0])
    assert box_iou(truth, *nothing).isnan().all()


def test_shapes_that_do_not_fit_are_refused():
    truth, boxes = torch.zeros(2, 4, 4, dtype=torch.long), torch.zeros(2, 3, 4)
    anchors, present = torch.zeros(2, 3, 2), torch.ones(2, 3, dtype=torch.bool)
    box_iou(truth, boxes, anchors, present)
    for wrong, message in (
        ((truth[0], boxes, anchors, present), r"truth: expected integers \(B, H, W\)"),
        ((truth.float(), boxes, anchors, present), r"truth: expected integers"),
        ((truth, boxes[..., :2], anchors, present), r"boxes: expected \(2, 3, 4\)"),
        ((truth, boxes, anchors[:, :2], present), r"anchors: expected \(2, 3, 2\)"),
        ((truth, boxes, anchors, present.long()), r"present: expected bool \(2, N\)"),
    ):
        with pytest.raises(ValueError, match=message):
            box_iou(*wrong)
