"""Slot mixtures: masks, mean, labels, subsets; conversion between bytes and floats; schedules."""

from __future__ import annotations

import pytest
import torch

from baselines.blocks.images import check_multiple, to_bytes, to_unit
from baselines.blocks.mixture import SlotMixture, SlotNoise
from baselines.blocks.schedules import decay_factor, warmup_factor
from denf.errors import DenfError


@pytest.fixture
def mixture() -> SlotMixture:
    generator = torch.Generator().manual_seed(0)
    return SlotMixture.of(torch.randn(6, 4, 5, 7, generator=generator), batch=2)


def test_decoded_slots_are_split_in_the_order_of_the_batch():
    decoded = torch.arange(6 * 4 * 2 * 2).float().view(6, 4, 2, 2)
    mixture = SlotMixture.of(decoded, batch=2)
    for b in range(2):
        for k in range(3):
            assert torch.equal(mixture.rgb[b, k], decoded[3 * b + k, :3])
            assert torch.equal(mixture.logits[b, k], decoded[3 * b + k, 3:])


def test_masks_blend_and_labels_agree_pixel_by_pixel(mixture):
    mean, labels = mixture.mean, mixture.segmentation.labels
    for b, y, x in ((0, 0, 0), (1, 4, 6), (0, 2, 3)):
        weights = torch.softmax(mixture.logits[b, :, 0, y, x], 0)
        torch.testing.assert_close(mean[b, :, y, x], weights @ mixture.rgb[b, :, :, y, x])
        assert labels[b, y, x] == weights.argmax()
    torch.testing.assert_close(mixture.log_masks.exp(), mixture.masks)


def test_subsets_keep_the_largest_slot_and_renormalise(mixture):
    areas = mixture.masks.sum((2, 3, 4))
    generator, kept = torch.Generator().manual_seed(1), []
    for _ in range(40):
        masks = mixture.subset(generator).masks
        torch.testing.assert_close(masks.sum(1), torch.ones(2, 1, 5, 7))
        present = masks.amax((2, 3, 4)) > 0
        assert present.gather(1, areas.argmax(1, keepdim=True)).all()
        ratio = masks / mixture.masks  # equal for all slots that are kept
        for b in range(2):
            rest = ratio[b, present[b]]
            torch.testing.assert_close(rest, rest[:1].expand_as(rest))
        kept.append(present)
    others = torch.stack(kept).float().mean(0)[areas < areas.amax(1, keepdim=True)]
    assert ((others > 0.25) & (others < 0.75)).all()  # of 40 draws each


def test_noise_differs_between_images_in_training_and_is_shared_in_evaluation():
    drawn = SlotNoise.of(torch.Generator().manual_seed(0)).draw(2, 3, 1000)
    assert len(drawn.flatten(0, 1).unique(dim=0)) == 6
    torch.testing.assert_close(drawn.std(2), torch.ones(2, 3), rtol=0.1, atol=0)
    fixed = SlotNoise.fixed(torch.device("cpu")).draw(2, 3, 1000)
    assert torch.equal(fixed[0], fixed[1])
    assert torch.equal(fixed[:1], SlotNoise.fixed(torch.device("cpu")).draw(1, 3, 1000))
    assert len(fixed[0].unique(dim=0)) == 3


def test_bytes_survive_the_round_trip_through_the_unit_interval():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_unit(levels)), levels)
    assert to_bytes(torch.tensor([-0.5, 1.5])).tolist() == [0, 255]


def test_images_that_the_strides_do_not_fit_are_refused():
    check_multiple(torch.zeros(1, 3, 16, 24), 8, "a method")
    with pytest.raises(DenfError, match="20×16"):
        check_multiple(torch.zeros(1, 3, 16, 20), 8, "a method")


def test_learning_rates_rise_and_halve():
    assert [warmup_factor(i, 4) for i in (0, 1, 3, 9)] == [0.25, 0.5, 1, 1]
    assert warmup_factor(0, 0) == 1
    assert [decay_factor(i, 10, start=5) for i in (0, 5, 15, 25)] == [1, 1, 0.5, 0.25]
