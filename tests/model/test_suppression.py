"""Overlap and suppression against torchvision's."""

from __future__ import annotations

import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from denf.model.suppression import box_iou, suppress


def boxes(count: int, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g)
    return torch.cat((corner, corner + 0.01 + 0.5 * torch.rand(count, 2, generator=g)), 1)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), counts=st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_overlap(seed, counts):
    a, b = boxes(counts[0], seed), boxes(counts[1], seed + 1)
    torch.testing.assert_close(box_iou(a, b), torchvision.ops.box_iou(a, b))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 60), overlap=st.floats(0, 1))
def test_suppression(seed, count, overlap):
    candidates = boxes(count, seed)
    scores = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    expected = torchvision.ops.nms(candidates, scores, overlap)
    assert torch.equal(suppress(candidates, scores, overlap), expected)


def test_the_first_of_equal_scores_stays():
    same = boxes(1, 0).expand(3, 4)
    assert suppress(same, torch.ones(3), 0.5).tolist() == [0]
