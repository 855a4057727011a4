"""Losses of the two players of an adversarial game, and a penalty on the gradient.

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

    The cross-entropy is the negative value function, Eq. 1 of Goodfellow et al.

    Args:
        game: which of the two.
        real, fake: the discriminator's raw outputs, any shape.
    """
    if game is Game.HINGE:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(game: Game, fake: Tensor) -> Tensor:
    """-E log σ(D(G(z))), the non-saturating form, or -E D(G(z)) with the hinge loss."""
    return -fake.mean() if game is Game.HINGE else F.softplus(-fake).mean()


def gradient_norms(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """‖∇ₓ D(x)‖₂ of each image, differentiable.

    Args:
        critic: maps (B, ...) to (B, ...), image by image; with batch normalisation, which mixes
            images, the gradient of a single image is not defined.
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
    """E (‖∇D(x̂)‖ - k)², x̂ = x + α·c·std(x)·u, α ~ U(0, 1) per image and u ~ U(0, 1) per value.

    Kodali et al. 2017, as in their code: each perturbed image lies between a real image and a noisy
    copy of it.

    Args:
        critic: see `gradient_norms`; its raw output, because a sigmoid's gradient vanishes.
        real: (B, 3, H, W).
        random: of α and u.
        noise: c, in standard deviations of all values of the batch.
        target: k.
    """
    u = torch.rand(real.shape, generator=random, device=real.device)
    alpha = torch.rand((len(real), 1, 1, 1), generator=random, device=real.device)
    perturbed = real + alpha * noise * real.std() * u
    return (gradient_norms(critic, perturbed) - target).square().mean()
