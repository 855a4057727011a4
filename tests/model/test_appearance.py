"""Grouping by boxes and colours: against scikit-learn, and where boxes alone see one object."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score
from torchvision.ops import box_iou

from denf.model.appearance import chroma, group_by_appearance
from denf.model.instances import decompose, group_proposals
from denf.model.latents import Latents
from denf.model.settings import Appearance, Instances

SIDE = 0.02  # of a cell
BY_BOTH = Instances(appearance=Appearance())


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 40), weight=st.floats(0, 2))
def test_clusters_are_those_of_average_linkage(seed, count, weight):
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g)
    proposals = torch.cat((corner, corner + 0.1 + 0.4 * torch.rand(count, 2, generator=g)), 1)
    colours = torch.rand(count, 3, generator=g)
    clusters = Instances(appearance=Appearance(weight=weight, distance=0.8), tolerance=None)
    boxes, members = group_by_appearance(proposals, colours, corner, SIDE, clusters, least_cells=1)
    distance = 1 - box_iou(proposals, proposals) + weight * torch.cdist(colours, colours)
    reference = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=0.8
    ).fit_predict(distance.fill_diagonal_(0).numpy())
    assert adjusted_rand_score(reference, members) == 1
    for k, box in enumerate(boxes):
        torch.testing.assert_close(box, proposals[members == k + 1].mean(0))


def test_few_cells_join_the_cluster_that_they_overlap_most():
    box = torch.tensor([[0.1, 0.1, 0.4, 0.4]])
    other, crumb = box + 0.5, box + 0.05
    proposals = torch.cat((box.expand(9, 4), other.expand(9, 4), crumb))
    colours = torch.zeros(19, 3)
    colours[18] = 5.0
    cells = proposals[:, :2]
    boxes, members = group_by_appearance(proposals, colours, cells, SIDE, BY_BOTH, least_cells=2)
    assert len(boxes) == 2
    assert members[18] == members[0] != members[9]
    kept, _ = group_by_appearance(proposals, colours, cells, SIDE, BY_BOTH, least_cells=1)
    assert len(kept) == 3


@pytest.mark.parametrize(("difference", "objects"), [(1.5, 1), (3.0, 2)])
def test_a_highlight_returns_to_its_object_unless_its_colour_is_far(difference, objects):
    """A bright spot whose cells propose the box of the whole; average linkage leaves it out."""
    axis = (torch.arange(32) + 0.5) / 32
    cells = torch.cartesian_prod(axis[8:20], axis[8:20])
    spot = ((cells - axis[12]).abs() < 0.04).all(1)
    box = torch.tensor([8.0, 8.0, 20.0, 20.0]) / 32
    proposals = box.expand(len(cells), 4)
    colours = torch.zeros(len(cells), 3)
    colours[spot, 2] = difference
    args = (proposals, colours, cells, 1 / 32)
    parts = BY_BOTH.model_copy(update={"tolerance": None})
    assert len(group_by_appearance(*args, parts, least_cells=1)[0]) == 2
    assert len(group_by_appearance(*args, BY_BOTH, least_cells=1)[0]) == objects


@pytest.mark.parametrize("count", [0, 1])
def test_no_cell_and_a_single_one(count):
    boxes, members = group_by_appearance(
        *(torch.rand(count, n) for n in (4, 3, 2)), SIDE, BY_BOTH, least_cells=1
    )
    assert len(boxes) == len(members) == count
    assert (members == 1).all()


def test_colours_part_what_one_box_covers():
    """Two halves, red and blue, whose cells all propose the same box."""
    cells, size = 16, 32
    presence = torch.zeros(1, 2, cells, cells)
    presence[:, 0], presence[:, 1] = -4.0, 4.0
    for columns in (slice(4, 7), slice(9, 12)):
        presence[:, 0, 4:12, columns], presence[:, 1, 4:12, columns] = 4.0, -4.0
    middle = 0.5 - (torch.arange(cells) + 0.5) / cells
    loc = torch.stack(torch.meshgrid(middle, middle, indexing="ij"))[None] / 2**0.5
    scale = torch.full((1, 2, cells, cells), 0.5)
    blank = torch.zeros(1, 1, cells, cells)
    latents = Latents(blank, presence, scale, loc, blank)
    image = torch.full((1, 3, size, size), 30, dtype=torch.uint8)
    image[:, 0, :, : size // 2], image[:, 2, :, size // 2 :] = 200, 200
    by_boxes = decompose(latents, image, Instances())
    by_both = decompose(latents, image, BY_BOTH)
    assert (len(by_boxes.boxes[0]), len(by_both.boxes[0])) == (1, 2)
    inside = by_both.labels[0, 8:24, 8:24]
    assert len(inside[:, :6].unique()) == len(inside[:, 10:].unique()) == 1
    assert inside[0, 0] != inside[0, -1]


def test_chroma_of_a_grey_picture_is_its_brightness_alone():
    image = torch.full((1, 3, 8, 8), 51, dtype=torch.uint8)
    present = torch.zeros(1, 4, 4, dtype=torch.bool)
    present[:, 1:3, 1:3] = True
    features = chroma(image, present)
    torch.testing.assert_close(features[0, 1, 1], torch.tensor([0.0, 0.0, 0.3 * 0.2]))
    assert features[0, 0, 0].isfinite().all()


def test_chroma_does_not_change_with_a_shadow_much():
    g = torch.Generator().manual_seed(0)
    bright = (torch.rand(1, 3, 1, 1, generator=g) * 100 + 100).expand(1, 3, 8, 8)
    present = torch.ones(1, 4, 4, dtype=torch.bool)
    a, b = (chroma(x.to(torch.uint8), present)[..., :2] for x in (bright, bright * 0.7))
    assert (a - b).abs().max() < 0.25 * a.abs().max()


def test_boxes_whose_corners_coincide_do_not_stop_the_grouping():
    """Their overlap with themselves is 0, not the NaN that linkage refuses."""
    box = torch.tensor([[0.1, 0.1, 0.4, 0.4]])
    point = torch.tensor([[0.2, 0.2, 0.2, 0.2]])
    proposals = torch.cat((box.expand(5, 4), point.expand(3, 4)))
    cells = torch.full((8, 2), 0.2)
    boxes, members = group_by_appearance(
        proposals, torch.zeros(8, 3), cells, SIDE, BY_BOTH, least_cells=4
    )
    assert len(boxes) == 1
    assert (members == 1).all()
    _, labels = group_proposals(proposals, cells, SIDE, Instances(), least_votes=4)
    assert (labels == 1).all()
