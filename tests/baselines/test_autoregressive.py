"""The prior over slots: densities of given latents, and samples that follow them."""

from __future__ import annotations

import torch

from baselines.blocks.autoregressive import AutoregressivePrior


def test_densities_of_given_latents_equal_a_step_by_step_loop():
    torch.manual_seed(0)
    prior = AutoregressivePrior(3, 5).double()
    z = torch.randn(2, 4, 3, dtype=torch.float64)
    found, state = prior(z), None
    torch.testing.assert_close(found.mean[:, 0], torch.zeros(2, 3, dtype=torch.float64))
    torch.testing.assert_close(found.std[:, 0], torch.ones(2, 3, dtype=torch.float64))
    for k in range(1, 4):
        hidden, state = prior.lstm(z[:, k - 1 : k], state)
        mean, raw = prior.linear(hidden[:, 0]).chunk(2, 1)
        torch.testing.assert_close(found.mean[:, k], torch.tanh(mean))
        torch.testing.assert_close(found.std[:, k], torch.sigmoid(raw + 4) + 1e-4)


def test_prior_of_a_slot_depends_only_on_earlier_slots():
    torch.manual_seed(0)
    prior = AutoregressivePrior(3, 5)
    z = torch.randn(1, 4, 3, requires_grad=True)
    prior(z).mean[0, 2].sum().backward()
    reached = z.grad[0].abs().sum(1) > 0
    assert reached.tolist() == [True, True, False, False]


def test_samples_follow_the_densities():
    """Standardised by p(z_k | z_{<k}), samples are N(0, 1)."""
    torch.manual_seed(0)
    prior = AutoregressivePrior(2, 8)
    with torch.no_grad():
        prior.linear.weight.mul_(5)  # means and standard deviations far from those of slot one
        z = prior.sample(20_000, 3, torch.Generator().manual_seed(1))
        p = prior(z)
        noise = ((z - p.mean) / p.std).flatten(1)
    assert z[:, 1:].std(0).sub(1).abs().max() > 0.02
    torch.testing.assert_close(noise.mean(0), torch.zeros(6), atol=0.03, rtol=0)
    torch.testing.assert_close(noise.T.cov(), torch.eye(6), atol=0.04, rtol=0)
