"""From present cells to instances: objects apart, touching, small, cut, and none at all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from denf.model.boxes import cell_centres
from denf.model.instances import decompose, group_proposals
from denf.model.latents import Latents
from denf.model.settings import Instances

CELLS = 32
BLANK = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)


def scene(*objects: tuple[float, float, float], noise: float = 0.0, seed: int = 0) -> Latents:
    """Latents of square objects (row, column, side in fractions): exact but for noise.

    Later objects cover earlier ones. `noise` is the standard deviation of centres and sizes.
    """
    g = torch.Generator().manual_seed(seed)
    z = torch.zeros(1, 2, CELLS, CELLS)
    rows, columns = cell_centres(CELLS, CELLS, z)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    presence, scale, loc = z.clone(), z.clone(), z.clone()
    presence[:, 1] = 8.0
    for row, column, side in objects:
        inside = (grid - torch.tensor([row, column])[:, None, None]).abs().amax(0) < side / 2
        presence[0, 0][inside], presence[0, 1][inside] = 8.0, 0.0
        towards = torch.tensor([row, column])[:, None, None] - grid
        towards = towards + noise * torch.randn(grid.shape, generator=g)
        extent = side + noise * torch.randn(grid.shape, generator=g)
        loc[0][:, inside] = towards[:, inside] / 2**0.5
        scale[0][:, inside] = extent[:, inside]
    return Latents(z[:, :1], presence, scale, loc, z)


def truth(*objects: tuple[float, float, float]) -> torch.Tensor:
    rows, columns = cell_centres(CELLS, CELLS, torch.zeros(1))
    labels = torch.zeros(CELLS, CELLS, dtype=torch.long)
    for k, (row, column, side) in enumerate(objects):
        inside = ((rows - row).abs() < side / 2)[:, None] & ((columns - column).abs() < side / 2)
        labels[inside] = k + 1
    return labels


def same_partition(a: torch.Tensor, b: torch.Tensor) -> bool:
    pairs = torch.stack((a.flatten(), b.flatten()), 1).unique(dim=0)
    return len(pairs) == len(a.unique()) == len(b.unique())


def group(proposals: torch.Tensor, least_votes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`group_proposals` of cells in the middle of their boxes."""
    cells = (proposals[:, :2] + proposals[:, 2:]).flip(1) / 2
    return group_proposals(proposals, cells, 1 / CELLS, Instances(), least_votes)


TOUCHING = [(0.4, 0.3, 0.2), (0.4, 0.5, 0.2), (0.8, 0.8, 0.3)]


@pytest.mark.parametrize(
    ("noise", "settings"), [(0.0, Instances()), (0.03, Instances(overlap=0.2, merge=0.1))]
)
def test_touching_objects_get_a_label_each(noise, settings):
    found = decompose(scene(*TOUCHING, noise=noise), BLANK, settings)
    labels = found.labels[0, ::2, ::2]
    assert len(found.boxes[0]) == 3
    assert same_partition(labels, truth(*TOUCHING))


@pytest.mark.parametrize("seed", range(10))
def test_every_box_has_a_proposal(seed):
    g = torch.Generator().manual_seed(seed)
    low = torch.rand(200, 2, generator=g)
    proposals = torch.cat((low, low + 0.02 + 0.3 * torch.rand(200, 2, generator=g)), 1)
    boxes, members = group(proposals, least_votes=4)
    assert members.unique().tolist() == list(range(1, len(boxes) + 1))


def test_boxes_are_those_of_the_objects():
    found = decompose(scene(*TOUCHING, noise=0.03), BLANK, Instances())
    exact = torch.tensor([[c - s / 2, r - s / 2, c + s / 2, r + s / 2] for r, c, s in TOUCHING])
    assert (box_iou(found.boxes[0], exact).amax(0) > 0.8).all()


def test_object_labels_cover_the_image_by_the_nearest_present_cell():
    found = decompose(scene(*TOUCHING), BLANK, Instances())
    present = found.labels > 0
    assert torch.equal(found.object_labels[present], found.labels[present])
    assert found.object_labels.min() >= 1
    assert found.object_labels[0, 63, 63] == found.labels[0, 51, 51]  # below the third object


def test_an_empty_scene_has_no_boxes_and_one_object_label():
    found = decompose(scene(), BLANK, Instances())
    assert found.boxes[0].shape == (0, 4)
    assert found.labels.max() == 0
    assert (found.object_labels == 1).all()


def test_a_box_without_support_goes_with_its_cells():
    crumb = (0.1, 0.1, 0.04)  # one cell
    few = decompose(scene(*TOUCHING, crumb), BLANK, Instances(support=0.01))
    all_kept = decompose(scene(*TOUCHING, crumb), BLANK, Instances(support=0.0))
    assert (len(few.boxes[0]), len(all_kept.boxes[0])) == (3, 4)
    assert few.labels[0, 6, 6] == 0
    lonely = decompose(scene(crumb), BLANK, Instances(support=0.5))
    assert len(lonely.boxes[0]) == 1  # the largest always stays


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
def test_every_proposal_gets_the_label_of_the_box_it_overlaps_most(seed, count):
    g = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=g)
    proposals = torch.cat((low, low + 0.05 + 0.3 * torch.rand(count, 2, generator=g)), 1)
    boxes, labels = group(proposals, least_votes=1)
    assert 1 <= len(boxes) <= count
    assert labels.shape == (count,)
    assert torch.equal(labels, box_iou(proposals, boxes).argmax(1) + 1)


def test_a_speck_whose_box_meets_no_object_belongs_to_none():
    objects = [(0.3, 0.3, 0.3), (0.7, 0.7, 0.3)]
    latents = scene(*objects)
    latents.presence[0, 0, 2, 29], latents.presence[0, 1, 2, 29] = 8.0, 0.0
    latents.scale[0, :, 2, 29] = 0.03
    found = decompose(latents, BLANK, Instances(support=0.01))
    cells = found.labels[0, ::2, ::2]
    assert same_partition(cells, truth(*objects))
    assert cells[2, 29] == 0
    assert set(found.object_labels.unique().tolist()) == {1, 2}
