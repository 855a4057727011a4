"""What the two players of an adversarial game descend: losses, and a penalty on the gradient.

Goodfellow et al., Generative adversarial nets, NeurIPS 2014 (cross-entropy); Lim and Ye, Geometric
GAN, arXiv:1705.02894 (hinge); Kodali et al., On convergence and stability of GANs,
arXiv:1705.07215 (penalty around real images).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


class Game(StrEnum):
    """Losses of the two players."""

    CROSS_ENTROPY = "cross-entropy"
    HINGE = "hinge"


def discriminator_loss(game: Game, real: Tensor, fake: Tensor) -> Tensor:
    """-E log σ(D(x)) - E log(1 - σ(D(G(z)))), or E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))).

    Args:
        game: which of the two.
        real, fake: the discriminator's raw outputs, any shape.
    """
    if game is Game.HINGE:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(game: Game, fake: Tensor) -> Tensor:
    """-E log σ(D(G(z))), the form that does not saturate, or -E D(G(z)) against the hinge."""
    return -fake.mean() if game is Game.HINGE else F.softplus(-fake).mean()


def gradient_norms(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """‖∇ₓ D(x)‖₂ of each image, differentiable.

    Args:
        critic: maps (B, ...) to (B, ...), image by image; one that mixes the batch, as with batch
            normalisation, has no gradient of a single image.
        x: (B, ...).

    Returns:
        (B,).
    """
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def dragan_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    random: torch.Generator,
    noise: float = 0.5,
    target: float = 1.0,
) -> Tensor:
    """E (‖∇D(x̂)‖ - k)², x̂ = x + α·c·std(x)·u, with α ~ U(0, 1) an image and u ~ U(0, 1) a value.

    Kodali et al. 2017 in the form of their code: the perturbed images lie between a real image and
    a noisy copy of it.

    Args:
        critic: see `gradient_norms`; the raw output, since a sigmoid's gradient vanishes.
        real: (B, 3, H, W).
        random: of α and u.
        noise: c, in standard deviations of all values of the batch.
        target: k.
    """
    u = torch.rand(real.shape, generator=random, device=real.device)
    alpha = torch.rand((len(real), 1, 1, 1), generator=random, device=real.device)
    perturbed = real + alpha * noise * real.std() * u
    return (gradient_norms(critic, perturbed) - target).square().mean()
