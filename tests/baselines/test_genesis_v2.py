"""GENESIS-V2: clustering against a plain loop, repeatable evaluation, evidence lower bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from baselines.genesis_v2.clustering import cluster, masked_means
from baselines.genesis_v2.method import GenesisV2
from baselines.genesis_v2.settings import GenesisV2Settings
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
    """A pixel far from the seed has a clamped share, whose gradient still points to the seed."""
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
    """The gate of the semi-convolution starts at zero, so that embeddings are positions."""
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
def test_evaluation_is_repeatable_and_does_not_depend_on_the_batch(method, images):
    method.eval()
    method.colour_head[1].gate.fill_(3.0)  # as after training: colours depend on the image
    together = method.segment(images).labels
    torch.rand(7)  # other random draws change nothing
    assert torch.equal(together, method.segment(images).labels)
    alone = torch.cat([method.segment(image[None]).labels for image in images])
    assert torch.equal(together, alone)
    assert len(together.unique()) > 1


def test_cluster_seeds_in_training_come_from_the_generator_of_the_step(method, images):
    method.optimizers = method.make_optimizers()
    weights = {name: value.clone() for name, value in method.state_dict().items()}

    def loss(seed: int) -> Tensor:
        method.load_state_dict(weights)
        return method.training_step(images, Step(0, 1, torch.Generator().manual_seed(seed)))["loss"]

    assert torch.equal(loss(0), loss(0))
    assert not torch.equal(loss(0), loss(1))


def test_terms_of_a_step_equal_the_bound_computed_slot_by_slot(method, images):
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
    torch.testing.assert_close(logged["loss"], logged["error"] + logged["kl"])  # β starts at one
    assert method.geco.beta != 1


def test_images_of_another_size_are_refused(method):
    with pytest.raises(DenfError, match=r"settings\.size=32"):
        method.segment(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
