"""MONet: masks, likelihood and divergences against plain loops and torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from baselines.blocks.mixture import SlotMixture
from baselines.monet.method import Monet, mask_kl
from baselines.monet.settings import MonetSettings
from denf.errors import DenfError

SMALL = MonetSettings(size=16, slots=4, channels=4, component_channels=4, latent=3)


@pytest.fixture
def method() -> Monet:
    torch.manual_seed(0)
    return Monet(SMALL)


@pytest.fixture
def masks() -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(2, 2, 4, 1, 3, 5, generator=torch.Generator().manual_seed(1))
    return logits[0].softmax(1), logits[1].softmax(1)


def test_published_settings_have_the_published_size():
    count = sum(p.numel() for p in Monet(MonetSettings()).parameters())
    assert round(count / 1e6, 2) == 1.79


def test_masks_sum_to_one_and_attention_sees_the_remaining_scope(method):
    x = torch.rand(2, 3, 16, 16)
    scopes = []
    method.attention.register_forward_pre_hook(lambda _, inputs: scopes.append(inputs[0][:, 3:]))
    log_masks = method.attend(x)
    masks = log_masks.exp()
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 1, 16, 16))
    assert len(scopes) == SMALL.slots - 1
    for k, log_scope in enumerate(scopes):
        torch.testing.assert_close(log_scope.exp(), 1 - masks[:, :k].sum(1))


def test_likelihood_equals_a_plain_loop_over_pixels_channels_and_slots(masks):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 3, 5, generator=generator)
    rgb = torch.rand(2, 4, 3, 3, 5, generator=generator)
    std = torch.tensor([0.09, 0.11, 0.11, 0.11])
    m = masks[0]
    found = SlotMixture(rgb, m.log()).log_prob(x, std[:, None, None, None])
    for b in range(2):
        total = 0.0
        for c in range(3):
            for i in range(3):
                for j in range(5):
                    density = 0.0
                    for k in range(4):
                        z = float(x[b, c, i, j] - rgb[b, k, c, i, j]) / float(std[k])
                        normal = math.exp(-0.5 * z * z) / (float(std[k]) * math.sqrt(2 * math.pi))
                        density += float(m[b, k, 0, i, j]) * normal
                    total += math.log(density)
        assert float(found[b]) == pytest.approx(total, rel=1e-4)


def test_likelihood_stays_finite_far_from_every_slot():
    """A plain sum of exponentials underflows here."""
    x, rgb = torch.ones(1, 3, 2, 2), torch.zeros(1, 4, 3, 2, 2)
    log_prob = SlotMixture(rgb, torch.zeros(1, 4, 1, 2, 2)).log_prob(x, 0.01)
    assert torch.isfinite(log_prob).all()


def test_divergence_of_masks_equals_torch_distributions(masks):
    q, p = (m[:, :, 0].movedim(1, -1) for m in masks)
    expected = kl_divergence(Categorical(q), Categorical(p)).sum((1, 2))
    torch.testing.assert_close(mask_kl(*masks), expected)
    torch.testing.assert_close(mask_kl(masks[0], masks[0]), torch.zeros(2))


def test_divergence_of_hard_masks_is_finite():
    q = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
    expected = math.log(1e5)
    assert float(mask_kl(q, q.flip(1))) == pytest.approx(expected, rel=1e-3)


def test_background_slot_has_its_own_standard_deviation():
    std = Monet(SMALL).pixel_std.flatten().tolist()
    assert std == pytest.approx([0.09, 0.11, 0.11, 0.11])


def test_images_of_another_size_are_refused(method):
    with pytest.raises(DenfError, match=r"settings\.size=32"):
        method.segment(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
