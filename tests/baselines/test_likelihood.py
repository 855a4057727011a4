"""Densities of components and mixtures against torch.distributions and a loop in float64."""

from __future__ import annotations

import math

import torch
from torch.distributions import AffineTransform, Normal, SigmoidTransform, Uniform
from torch.distributions.transformed_distribution import TransformedDistribution

from baselines.blocks.likelihood import gaussian_log_prob, logistic_log_prob, mixture_log_prob


def test_gaussian_is_torch_s():
    x, mean = torch.randn(4, 3).double(), torch.randn(4, 3).double()
    torch.testing.assert_close(gaussian_log_prob(x, mean, 0.7), Normal(mean, 0.7).log_prob(x))
    std = torch.rand(3).double() + 0.1
    torch.testing.assert_close(gaussian_log_prob(x, mean, std), Normal(mean, std).log_prob(x))


def test_logistic_is_a_transformed_uniform():
    x, mean, scale = torch.rand(50).double(), torch.rand(50).double(), 0.3
    unit = Uniform(torch.zeros(1).double(), torch.ones(1).double(), validate_args=False)
    logit = [SigmoidTransform().inv, AffineTransform(mean, scale)]
    reference = TransformedDistribution(unit, logit, validate_args=False)
    torch.testing.assert_close(logistic_log_prob(x, mean, scale), reference.log_prob(x))


def test_logistic_far_from_the_mean_is_finite_and_symmetric():
    far = torch.tensor([1e4, -1e4]).requires_grad_()
    value = logistic_log_prob(far, torch.zeros(2), 0.03)
    value.sum().backward()
    torch.testing.assert_close(value[0], value[1])
    torch.testing.assert_close(far.grad, torch.tensor([-1 / 0.03, 1 / 0.03]))


def test_mixture_is_the_sum_of_weighted_densities():
    weights = torch.softmax(torch.randn(2, 3, 5).double(), 1)
    components = torch.randn(2, 3, 5).double()
    got = mixture_log_prob(weights.log(), components)
    for b in range(2):
        for n in range(5):
            total = sum(float(weights[b, k, n] * components[b, k, n].exp()) for k in range(3))
            assert math.isclose(float(got[b, n]), math.log(total), rel_tol=1e-12)


def test_mixture_survives_densities_that_underflow():
    weights, components = torch.full((1, 2, 1), 0.5).log(), torch.full((1, 2, 1), -1e4)
    torch.testing.assert_close(mixture_log_prob(weights, components), torch.tensor([[-1e4]]))
