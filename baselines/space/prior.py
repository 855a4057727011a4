"""SPACE's prior p(z_fg) of the foreground: divergences from it, and objects drawn from it.

p(z_fg) = Π_i p(z_pres,i) p(z_scale,i) p(z_shift,i) p(z_depth,i) p(z_what,i), equal for all cells i:
presence is a Bernoulli variable, z_scale is N(μ, s²), all others are N(0, I). The probability of
presence and μ depend on the step.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.blocks.concrete import kl_bernoulli
from baselines.blocks.gaussian import DiagonalGaussian, standard
from baselines.space.compositing import Objects
from baselines.space.foreground import SpaceForeground
from baselines.space.settings import SpaceSettings


def divergences(
    posteriors: Mapping[str, DiagonalGaussian], logits: Tensor, settings: SpaceSettings, index: int
) -> dict[str, Tensor]:
    """KL(q(z_fg | x) ‖ p(z_fg)) per latent, by name: scalars in nats, means over images.

    Args:
        posteriors: of depth, scale, shift and what, (B, N, ·).
        logits: of presence, (B, N, 1).
        settings: of the priors.
        index: 0-based step.
    """
    kl = {name: q.kl(standard(q.mean)) for name, q in posteriors.items() if name != "scale"}
    scale = posteriors["scale"]
    kl["scale"] = scale.kl(
        DiagonalGaussian(
            torch.full_like(scale.mean, settings.scale_prior.at(index)),
            torch.full_like(scale.std, settings.scale_prior_std),
        )
    )
    kl["presence"] = kl_bernoulli(logits, settings.presence_prior.at(index))
    return {name: value.flatten(1).sum(1).mean() for name, value in kl.items()}


def draw_objects(
    foreground: SpaceForeground, settings: SpaceSettings, count: int, generator: torch.Generator
) -> Objects:
    """Objects of `count` scenes from the priors at the ends of their schedules.

    Args:
        foreground: computes the boxes of the cells.
        settings: of the priors.
        count: B.
        generator: of all samples, on the device of the objects.
    """
    cells, device = settings.grid**2, generator.device

    def normal(dimensions: int) -> Tensor:
        return torch.randn(count, cells, dimensions, generator=generator, device=device)

    coins = torch.rand(count, cells, 1, generator=generator, device=device)
    scale = settings.scale_prior.end + settings.scale_prior_std * normal(2)
    return Objects(
        (coins < settings.presence_prior.end).float(),
        normal(1),
        foreground.boxes(scale, normal(2)),
        normal(settings.what),
    )
