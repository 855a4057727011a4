"""Diagonal Gaussians against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from baselines.blocks.gaussian import DiagonalGaussian, learned_prior, posterior, standard


@pytest.fixture
def pair() -> tuple[DiagonalGaussian, DiagonalGaussian]:
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(2, 4, 3, 10, generator=generator, dtype=torch.float64)
    return posterior(raw[0]), learned_prior(raw[1])


def test_densities_and_divergences_equal_those_of_torch(pair):
    q, p = pair
    z = q.sample(torch.Generator().manual_seed(1))
    reference = Normal(q.mean, q.std)
    torch.testing.assert_close(q.log_prob(z), reference.log_prob(z))
    torch.testing.assert_close(q.kl(p), kl_divergence(reference, Normal(p.mean, p.std)))
    torch.testing.assert_close(q.kl(q), torch.zeros_like(z), atol=1e-12, rtol=0)
    unit = standard(z)
    torch.testing.assert_close(q.kl(unit), kl_divergence(reference, Normal(0.0, 1.0)))


def test_samples_have_the_stated_moments_and_pass_gradients():
    mean = torch.tensor([0.5, -2.0]).expand(50_000, 2).clone().requires_grad_()
    std = torch.tensor([0.3, 2.0]).expand(50_000, 2).clone().requires_grad_()
    z = DiagonalGaussian(mean, std).sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), std[0], atol=0.03, rtol=0)
    z.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(std.grad, ((z - mean) / std).detach(), atol=1e-5, rtol=1e-5)


def test_standard_deviations_start_near_one_and_stay_in_their_bounds():
    at_zero = torch.zeros(1, 2)
    assert posterior(at_zero).std.item() == pytest.approx(0.974, abs=1e-3)  # softplus(0.5)
    assert learned_prior(at_zero).std.item() == pytest.approx(0.982, abs=1e-3)  # sigmoid(4)
    far = torch.tensor([[-50.0, -50.0], [50.0, 50.0]])
    assert (posterior(far).std > 0).all()
    bounded = learned_prior(far)
    assert bounded.mean.abs().max() <= 1
    assert bounded.std.min() >= 1e-4
    assert bounded.std.max() <= 1 + 2e-4
