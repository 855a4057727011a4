"""Diagonal Gaussians: reparametrised samples, log-densities and divergences, element by element.

The caller sums over latent dimensions, along the axes of its paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.blocks.likelihood import gaussian_log_prob


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag(std²)) over any number of axes.

    Args:
        mean: any shape.
        std: the same shape, positive.
    """

    mean: Tensor
    std: Tensor

    def sample(self, generator: torch.Generator) -> Tensor:
        """z = μ + σ·ε with ε ~ N(0, I); gradients reach μ and σ (Kingma and Welling, 2014)."""
        mean = self.mean
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + self.std * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; μ, σ²) of each element, in nats, in the shape of z."""
        return gaussian_log_prob(z, self.mean, self.std)

    def kl(self, prior: DiagonalGaussian) -> Tensor:
        """KL(q‖p) = log(σ_p/σ_q) + (σ_q² + (μ_q − μ_p)²)/(2σ_p²) − ½ of each element, in nats."""
        ratio = (self.std / prior.std).square()
        shift = ((self.mean - prior.mean) / prior.std).square()
        return 0.5 * (ratio + shift - 1 - ratio.log())


def standard(like: Tensor) -> DiagonalGaussian:
    """N(0, I) in the shape of a tensor."""
    return DiagonalGaussian(torch.zeros_like(like), torch.ones_like(like))


def posterior(parameters: Tensor, shift: float = 0.5) -> DiagonalGaussian:
    """A posterior from a network's output: μ unchanged, σ = softplus(raw + shift) + 1e-8.

    Args:
        parameters: (..., 2D), μ before raw.
        shift: with 0.5, σ starts near one (GENESIS' public code, applied-ai-lab/genesis).
    """
    mean, raw = parameters.chunk(2, -1)
    return DiagonalGaussian(mean, nn.functional.softplus(raw + shift) + 1e-8)


def learned_prior(parameters: Tensor) -> DiagonalGaussian:
    """A prior from a network's output: μ = tanh(raw mean), σ = sigmoid(raw + 4) + 1e-4.

    Both are bounded, so that the prior cannot diverge from the posteriors to which it is fitted;
    with the shift, σ starts near one (GENESIS' public code, applied-ai-lab/genesis).

    Args:
        parameters: (..., 2D), μ before raw.
    """
    mean, raw = parameters.chunk(2, -1)
    return DiagonalGaussian(mean.tanh(), torch.sigmoid(raw + 4) + 1e-4)


def draw(q: DiagonalGaussian, generator: torch.Generator | None) -> Tensor:
    """A sample; without a generator the mean, which evaluation uses."""
    return q.mean if generator is None else q.sample(generator)
