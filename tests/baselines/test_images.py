"""Conversion between uint8 images and floats."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.blocks.images import to_bytes, to_unit


def test_batches_with_the_channels_last_become_contiguous():
    stored = torch.randint(0, 256, (2, 5, 4, 3), dtype=torch.uint8)
    x = to_unit(stored.permute(0, 3, 1, 2))
    assert x.is_contiguous()
    assert torch.equal(x[1, 2], stored[1, :, :, 2] / 255)


@given(level=st.integers(0, 255))
def test_grey_levels_survive_the_round_trip(level):
    images = torch.full((1, 3, 2, 2), level, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_unit(images)), images)
