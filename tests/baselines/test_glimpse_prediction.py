"""Proposals from glimpses: a proposed box is where `glimpse.place` puts its glimpse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.blocks.cells import label_maps
from baselines.blocks.glimpse import place
from baselines.blocks.glimpse_prediction import prediction, proposals


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_box_contains_its_placed_glimpse(seed):
    generator = torch.Generator().manual_seed(seed)
    size = 0.1 + 0.5 * torch.rand(2, 3, 2, generator=generator)
    centre = 1.6 * torch.rand(2, 3, 2, generator=generator) - 0.8
    boxes = torch.cat((size, centre), -1)
    found = proposals(boxes, torch.rand(2, 3, generator=generator))
    side = 100
    drawn = place(torch.ones(2, 3, 1, 8, 8), boxes, (side, side))[:, :, 0]
    for b in range(2):
        for k in range(3):
            rows, columns = (drawn[b, k] > 0.5).nonzero(as_tuple=True)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            seen = torch.stack(seen).float() / side
            # Bilinear glimpses of 8 × 8 pixels fade over the outer half pixel.
            edge = float(size[b, k].max()) / 16 + 1.5 / side
            assert (seen - found.boxes[b, k].clamp(0, 1)).abs().max() < edge
            middle = (found.boxes[b, k, :2] + found.boxes[b, k, 2:]) / 2
            torch.testing.assert_close(found.anchors[b, k], middle)


def test_presence_is_decided_as_in_label_maps():
    presence = torch.tensor([[0.9, 0.5, 0.51], [0.1, 0.2, 0.3]])
    boxes = torch.rand(2, 3, 4)
    masks = torch.full((2, 3, 1, 4, 4), 0.3)
    image = torch.linspace(-0.5, 1.5, 2 * 3 * 16).view(2, 3, 4, 4)
    found = prediction(masks, presence, boxes, canvas=image, background=1 - image)
    assert found.proposals.present.tolist() == [[True, False, True], [False] * 3]
    assert found.proposals.count.tolist() == [2, 0]
    expected = label_maps(masks[:, :, 0], presence)
    assert torch.equal(found.segmentation.labels, expected.labels)
    assert torch.equal(found.segmentation.object_labels, expected.object_labels)
    assert torch.equal(found.reconstruction, image.clamp(0, 1))
    assert torch.equal(found.background, (1 - image).clamp(0, 1))
    assert found.log_prob is None
    assert found.proposals.boxes[..., 2:].sub(found.proposals.boxes[..., :2]).numpy() == (
        pytest.approx(boxes[..., :2].numpy(), abs=1e-6)
    )
