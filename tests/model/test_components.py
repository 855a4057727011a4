"""Components of presence against SciPy's labels and hulls; boxes of cells against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage
from scipy.spatial import ConvexHull

from denf.model.components import Components, box_targets, connected, find_components
from denf.model.masks import boxes_of, hull_area
from denf.model.settings import Components as Settings

maps = npst.arrays(
    bool,
    st.tuples(st.integers(1, 3), st.integers(4, 24), st.integers(4, 24)),
    elements=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(maps)
def test_connected_components_are_scipys(present):
    numbers = connected(torch.from_numpy(present)).numpy()
    for found, expected in zip(numbers, present, strict=True):
        labels, count = ndimage.label(expected, np.ones((3, 3)))
        assert ((found > 0) == expected).all()
        assert len(np.unique(found[expected])) == count
        for k in range(1, count + 1):
            assert len(np.unique(found[labels == k])) == 1


def test_a_component_may_wind_through_the_whole_map():
    spiral = torch.zeros(1, 32, 32, dtype=torch.bool)
    for k in range(0, 16, 2):
        spiral[0, k, k : 32 - k] = True
        spiral[0, k : 32 - k, 31 - k] = True
        spiral[0, 31 - k, k : 32 - k] = True
        spiral[0, k + 2 : 32 - k, k] = True
        spiral[0, min(k + 2, 31), k : k + 3] = True
    assert len(torch.unique(connected(spiral)[spiral])) == 1


@settings(max_examples=60, deadline=None)
@given(maps)
def test_boxes_enclose_their_masks(masks):
    h, w = masks.shape[1:]
    for box, mask in zip(boxes_of(torch.from_numpy(masks)), masks, strict=True):
        ys, xs = np.nonzero(mask)
        if len(ys):
            expected = [xs.min() / w, ys.min() / h, (xs.max() + 1) / w, (ys.max() + 1) / h]
            assert box.tolist() == pytest.approx(expected)
        else:
            assert (box[2:] - box[:2] == 0).all()


@settings(max_examples=60, deadline=None)
@given(maps, st.floats(0, 0.49))
def test_a_box_leaves_out_few_cells_beyond_each_side(masks, stray):
    found = boxes_of(torch.from_numpy(masks), stray)
    for box, mask in zip(found.numpy(), masks, strict=True):
        for first, last, cells in (
            (box[0], box[2], mask.sum(0)),
            (box[1], box[3], mask.sum(1)),
        ):
            a, b = round(first * len(cells)), round(last * len(cells))
            if not cells.any():
                assert a == b
                continue
            for outer in (cells[:a], cells[b:]):
                assert outer.sum() <= stray * cells.sum() + 1e-4
            for one_more in (cells[: a + 1], cells[b - 1 :]):
                assert one_more.sum() > stray * cells.sum() - 1e-4


def ellipse(h, w, y, x, a, b, angle):
    rows, columns = np.mgrid[:h, :w]
    u = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    v = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8, 1.2])
def test_hull_is_near_the_convex_hull_of_the_cells(angle):
    one, other = ellipse(64, 64, 30, 24, 14, 9, angle), ellipse(64, 64, 36, 42, 8, 8, 0)
    for mask in (one, one | other):
        ys, xs = np.nonzero(mask)
        outline = np.concatenate(
            [np.stack((ys + dy, xs + dx), 1) for dy in (0, 1) for dx in (0, 1)]
        )
        area = ConvexHull(outline).volume
        cells = float(hull_area(torch.from_numpy(mask)))
        assert area <= cells * (1 + 1e-5) <= 1.08 * area  # a polygon around the hull
    rectangle = torch.zeros(20, 20, dtype=torch.bool)
    rectangle[3:9, 5:17] = True
    assert float(hull_area(rectangle)) == pytest.approx(72, rel=1e-5)
    assert float(hull_area(torch.zeros(20, 20, dtype=torch.bool))) == 0


def test_whole_are_compact_components_of_a_permitted_size():
    present = torch.zeros(1, 64, 64, dtype=torch.bool)
    present[0, 2:12, 2:14] = True  # a block
    present[0, 40, 40] = True  # a speck
    present[0, 30:33, 2:60] = True  # too long
    present[0, 45:60, 5:8] = present[0, 57:60, 5:25] = True  # an L
    found = find_components(present, Settings(erosion=0))
    assert found.whole.sum() == 1
    k = int(found.whole[0].nonzero())
    assert torch.equal(
        found.masks[0, k], present[0] & (torch.arange(64) < 14) & (torch.arange(64)[:, None] < 12)
    )
    assert torch.equal(found.labels > 0, present)


def test_erosion_breaks_objects_apart_that_touch():
    one, other = ellipse(64, 64, 30, 20, 9, 9, 0), ellipse(64, 64, 34, 36, 9, 8, 0)
    assert (one & other).sum() > 0 or ndimage.label(one | other, np.ones((3, 3)))[1] == 1
    present = torch.from_numpy(one | other)[None]
    assert not find_components(present, Settings(erosion=0)).whole.any()
    found = find_components(present, Settings())
    assert found.whole.sum() == 2
    boxes = boxes_of(found.masks)[found.whole]
    expected = boxes_of(torch.from_numpy(np.stack((one, other))))
    order = boxes[:, 0].argsort()
    assert (boxes[order] - expected).abs().max() <= 1.5 / 64


def test_an_object_that_another_hides_in_part_is_what_erosion_leaves():
    front, behind = ellipse(64, 64, 34, 30, 11, 10, 0), ellipse(64, 64, 22, 41, 6, 5, 0)
    present = torch.from_numpy(front | behind)[None]
    assert find_components(present, Settings(solidity_left=1)).whole.sum() == 1
    found = find_components(present, Settings())
    assert found.whole.sum() == 2
    boxes = boxes_of(found.masks)[found.whole]
    expected = boxes_of(torch.from_numpy(np.stack((front, behind & ~front))))
    assert (boxes - expected).abs().max() <= 2 / 64
    assert found.convex[found.whole].tolist() == [True, False]


def test_cells_that_no_part_takes_pass_at_a_lower_solidity():
    present = torch.zeros(1, 64, 64, dtype=torch.bool)
    present[0, 20:36, 20:36] = True
    present[0, 20:26, 30:36] = False  # an L: 0.88 of its hull
    for solidity_left, erosion, whole in ((0.8, 0.15, 1), (1, 0.15, 0), (0.8, 0, 0)):
        settings = Settings(solidity=0.95, solidity_left=solidity_left, erosion=erosion)
        assert find_components(present, settings).whole.sum() == whole


@settings(max_examples=40, deadline=None)
@given(maps)
def test_components_are_numbered_anew_whole_ones_first(present):
    present = torch.from_numpy(present)
    found = find_components(present, Settings(least_cells=1, least_area=0, longest_side=2))
    cells = found.masks.sum((-2, -1))
    assert not (found.labels > 0)[~present].any()
    for whole, size in zip(found.whole.tolist(), cells.tolist(), strict=True):
        assert whole == sorted(whole, reverse=True)
        assert size[: sum(whole)] == sorted(size[: sum(whole)], reverse=True)
        assert size[sum(whole) :] == sorted(size[sum(whole) :], reverse=True)
        assert all(size[: sum(whole)])


def test_targets_leave_out_stray_cells():
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, 4:14, 4:14] = 1
    labels[0, 8, 14:17] = 1  # three cells of 103
    whole = torch.tensor([[True]])
    boxes = [
        box_targets(Components(labels, whole, whole), stray).boxes[0, 8 * 20 + 8].mul(20).round()
        for stray in (0, 0.03)
    ]
    assert [box.tolist() for box in boxes] == [[4, 4, 17, 14], [4, 4, 14, 14]]


def test_targets_are_the_boxes_of_whole_components():
    labels = torch.tensor([[[1, 1, 0, 2], [1, 0, 0, 2], [0, 0, 0, 2]]])
    whole = torch.tensor([[True, False]])
    found = box_targets(Components(labels, whole, whole), stray=0)
    for cell, label in enumerate(labels.flatten().tolist()):
        weight = float(found.weight[0, cell])
        assert weight == pytest.approx(3**-0.5 if label == 1 else 0)
        if label == 1:
            assert found.boxes[0, cell].tolist() == pytest.approx([0, 0, 2 / 4, 2 / 3])


def test_an_empty_map_has_no_targets():
    found = find_components(torch.zeros(2, 8, 8, dtype=torch.bool), Settings())
    assert not found.labels.any()
    assert not found.whole.any()
    assert not box_targets(found, stray=0).weight.any()
