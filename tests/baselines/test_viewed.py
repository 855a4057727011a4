"""Views for IODINE and Slot Attention, which have no other aid."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.blocks.mixture import MixtureMethod
from baselines.blocks.view_settings import ViewSettings
from baselines.iodine.aid_settings import IodineAids
from baselines.iodine.aids import AidedIodine
from baselines.iodine.method import Iodine
from baselines.iodine.settings import IodineSettings
from baselines.slot_attention.aid_settings import SlotAttentionAids
from baselines.slot_attention.aids import AidedSlotAttention
from baselines.slot_attention.method import SlotAttentionMethod
from baselines.slot_attention.settings import SlotAttentionSettings
from denf.harness.method import Step

SMALL = {
    "iodine": IodineSettings(
        slots=2,
        latent=4,
        iterations=2,
        decoder_channels=(4, 4),
        encoder_channels=(4, 4),
        hidden=(8,),
        state=8,
    ),
    "slot-attention": SlotAttentionSettings(
        slots=3, slot_size=8, hidden=8, channels=8, decoder_strides=(2, 2, 1)
    ),
}


def plain(name: str) -> MixtureMethod:
    torch.manual_seed(0)
    kind = {"iodine": Iodine, "slot-attention": SlotAttentionMethod}[name]
    return kind(SMALL[name])


def viewed(name: str, **view) -> MixtureMethod:
    torch.manual_seed(0)
    settings = ViewSettings(**view)
    if name == "iodine":
        return AidedIodine(SMALL[name], IodineAids(view=settings))
    return AidedSlotAttention(SMALL[name], SlotAttentionAids(view=settings))


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 16, 16), generator=generator, dtype=torch.uint8)


def losses(method: MixtureMethod, images: Tensor) -> list[Tensor]:
    method.optimizers = method.make_optimizers()
    steps = (Step(k, 9, torch.Generator().manual_seed(k)) for k in range(2))
    return [method.training_step(images, step)["loss"] for step in steps]


@pytest.mark.parametrize("name", SMALL)
def test_training_on_blocks_equals_training_on_smaller_images(name: str, images: Tensor):
    """Blocks have equal pixels, so that their means are bytes."""
    large = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = torch.stack(losses(plain(name), images))
    torch.testing.assert_close(torch.stack(losses(viewed(name, shrink=2), large)), expected)


@pytest.mark.parametrize("name", SMALL)
def test_with_contrast_the_first_batches_give_the_background(name: str, images: Tensor):
    method = viewed(name, contrast=3.0, size=16)
    losses(method, images)
    background = method.state_dict()["view.background"]
    torch.testing.assert_close(background, (images / 255).median(0).values)
    before = background.clone()
    found = method.predict(images)  # evaluation does not update it
    assert torch.equal(method.state_dict()["view.background"], before)
    assert found.reconstruction.shape == images.shape
    assert found.segmentation.labels.shape == (3, 16, 16)
