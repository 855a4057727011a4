"""Presence of an object: a relaxed Bernoulli variable and its Kullback-Leibler divergence.

Maddison et al., "The concrete distribution" (ICLR 2017). The divergence is that of the Bernoulli
variables before relaxation, in closed form, as in SPACE, SPAIR and GMAIR.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

_EDGE = 1e-6  # the uniform noise is clamped to [_EDGE, 1 - _EDGE], so that its logit is finite


def relaxed_bernoulli(
    logits: Tensor, temperature: Tensor | float, generator: torch.Generator
) -> Tensor:
    """A sample σ((logits + log u - log(1 - u)) / temperature), u uniform in (0, 1).

    Args:
        logits: of the probability of 1, any shape.
        temperature: above 0; at low temperatures samples are near 0 or 1.
        generator: of the noise, on the device of `logits`.

    Returns:
        the shape of `logits`, in (0, 1), differentiable.
    """
    u = torch.rand(logits.shape, generator=generator, device=logits.device, dtype=logits.dtype)
    noise = torch.logit(u, eps=_EDGE)
    return torch.sigmoid((logits + noise) / temperature)


def kl_bernoulli(logits: Tensor, prior: Tensor | float) -> Tensor:
    """KL(q ‖ p) = q log(q/p) + (1 - q) log((1 - q)/(1 - p)) in nats, element by element.

    Args:
        logits: of q, any shape.
        prior: p in (0, 1), a number or a tensor that broadcasts.
    """
    log_p: Tensor | float
    log_not_p: Tensor | float
    if isinstance(prior, Tensor):
        log_p, log_not_p = prior.log(), torch.log1p(-prior)
    else:
        log_p, log_not_p = math.log(prior), math.log1p(-prior)
    q = torch.sigmoid(logits)
    return q * (logsigmoid(logits) - log_p) + (1 - q) * (logsigmoid(-logits) - log_not_p)
