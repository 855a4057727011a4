"""Uniting groups of cells: against the formula, parts of one object, and objects that touch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from denf.model.extents import unite

SIDE = 1 / 32
TOLERANCE = 0.2


def grid(row: float, column: float, height: float, width: float) -> torch.Tensor:
    """Centres of the cells of a rectangle, (M, 2), rows then columns."""
    axis = (torch.arange(32) + 0.5) / 32
    rows = axis[(axis > row) & (axis < row + height)]
    columns = axis[(axis > column) & (axis < column + width)]
    return torch.cartesian_prod(rows, columns)


def box(cells: torch.Tensor) -> torch.Tensor:
    """Their bounding box (4,), x0, y0, x1, y1."""
    low, high = cells.amin(0) - SIDE / 2, cells.amax(0) + SIDE / 2
    return torch.stack((low[1], low[0], high[1], high[0]))


def fit(proposals: torch.Tensor, cells: torch.Tensor) -> float:
    """F(G) by a plain loop over cells."""
    total = 0.0
    low, high = (np.quantile(cells.numpy(), q, axis=0) for q in (0.02, 0.98))
    extent = torch.tensor(
        [[low[1] - SIDE / 2, low[0] - SIDE / 2, high[1] + SIDE / 2, high[0] + SIDE / 2]]
    )
    for proposal in proposals:
        total += float(box_iou(proposal[None].double(), extent)[0, 0])
    return total


def gain(proposals: torch.Tensor, cells: torch.Tensor, g: torch.Tensor, h: torch.Tensor) -> float:
    both = fit(proposals[g | h], cells[g | h])
    parts = fit(proposals[g], cells[g]) + fit(proposals[h], cells[h])
    return (both - parts) / min(int(g.sum()), int(h.sum()))


def test_parts_of_one_object_are_united():
    cells = grid(0.2, 0.2, 0.3, 0.4)
    parts = (cells[:, 1] > 0.4).long()  # both halves propose the box of the whole
    united = unite(box(cells).expand(len(cells), 4), cells, parts, SIDE, 0.0)
    assert united.eq(0).all()


def test_objects_that_touch_stay_apart():
    a, b = grid(0.2, 0.2, 0.3, 0.2), grid(0.2, 0.4, 0.3, 0.2)
    proposals = torch.cat((box(a).expand(len(a), 4), box(b).expand(len(b), 4)))
    parts = torch.arange(2).repeat_interleave(torch.tensor([len(a), len(b)]))
    proposals = proposals + torch.tensor([-0.02, -0.02, 0.02, 0.02])  # somewhat too large
    united = unite(proposals, torch.cat((a, b)), parts, SIDE, TOLERANCE)
    assert torch.equal(united, parts)


def test_a_stray_cell_does_not_change_the_extent():
    cells = grid(0.2, 0.2, 0.4, 0.4)
    stray = torch.tensor([[0.9, 0.9]])
    proposals = box(cells).expand(len(cells) + 1, 4)
    parts = torch.cat(((cells[:, 1] > 0.4).long(), torch.tensor([0])))
    assert unite(proposals, torch.cat((cells, stray)), parts, SIDE, 0.0).eq(0).all()


@pytest.mark.parametrize("count", [0, 1])
def test_one_group_or_none_is_left_alone(count):
    cells = grid(0.2, 0.2, 0.2, 0.2)[:count]
    parts = torch.zeros(count, dtype=torch.long)
    assert torch.equal(unite(torch.rand(count, 4), cells, parts, SIDE, TOLERANCE), parts)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    groups=st.integers(2, 6),
    tolerance=st.floats(0, 0.5),
    spread=st.sampled_from([0.0, 0.3]),
)
def test_no_pair_that_is_left_would_gain_by_uniting(seed, groups, tolerance, spread):
    g = torch.Generator().manual_seed(seed)
    cells = grid(0.1, 0.1, 0.5, 0.6)
    cells = cells[torch.randperm(len(cells), generator=g)[:60]]
    centres, sizes = torch.rand(groups, 2, generator=g), torch.rand(groups, 2, generator=g)
    parts = torch.cdist(cells, centres).argmin(1).unique(return_inverse=True)[1]
    noise = 0.02 * torch.randn(60, 4, generator=g)
    wide = 0.1 + 0.4 * sizes[parts]
    proposals = torch.cat((cells.flip(1) - wide, cells.flip(1) + wide), 1) + noise
    features = spread * torch.randn(60, 3, generator=g)
    united = unite(proposals, cells, parts, SIDE, tolerance, features)
    labels = united.unique().tolist()
    assert labels == list(range(len(labels)))
    for part in parts.unique():  # groups are united, never split
        assert len(united[parts == part].unique()) == 1
    for a in labels:
        for b in labels[:a]:
            in_a, in_b = united == a, united == b
            means = torch.stack((proposals[in_a].mean(0), proposals[in_b].mean(0)))
            if box_iou(means, means)[0, 1] > 0.1 + 1e-6:
                apart = float((features[in_a].mean(0) - features[in_b].mean(0)).norm())
                assert gain(proposals, cells, in_a, in_b) - apart <= -tolerance + 1e-6
