"""Densities of pixels: Gaussian and logistic components, and their mixture over slots."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus


def gaussian_log_prob(x: Tensor, mean: Tensor, std: float | Tensor) -> Tensor:
    """log N(x; mean, std²), element by element, in nats."""
    log_std = math.log(std) if isinstance(std, float) else torch.log(std)
    return -0.5 * ((x - mean) / std).square() - log_std - 0.5 * math.log(2 * math.pi)


def logistic_log_prob(x: Tensor, mean: Tensor, scale: float) -> Tensor:
    """log of exp(−z) / (s (1 + exp(−z))²) with z = (x − mean) / s, element by element, in nats."""
    z = (x - mean) / scale
    return -z - 2 * softplus(-z) - math.log(scale)


def mixture_log_prob(log_weights: Tensor, log_components: Tensor, dim: int = 1) -> Tensor:
    """log Σ_k exp(log_weights + log_components), by log-sum-exp.

    Args:
        log_weights: their exponentials sum to one along `dim`; broadcast against the components.
        log_components: in nats. Summed over channels, slots are mixed per pixel (IODINE); with a
            channel axis, per pixel and channel (GENESIS).
        dim: axis of the slots, which is reduced.
    """
    return torch.logsumexp(log_weights + log_components, dim)
