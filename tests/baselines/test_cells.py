"""Label maps of objects over a background, centres of cells, and ramps over steps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.blocks.annealing import Ramp
from baselines.blocks.cells import cell_centres, label_maps
from denf.errors import DenfError
from denf.harness.validation import validate


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_labels_are_the_largest_share_pixel_by_pixel(seed):
    shares = torch.rand(2, 4, 3, 5, generator=torch.Generator().manual_seed(seed)).softmax(1)
    masks = shares[:, 1:]  # the first share is the background's
    found = label_maps(masks, torch.ones(2, 3))
    for b in range(2):
        for y in range(3):
            for x in range(5):
                each = shares[b, :, y, x].tolist()
                assert found.labels[b, y, x] == each.index(max(each))
                assert found.object_labels[b, y, x] == 1 + each[1:].index(max(each[1:]))


def test_cells_without_an_object_have_no_label():
    """The second cell has the largest share everywhere, but no object is present in it."""
    masks = torch.tensor([0.2, 0.6, 0.1])[None, :, None, None].expand(2, -1, 3, 3)
    found = label_maps(masks, torch.tensor([[0.9, 0.4, 0.6], [0.1, 0.5, 0.2]]))
    assert found.labels.eq(0).all()  # 0.7 and 1 are left for the background
    assert found.object_labels[0].eq(1).all()
    assert found.object_labels[1].eq(1).all()
    third = label_maps(masks, torch.tensor([[0.1, 0.4, 0.6]] * 2))
    assert third.object_labels.eq(3).all()


def test_cells_are_counted_row_by_row():
    found = cell_centres(2, torch.zeros(1))
    assert found.tolist() == [[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]]


@settings(max_examples=40, deadline=None)
@given(
    start=st.floats(-5, 5), end=st.floats(-5, 5), first=st.integers(0, 50), steps=st.integers(0, 50)
)
def test_a_ramp_is_constant_outside_and_straight_inside(start, end, first, steps):
    ramp = Ramp(start, end, first=first, last=first + steps)
    assert ramp.at(0) == ramp.at(first) == start
    assert ramp.at(first + steps + 1) == end
    inside = [ramp.at(first + k) for k in range(steps + 1)]
    for a, b, c in zip(inside, inside[1:], inside[2:], strict=False):
        assert b - a == pytest.approx(c - b, abs=1e-9)
    assert all(min(start, end) - 1e-9 <= v <= max(start, end) + 1e-9 for v in inside)


def test_a_ramp_in_a_file_keeps_the_strictness_of_settings():
    assert validate(Ramp, {"start": 1, "end": 0, "first": 0, "last": 9}, where="x").at(9) == 0
    with pytest.raises(DenfError, match="until"):
        validate(Ramp, {"start": 1, "end": 0, "first": 0, "until": 9}, where="x")
