"""Objects one by one, compared with loops and SciPy's distances."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from denf.metrics.boxes import box_iou
from denf.metrics.objects import count_objects, coverage, touching, visible_pixels
from denf.metrics.psnr import squared_errors

SEEDS = st.integers(0, 2**31)
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 10), st.integers(1, 10))


def sparse(seed: int, size: tuple[int, int, int], labels: int = 4) -> Tensor:
    """A few pixels of a few labels, so that both answers occur."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, labels, size) * (rng.random(size) < rng.random() * 0.2)
    return torch.from_numpy(truth.astype(np.uint8))


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_pixels_and_objects_are_counted(seed, size):
    truth = sparse(seed, size)
    pixels, objects = visible_pixels(truth), count_objects(truth)
    for b, mask in enumerate(truth.numpy()):
        expected = np.bincount(mask.ravel(), minlength=pixels.shape[1] + 1)[1:]
        np.testing.assert_array_equal(pixels[b], expected)
        assert objects[b] == len(set(mask.ravel()) - {0})


def plain_touching(mask: np.ndarray) -> bool:
    """Some object's Chebyshev distance to a pixel of another is at most 2."""
    for label in set(mask.ravel()) - {0}:
        distance = ndimage.distance_transform_cdt(mask != label, metric="chessboard")
        if (distance[(mask != label) & (mask > 0)] <= 2).any():
            return True
    return False


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_touching_is_a_chebyshev_distance_of_two(seed, size):
    truth = sparse(seed, size)
    found = touching(truth)
    assert found.dtype == torch.bool
    assert found.tolist() == [plain_touching(mask) for mask in truth.numpy()]
    assert torch.equal(touching(truth.transpose(1, 2)), found)
    assert torch.equal(touching(torch.where(truth > 0, 200 - truth.long(), 0)), found)


@pytest.mark.parametrize("step", [(0, 2), (2, 0), (2, 1), (2, -2), (1, 1)])
def test_the_border_of_touching(step):
    for further in (0, 1):
        truth = torch.zeros(1, 9, 9, dtype=torch.uint8)
        truth[0, 3, 4] = 1
        largest = max(range(2), key=lambda k: abs(step[k]))
        to = [3 + step[0], 4 + step[1]]
        to[largest] += further * (3 - abs(step[largest])) * int(np.sign(step[largest]))
        truth[0, to[0], to[1]] = 2
        assert bool(touching(truth)) == (not further)
    assert not touching(torch.ones(1, 3, 3, dtype=torch.uint8))  # one object is apart from itself
    assert not touching(torch.zeros(2, 3, 3, dtype=torch.uint8)).any()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_coverage_is_the_share_of_each_object_that_is_no_background(seed, size):
    truth, labels = sparse(seed, size), sparse(seed + 1, size).long()
    found = coverage(truth, labels)
    for b in range(size[0]):
        for k in range(found.shape[1]):
            own = labels[b][truth[b] == k + 1]
            if len(own):
                assert found[b, k] == pytest.approx(float((own > 0).double().mean()))
            else:
                assert found[b, k].isnan()
    full = coverage(truth, torch.ones_like(labels))
    assert full[~full.isnan()].eq(1).all()


def test_shapes_that_do_not_fit_are_refused():
    masks = torch.zeros(2, 4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"labels: expected \(2, 4, 4\), got \(2, 4, 3\)"):
        coverage(masks, masks[..., :3])
    with pytest.raises(ValueError, match=r"truth: expected integers \(B, H, W\)"):
        touching(masks.float())


def test_a_test_split_takes_a_fraction_of_a_second():
    """120 scenes of 64 × 64 pixels with six objects, and a proposal per cell of 2 × 2 pixels."""
    rng = np.random.default_rng(0)
    truth = torch.zeros(120, 64, 64, dtype=torch.uint8)
    for scene in truth:
        for label in range(1, 7):
            y, x = rng.integers(0, 48, 2)
            scene[y : y + 16, x : x + 16] = label
    anchors = torch.rand(120, 1024, 2)
    boxes = torch.cat((anchors - 0.1, anchors + 0.1), -1)
    present = torch.ones(120, 1024, dtype=torch.bool)
    image = torch.rand(120, 3, 64, 64)
    start = time.process_time()
    box_iou(truth, boxes, anchors, present)
    coverage(truth, truth)
    touching(truth)
    count_objects(truth)
    squared_errors(image, image, truth > 0)
    assert time.process_time() - start < 1
