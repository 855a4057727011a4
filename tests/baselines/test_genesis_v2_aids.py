"""GENESIS-V2's aids: inputs, initial values and terms of the loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from baselines.genesis_v2.aid_settings import GenesisV2Aids
from baselines.genesis_v2.aids import AidedGenesisV2, standardise
from baselines.genesis_v2.settings import GenesisV2Settings
from denf.harness.method import Step

SMALL = GenesisV2Settings(size=16, slots=3, features=8, colours=4)


def aided(**aids) -> AidedGenesisV2:
    torch.manual_seed(0)
    return AidedGenesisV2(SMALL, GenesisV2Aids(**aids))


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 16, 16), generator=generator, dtype=torch.uint8)


@torch.no_grad()
def test_only_the_encoder_sees_standardised_images(images):
    plain, method = aided(), aided(standardised=True)
    x, scores = images / 255, method.fixed_scores.expand(3, -1, -1)
    log_masks, q = method.encode(x, scores)
    expected_log_masks, expected = plain.encode(standardise(x), scores)
    torch.testing.assert_close(log_masks, expected_log_masks)
    torch.testing.assert_close(q.mean, expected.mean)


def test_weighted_terms_are_those_of_the_clusters(images):
    """The loss with the terms minus the loss without them, from equal weights and samples."""
    method = aided(gate=1.0, cluster_weight=2.0, mask_weight=0.5)
    x, generator = images / 255, torch.Generator().manual_seed(1)
    log_masks, q = method.encode(x, torch.rand(3, 16, 16, generator=generator))
    decoded = method.decode(q.sample(generator))
    masks, drawn = log_masks.exp(), decoded.masks
    p_x = Normal(decoded.rgb, SMALL.pixel_std)
    by_clusters = (masks * p_x.log_prob(x[:, None]).exp()).sum(1).log().sum((1, 2, 3)).mean()
    kl = (masks * (masks / drawn).log()).sum((1, 2, 3, 4)).mean()

    method.optimizers = method.make_optimizers()
    logged = method.training_step(images, Step(0, 1, torch.Generator().manual_seed(1)))
    added = logged["loss"] - logged["error"] - logged["kl"]
    torch.testing.assert_close(added, (0.5 * kl - 2 * by_clusters).detach(), rtol=1e-3, atol=1e-2)


def test_standardised_images_do_not_depend_on_light_or_contrast(images):
    x = images / 255
    found = standardise(x)
    tinted = standardise(0.3 * x + torch.tensor([0.1, 0.2, 0.3])[:, None, None])
    torch.testing.assert_close(found, tinted, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(found.mean((2, 3)), torch.zeros(3, 3), rtol=0, atol=1e-5)
    spread = found.square().mean((1, 2, 3))
    torch.testing.assert_close(spread, torch.ones(3), rtol=2e-2, atol=0)


def test_positions_are_moments_of_coordinates_over_clusters(images):
    method = aided(positions=True)
    seen = []
    method.latent_head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    scores = method.fixed_scores.expand(3, -1, -1)
    log_masks, _ = method.encode(images / 255, scores)
    side = 3 * torch.linspace(-1, 1, 16)
    for b, k in ((0, 0), (2, 2)):
        m = log_masks[b, k, 0].exp() / log_masks[b, k].exp().sum()
        x, y = m.sum(0), m.sum(1)
        expected = torch.stack((x @ side, y @ side, x @ side**2, y @ side**2))
        torch.testing.assert_close(seen[0][b, k, -4:], expected, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_initial_gate_and_standard_deviation(images):
    method = aided(std_bias=-3.5, gate=5.0)
    log_masks, q = method.encode(images / 255, method.fixed_scores.expand(3, -1, -1))
    assert q.std.mean() < 0.1
    assert not torch.allclose(log_masks[0], log_masks[1], atol=1e-2)  # clusters depend on the image
