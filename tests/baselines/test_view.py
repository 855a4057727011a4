"""Views of images: blocks, the background from medians, and restored slots."""

from __future__ import annotations

import pytest
import torch

from baselines.blocks.images import to_unit
from baselines.blocks.mixture import SlotMixture
from baselines.blocks.view import BATCHES, View
from baselines.blocks.view_settings import ViewSettings
from denf.errors import DenfError


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (4, 3, 16, 16), generator=generator, dtype=torch.uint8)


def as_slots(x: torch.Tensor) -> SlotMixture:
    """Two slots that both show x (B, 3, h, w)."""
    rgb = x[:, None].expand(-1, 2, -1, -1, -1)
    return SlotMixture(rgb, rgb[:, :, :1])


def test_the_default_view_changes_nothing(images):
    view = View(ViewSettings())
    view(images, 0)
    assert torch.equal(view(images), to_unit(images))
    assert not view.state_dict()  # so that published weights can be loaded


@pytest.mark.parametrize("contrast", [0, 3])
def test_blocks_are_averaged(images, contrast):
    small = View(ViewSettings(shrink=4, contrast=contrast, size=16))
    large = View(ViewSettings(contrast=contrast, size=16))
    for view in (small, large):
        view(images, 0)
    blocks = large(images).unflatten(3, (4, 4)).unflatten(2, (4, 4)).mean((3, 5))
    torch.testing.assert_close(small(images), blocks)


def test_objects_that_rarely_cover_a_pixel_are_not_in_the_background(images):
    floor = images[:1]
    view = View(ViewSettings(contrast=2, size=16))
    for step in range(5):
        scenes = floor.repeat(7, 1, 1, 1)
        scenes[step % 3 :: 3, :, step : step + 6, 4:9] = 0
        view(scenes, step)
    torch.testing.assert_close(view.background, to_unit(floor)[0])
    torch.testing.assert_close(view(floor), torch.full((1, 3, 16, 16), 0.5))


def test_the_background_is_the_mean_of_the_first_medians(images):
    view = View(ViewSettings(contrast=1, size=16))
    view(images[:3], 0)
    view(images[1:], 1)
    expected = (to_unit(images[:3]).median(0).values + to_unit(images[1:]).median(0).values) / 2
    torch.testing.assert_close(view.background, expected)
    view(images, BATCHES)
    torch.testing.assert_close(view.background, expected)


def test_restored_slots_have_the_images_colours(images):
    view = View(ViewSettings(contrast=3, size=16))
    view(images, 0)
    restored = view.restore(as_slots(view(images)), images.shape[2:])
    torch.testing.assert_close(restored.mean, to_unit(images))


def test_restored_slots_have_the_images_size(images):
    flat = torch.full_like(images, 51)
    view = View(ViewSettings(shrink=4))
    restored = view.restore(as_slots(view(flat)), flat.shape[2:])
    torch.testing.assert_close(restored.rgb, torch.full((4, 2, 3, 16, 16), 0.2))
    assert restored.logits.shape == (4, 2, 1, 16, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [(ViewSettings(shrink=5), "5"), (ViewSettings(contrast=1, size=32), "32×32")],
)
def test_images_of_another_size_are_refused(images, settings, message):
    with pytest.raises(DenfError, match=message):
        View(settings)(images)
