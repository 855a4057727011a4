"""Composites against a plain loop over pixels, and what must hold of every one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from denf.model.components import box_targets, find_components
from denf.model.composites import composites
from denf.model.masks import boxes_of
from denf.model.settings import Components, Composites

CELLS = 32


@pytest.fixture
def scenes() -> tuple[torch.Tensor, torch.Tensor]:
    """Images (4, 3, 64, 64) of one coloured block each on grey, and their presence."""
    x = torch.full((4, 3, 64, 64), 0.5)
    present = torch.zeros(4, CELLS, CELLS, dtype=torch.bool)
    for b, (top, left, side) in enumerate([(4, 5, 7), (12, 3, 9), (10, 14, 6), (18, 16, 8)]):
        present[b, top : top + side, left : left + side] = True
        colour = torch.tensor([0.1 * b, 1 - 0.2 * b, 0.2 + 0.2 * b])
        window = (slice(2 * top, 2 * (top + side)), slice(2 * left, 2 * (left + side)))
        x[b, :, *window] = colour[:, None, None]
    return x, present


def lay(x, present, seed=0, **changes):
    settings = Composites(probability=1.0, **changes)
    found = find_components(present, Components())
    return composites(x, found, settings, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(20))
def test_cells_show_the_component_that_they_are_labelled_with(scenes, seed):
    x, present = scenes
    images, found = lay(x, present, seed)
    colours = {tuple(x[b, :, 2 * r, 2 * c].tolist()) for b, r, c in present.nonzero().tolist()}
    for b in range(4):
        small = images[b, :, ::2, ::2]
        grey = (small == 0.5).all(0)
        assert torch.equal(grey, found.labels[b] == 0)
        for label in found.labels[b].unique().tolist():
            if label:
                shown = small[:, found.labels[b] == label].unique(dim=1)
                assert shown.shape[1] == 1  # one block, one colour
                assert tuple(shown[:, 0].tolist()) in colours
    pixels = images.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)  # whole cells are laid
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("seed", range(20))
def test_what_reaches_lower_stands_in_front(scenes, seed):
    x, present = scenes
    _, found = lay(x, present, seed, most=1, beside=1.0)
    for b in range(4):
        original = present[b]
        own = found.labels[b] == found.labels[b][original].mode().values
        new = (found.labels[b] > 0) & ~original | (found.labels[b] != 0) & ~own
        if not new.any() or torch.equal(own, original):
            continue
        # A part of the block is covered: what covers it ends lower in the image.
        assert new.nonzero()[:, 0].max() >= original.nonzero()[:, 0].max()


def test_targets_are_the_visible_boxes(scenes):
    x, present = scenes
    _, found = lay(x, present, seed=3)
    targets = box_targets(found, stray=0)
    for b in range(4):
        for label in found.labels[b].unique().tolist():
            cells = (found.labels[b] == label).flatten()
            if label and bool(found.whole[b, label - 1]):
                expected = boxes_of((found.labels[b] == label)[None])[0]
                assert (targets.boxes[b][cells] == expected).all()


def test_components_that_another_object_may_hide_in_part_are_not_laid_over_images(scenes):
    x, present = scenes
    found = find_components(present, Components())
    found = replace(found, convex=torch.zeros_like(found.convex))
    settings = Composites(probability=1.0)
    images, after = composites(x, found, settings, torch.Generator().manual_seed(0))
    assert torch.equal(images, x)
    assert torch.equal(after.labels, found.labels)


def test_images_stay_as_they_are_without_components_or_at_probability_zero(scenes):
    x, present = scenes
    images, found = lay(x, torch.zeros_like(present))
    assert torch.equal(images, x)
    assert not found.labels.any()
    settings, whole = Composites(probability=0.0), find_components(present, Components())
    images, found = composites(x, whole, settings, torch.Generator().manual_seed(0))
    assert torch.equal(images, x)
    assert torch.equal(found.labels > 0, present)


def test_one_image_alone_lends_to_itself(scenes):
    x, present = scenes
    images, found = lay(x[:1], present[:1])
    assert torch.equal((images[0] != 0.5).any(0)[::2, ::2], found.labels[0] > 0)


def test_equal_generators_give_equal_composites(scenes):
    one, other = lay(*scenes, seed=5), lay(*scenes, seed=5)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1].labels, other[1].labels)
