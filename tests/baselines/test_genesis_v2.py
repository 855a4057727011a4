"""GENESIS-V2: clustering against a plain loop, repeatable evaluation, its bound."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from baselines.genesis_v2 import GenesisV2, GenesisV2Settings, cluster, masked_means, standardise
from denf.errors import DenfError
from denf.harness.method import Step

SMALL = GenesisV2Settings(size=16, slots=3, features=8, colours=4)


@pytest.fixture
def method() -> GenesisV2:
    torch.manual_seed(0)
    return GenesisV2(SMALL)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 16, 16), generator=generator, dtype=torch.uint8)


def test_published_settings_have_the_published_size():
    count = sum(p.numel() for p in GenesisV2(GenesisV2Settings()).parameters())
    assert round(count / 1e6, 2) == 2.84


def test_clusters_equal_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    colours = torch.randn(2, 3, 4, 5, generator=generator)
    scores = torch.rand(2, 4, 5, generator=generator)
    found = cluster(colours, torch.tensor(2.0), scores, 4).exp()
    torch.testing.assert_close(found.sum(1), torch.ones(2, 1, 4, 5))
    pixels = [(i, j) for i in range(4) for j in range(5)]
    for b in range(2):
        scope = dict.fromkeys(pixels, 1.0)
        for k in range(3):
            seed = max(pixels, key=lambda p: float(scores[b][p]) * scope[p])
            for p in pixels:
                difference = colours[b, :, p[0], p[1]] - colours[b, :, seed[0], seed[1]]
                share = math.exp(-float((difference**2).sum()) / 2.0)
                share = min(max(share, 0.01), 0.99)
                assert float(found[b, k, 0, p[0], p[1]]) == pytest.approx(
                    share * scope[p], rel=1e-3
                )
                scope[p] *= 1 - share
        for p in pixels:
            assert float(found[b, 3, 0, p[0], p[1]]) == pytest.approx(scope[p], rel=1e-3)


def test_clamped_shares_keep_their_gradient():
    """A pixel far from the seed, whose share is clamped, is still drawn towards it."""
    colours = torch.tensor([0.0, 3.0]).view(1, 1, 1, 2).requires_grad_()
    scores = torch.tensor([[[0.9, 0.1]]])
    log_masks = cluster(colours, torch.tensor(1.0), scores, 2)
    assert log_masks[0, 0, 0, 0].exp().tolist() == pytest.approx([0.99, 0.01])
    log_masks[0, 0, 0, 0, 1].backward()
    assert float(colours.grad[0, 0, 0, 1]) < 0


def test_two_colours_become_two_clusters():
    colours = torch.zeros(1, 1, 4, 4)
    colours[..., 2:] = 5
    scores = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = cluster(colours, torch.tensor(1.0), scores, 3)[0, :, 0].argmax(0)
    left, right = labels[:, :2].unique(), labels[:, 2:].unique()
    assert len(left) == len(right) == 1
    assert left != right


@torch.no_grad()
def test_clusters_are_discs_around_their_seeds_before_training(method, images):
    """The gate of the semi-convolution starts at zero, so that only positions count."""
    first, second = method.segment(images[:1]).labels, method.segment(images[1:2]).labels
    assert torch.equal(first, second)
    log_masks, _ = method.encode(images / 255, method.fixed_scores.expand(3, -1, -1))
    row, column = divmod(int(method.fixed_scores.argmax()), 16)
    squared = [
        ((2 * (i - row) / 15) ** 2 + (2 * (j - column) / 15) ** 2) for i in (0, 8) for j in (0, 8)
    ]
    scale = 1 / (SMALL.slots * math.log(2))
    expected = [min(max(math.exp(-d / scale), 0.01), 0.99) for d in squared]
    found = [float(log_masks[0, 0, 0, i, j].exp()) for i in (0, 8) for j in (0, 8)]
    assert found == pytest.approx(expected, rel=1e-3)


def test_masked_means_equal_a_plain_loop():
    features, masks = torch.rand(2, 3, 4, 5), torch.rand(2, 6, 1, 4, 5)
    found = masked_means(features, masks)
    for b in range(2):
        for k in range(6):
            weight = masks[b, k]
            expected = (features[b] * weight).sum((1, 2)) / weight.sum()
            torch.testing.assert_close(found[b, k], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_evaluation_can_be_repeated_and_does_not_depend_on_the_batch(method, images):
    method.eval()
    method.colour_head[1].gate.fill_(3.0)  # as after training: colours depend on the image
    together = method.segment(images).labels
    torch.rand(7)  # other draws of the process change nothing
    assert torch.equal(together, method.segment(images).labels)
    alone = torch.cat([method.segment(image[None]).labels for image in images])
    assert torch.equal(together, alone)
    assert len(together.unique()) > 1


def test_seeds_of_training_come_from_the_steps_generator(method, images):
    method.optimizers = method.make_optimizers()
    weights = {name: value.clone() for name, value in method.state_dict().items()}

    def loss(seed: int) -> Tensor:
        method.load_state_dict(weights)
        return method.training_step(images, Step(0, 1, torch.Generator().manual_seed(seed)))["loss"]

    assert torch.equal(loss(0), loss(0))
    assert not torch.equal(loss(0), loss(1))


def test_a_step_descends_the_bound_computed_slot_by_slot(method, images):
    generator = torch.Generator().manual_seed(1)
    x = images / 255
    _, q = method.encode(x, torch.rand(3, 16, 16, generator=generator))
    z = q.sample(generator)
    decoded = method.decoder(z.flatten(0, 1)).unflatten(0, (3, 3))
    masks = torch.softmax(decoded[:, :, 3:], 1)
    p_x = Normal(decoded[:, :, :3].sigmoid(), SMALL.pixel_std)
    error = -(masks * p_x.log_prob(x[:, None]).exp()).sum(1).log().sum((1, 2, 3))
    kl = Normal(q.mean, q.std).log_prob(z).sum((1, 2)) - Normal(0.0, 1.0).log_prob(z[:, 0]).sum(1)
    for k in range(1, SMALL.slots):
        mean, raw = method.prior.linear(method.prior.lstm(z[:, :k])[0][:, -1]).chunk(2, 1)
        p_z = Normal(mean.tanh(), torch.sigmoid(raw + 4) + 1e-4)
        kl = kl - p_z.log_prob(z[:, k]).sum(1)

    method.optimizers = method.make_optimizers()
    logged = method.training_step(images, Step(0, 1, torch.Generator().manual_seed(1)))
    torch.testing.assert_close(logged["error"], error.mean().detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logged["kl"], kl.mean().detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logged["loss"], logged["error"] + logged["kl"])  # β is one at first
    assert method.geco.beta != 1


def test_weighted_terms_are_those_of_the_clusters(images):
    """The loss with the terms less the loss without them, from the same weights and draws."""
    s = replace(SMALL, gate=1.0, cluster_weight=2.0, mask_weight=0.5)
    torch.manual_seed(0)
    method = GenesisV2(s)
    x, generator = images / 255, torch.Generator().manual_seed(1)
    log_masks, q = method.encode(x, torch.rand(3, 16, 16, generator=generator))
    decoded = method.decode(q.sample(generator))
    masks, drawn = log_masks.exp(), decoded.masks
    p_x = Normal(decoded.rgb, s.pixel_std)
    by_clusters = (masks * p_x.log_prob(x[:, None]).exp()).sum(1).log().sum((1, 2, 3)).mean()
    kl = (masks * (masks / drawn).log()).sum((1, 2, 3, 4)).mean()

    method.optimizers = method.make_optimizers()
    logged = method.training_step(images, Step(0, 1, torch.Generator().manual_seed(1)))
    added = logged["loss"] - logged["error"] - logged["kl"]
    torch.testing.assert_close(added, (0.5 * kl - 2 * by_clusters).detach(), rtol=1e-3, atol=1e-2)


def test_standardised_images_know_neither_light_nor_contrast(images):
    x = images / 255
    found = standardise(x)
    tinted = standardise(0.3 * x + torch.tensor([0.1, 0.2, 0.3])[:, None, None])
    torch.testing.assert_close(found, tinted, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(found.mean((2, 3)), torch.zeros(3, 3), rtol=0, atol=1e-5)
    spread = found.square().mean((1, 2, 3))
    torch.testing.assert_close(spread, torch.ones(3), rtol=2e-2, atol=0)


def test_positions_are_moments_of_place_under_the_clusters(images):
    method = GenesisV2(replace(SMALL, positions=True))
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
def test_start_of_gate_and_deviation(images):
    torch.manual_seed(0)
    method = GenesisV2(replace(SMALL, posterior_shift=-3.0, gate=5.0))
    log_masks, q = method.encode(images / 255, method.fixed_scores.expand(3, -1, -1))
    assert q.std.mean() < 0.1
    assert not torch.allclose(log_masks[0], log_masks[1], atol=1e-2)  # the image matters


def test_images_of_another_size_are_refused(method):
    with pytest.raises(DenfError, match=r"settings\.size=32"):
        method.segment(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
