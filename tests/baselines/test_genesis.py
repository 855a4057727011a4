"""GENESIS: posterior over slots, evidence lower bound, and ancestral samples."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.distributions import Normal

from baselines.genesis.masks import Gated, convolve
from baselines.genesis.method import Genesis
from baselines.genesis.settings import GenesisSettings
from denf.errors import DenfError
from denf.harness.method import Step

SMALL = GenesisSettings(
    size=16, slots=3, width=0.125, hidden=8, mask_latent=4, component_channels=4, component_latent=3
)


@pytest.fixture
def method() -> Genesis:
    torch.manual_seed(0)
    return Genesis(SMALL).eval()


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 16, 16), generator=generator, dtype=torch.uint8)


def test_published_settings_have_the_published_size():
    method = Genesis(GenesisSettings())
    assert round(sum(p.numel() for p in method.parameters()) / 1e6, 2) == 13.41
    assert round(sum(p.numel() for p in method.masks.parameters()) / 1e6, 1) == 11.8


@pytest.mark.parametrize(
    ("conv", "size"),
    [
        (nn.Conv2d(3, 8, 5), 5),
        (nn.Conv2d(3, 8, 5), 7),
        (nn.Conv2d(3, 8, 5, padding=2), 5),
        (nn.ConvTranspose2d(3, 8, 5), 1),
        (nn.ConvTranspose2d(3, 8, 5, padding=2), 1),
        (nn.ConvTranspose2d(3, 8, 5), 4),
    ],
)
def test_a_product_in_place_of_a_convolution_has_its_values_and_gradients(conv, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, size, size, requires_grad=True)
    leaves = [x, conv.weight, conv.bias]
    got, expected = convolve(conv, x), conv(x)
    torch.testing.assert_close(got, expected)
    weights = torch.randn_like(expected)
    gradients = (torch.autograd.grad(y, leaves, weights) for y in (got, expected))
    for ours, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, reference)


@pytest.mark.parametrize("training", [True, False])
def test_a_gated_layer_is_a_batch_norm_of_each_half(training):
    torch.manual_seed(0)
    layer, plain = (Gated(nn.Conv2d(3, 8, 3)).train(training) for _ in range(2))
    plain.load_state_dict(layer.state_dict())
    for _ in range(2):  # the second time with other running statistics
        x = torch.randn(5, 3, 6, 6)
        h, g = plain.conv(x).chunk(2, 1)
        torch.testing.assert_close(layer(x), plain.norm_h(h) * torch.sigmoid(plain.norm_g(g)))
        for ours, reference in zip(layer.buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(ours, reference)


def test_masks_sum_to_one_for_any_latents(method):
    z = 10 * torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    log_masks = method.masks.decode(z)
    assert log_masks.shape == (2, 3, 1, 16, 16)
    torch.testing.assert_close(log_masks.exp().sum(1), torch.ones(2, 1, 16, 16))


def test_batch_normalisation_of_the_mask_decoder_includes_the_last_slot(method):
    """In training mode the logits of all slots come from one batch of B · K latents."""
    z = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    method.train()
    logits = method.masks.decoder(z.view(6, 4, 1, 1)).view(2, 3, 1, 16, 16)
    first, second = logits[:, 0].sigmoid(), logits[:, 1].sigmoid()
    expected = torch.stack((first, (1 - first) * second, (1 - first) * (1 - second)), 1)
    torch.testing.assert_close(method.masks.decode(z).exp(), expected)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_mask_networks_fit_every_size(size):
    method = Genesis(SMALL.changed(size=size)).eval()
    _, z = method.masks.encode(torch.rand(1, 3, size, size), lambda q: q.mean)
    assert method.masks.decode(z).shape == (1, 3, 1, size, size)


def test_posterior_of_a_slot_depends_on_earlier_latents(method):
    x = torch.rand(1, 3, 16, 16)
    means, _ = method.masks.encode(x, lambda q: q.mean)
    shifted, _ = method.masks.encode(x, lambda q: q.mean + 1)
    assert torch.equal(means.mean[:, 0], shifted.mean[:, 0])
    assert not torch.allclose(means.mean[:, 1:], shifted.mean[:, 1:])


def test_terms_of_a_step_equal_the_bound_computed_slot_by_slot(method, images):
    """The logged terms against loops over slots with torch.distributions, on the same samples."""
    generator = torch.Generator().manual_seed(1)
    x = images.float() / 255
    q_m, z_m = method.masks.encode(x, lambda q: q.sample(generator))
    log_masks = method.masks.decode(z_m)
    q_c = method.components.encode(x, log_masks)
    z_c = q_c.sample(generator)
    rgb = method.components.decode(z_c).sigmoid()
    density = sum(
        log_masks[:, k].exp() * Normal(rgb[:, k], SMALL.pixel_std).log_prob(x).exp()
        for k in range(SMALL.slots)
    )
    kl_masks = kl_components = torch.zeros(2)
    for k in range(SMALL.slots):
        p_m = Normal(0.0, 1.0)
        if k:
            output, _ = method.mask_prior.lstm(z_m[:, :k])
            mean, raw = method.mask_prior.linear(output[:, -1]).chunk(2, 1)
            p_m = Normal(mean.tanh(), torch.sigmoid(raw + 4) + 1e-4)
        mean, raw = method.component_prior(z_m[:, k]).chunk(2, 1)
        p_c = Normal(mean.tanh(), torch.sigmoid(raw + 4) + 1e-4)
        for p, q, z, total in ((p_m, q_m, z_m, "masks"), (p_c, q_c, z_c, "components")):
            ratio = Normal(q.mean[:, k], q.std[:, k]).log_prob(z[:, k]) - p.log_prob(z[:, k])
            if total == "masks":
                kl_masks = kl_masks + ratio.sum(1)
            else:
                kl_components = kl_components + ratio.sum(1)

    method.optimizers = method.make_optimizers()
    logged = method.training_step(images, Step(0, 1, torch.Generator().manual_seed(1)))
    error = -torch.log(density).sum((1, 2, 3)).mean()
    torch.testing.assert_close(logged["error"], error.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logged["kl_masks"], kl_masks.mean().detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        logged["kl_components"], kl_components.mean().detach(), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        logged["loss"], logged["error"] + logged["kl_masks"] + logged["kl_components"]
    )  # β starts at one
    assert method.geco.beta != 1


@torch.no_grad()
def test_samples_are_ancestral(method):
    """Appearances come from the prior given the sampled mask latents, not from N(0, I)."""
    seed = torch.Generator().manual_seed(3)
    first = method.sample(2, seed)
    assert not torch.equal(first, method.sample(2, seed))
    assert torch.equal(first, method.sample(2, torch.Generator().manual_seed(3)))

    # A prior of nearly zero variance: every sample has the appearance of its mean.
    last = method.component_prior[-1]
    last.weight.zero_()
    last.bias.copy_(torch.tensor([0.5, -0.5, 0.2, -20, -20, -20]))
    z_m = method.mask_prior.sample(2, SMALL.slots, torch.Generator().manual_seed(3))
    z_c = torch.tensor([0.5, -0.5, 0.2]).tanh().expand(2, SMALL.slots, 3)
    masks, rgb = method.masks.decode(z_m).exp(), method.components.decode(z_c).sigmoid()
    expected = 255 * (masks * rgb).sum(1)
    found = method.sample(2, torch.Generator().manual_seed(3)).float()
    assert (found - expected).abs().max() <= 1


def test_images_of_another_size_are_refused(method):
    with pytest.raises(DenfError, match=r"settings\.size=32"):
        method.segment(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


def test_other_sizes_are_refused():
    with pytest.raises(ValidationError, match="16, 32, 64, 128 or 256"):
        SMALL.changed(size=48)
