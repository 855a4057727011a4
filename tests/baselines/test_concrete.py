"""The relaxed Bernoulli variable and its divergence against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, kl_divergence
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

from baselines.blocks.concrete import kl_bernoulli, relaxed_bernoulli


@settings(max_examples=60, deadline=None)
@given(logit=st.floats(-12, 12), prior=st.floats(1e-6, 1 - 1e-6))
def test_divergence_equals_torch_distributions(logit, prior):
    logits = torch.tensor([logit], dtype=torch.float64)
    expected = kl_divergence(
        Bernoulli(logits=logits), Bernoulli(torch.tensor([prior], dtype=torch.float64))
    )
    torch.testing.assert_close(kl_bernoulli(logits, prior), expected, rtol=1e-6, atol=1e-9)
    of_tensor = kl_bernoulli(logits, torch.tensor([prior], dtype=torch.float64))
    torch.testing.assert_close(of_tensor, expected, rtol=1e-6, atol=1e-9)


def test_divergence_stays_finite_where_probabilities_round_to_0_and_1():
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    value = kl_bernoulli(logits, 1e-10)
    assert torch.isfinite(value).all()
    assert torch.isfinite(torch.autograd.grad(value.sum(), logits)[0]).all()


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_samples_have_the_distribution_of_torchs(temperature):
    """Kolmogorov-Smirnov distance of 20,000 samples to the exact distribution function."""
    logit, n = 0.7, 20_000
    z = relaxed_bernoulli(
        torch.full((n,), logit, dtype=torch.float64), temperature, torch.Generator().manual_seed(0)
    )
    y = torch.logit(z.sort().values)
    # P(Y <= y) = σ(temperature · y - logit); its derivative is torch's density.
    cdf = torch.sigmoid(temperature * y - logit)
    assert (cdf - torch.arange(n) / n).abs().max() < 1.63 / n**0.5  # the 1 % level
    points = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    density = torch.autograd.grad(torch.sigmoid(temperature * points - logit).sum(), points)[0]
    reference = LogitRelaxedBernoulli(
        torch.tensor(temperature).double(), logits=torch.tensor(logit).double()
    )
    torch.testing.assert_close(density, reference.log_prob(points.detach()).exp())


def test_samples_have_a_gradient_and_follow_the_generator():
    logits = torch.zeros(50, requires_grad=True)
    first, again = (
        relaxed_bernoulli(logits, 1.0, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert (torch.autograd.grad(first.sum(), logits)[0] > 0).all()
    assert ((first > 0) & (first < 1)).all()
