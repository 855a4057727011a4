"""Base densities of the structured latents (section 3.1.3, Table 5), in nats."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from denf.model.latents import Latents
from denf.model.settings import AbsentDensity, Priors, WhatPrior


def log_normal(x: Tensor, mean: float, std: float) -> Tensor:
    """Elementwise log N(x; mean, std)."""
    return -0.5 * ((x - mean) / std).square() - math.log(std) - 0.5 * math.log(2 * math.pi)


def log_background(z_bg: Tensor) -> Tensor:
    """log N(z_bg; 0, 1) summed over the latent: (B,). Section 3.1.2, Table 5."""
    return log_normal(z_bg, 0.0, 1.0).sum((1, 2, 3))


def log_geometry(latents: Latents, priors: Priors) -> Tensor:
    """log p(z_scale) + log p(z_loc) of a present cell: (B, h, w). Table 5."""
    scale = log_normal(latents.scale, priors.scale_mean, priors.scale_std).sum(1)
    return scale + log_normal(latents.loc, 0.0, priors.loc_std).sum(1)


def log_foreground(latents: Latents, p: Tensor, priors: Priors, absent: AbsentDensity) -> Tensor:
    r"""log p(z_fg) of Eq. 8, (B,).

    .. math::
        \sum_{ij} \log p(z_{pres}) + p\,(\log p(z_{scale}) + \log p(z_{loc})) +
        \log p(z_{what} \mid p)

    The paper's Bernoulli prior does not define the density of the two real channels that carry
    presence. Here their difference (the logit) has the logistic density whose positive half has
    the prior's mass, and their mean has a standard normal density.

    Args:
        latents: of a batch of images.
        p: presence of each cell in [0, 1], (B, h, w): relaxed in training, 0 or 1 for an exact
            density.
        priors: Table 5.
        absent: density of size and displacement in absent cells.
    """
    # (a, b) → (a − b, (a + b)/2) has unit determinant, so the density needs no correction.
    logit, mean = latents.presence_logit, latents.presence.mean(1)
    shifted = logit - math.log(priors.presence / (1 - priors.presence))
    log_presence = functional.logsigmoid(shifted) + functional.logsigmoid(-shifted)
    total = log_presence + log_normal(mean, 0.0, 1.0)
    total = total + p * log_geometry(latents, priors)
    if absent is AbsentDensity.STANDARD:
        standard = log_normal(latents.scale, 0.0, 1.0) + log_normal(latents.loc, 0.0, 1.0)
        total = total + (1 - p) * standard.sum(1)
    present = log_normal(latents.what, priors.what_foreground_mean, priors.what_std).sum(1)
    total = total + p * present
    if priors.what is WhatPrior.BIMODAL:
        mode = log_normal(latents.what, priors.what_background_mean, priors.what_std).sum(1)
        total = total + (1 - p) * mode
    return total.sum((1, 2))


def is_density(priors: Priors, absent: AbsentDensity) -> bool:
    """Whether `log_foreground` integrates to one: every latent of an absent cell has a density."""
    return priors.what is WhatPrior.BIMODAL and absent is AbsentDensity.STANDARD


def sample_presence(logit: Tensor, temperature: float | Tensor, u: Tensor) -> Tensor:
    r"""Relaxed Bernoulli sample of z_pres (Eq. 14), elementwise in (0, 1).

    .. math:: z = \sigma((\log\alpha + L)/\lambda), \quad L = \log U - \log(1 - U)

    Args:
        logit: log α, any shape.
        temperature: λ > 0.
        u: U, uniform in (0, 1), same shape.
    """
    u = u.clamp(1e-6, 1 - 1e-6)
    return torch.sigmoid((logit + u.log() - torch.log1p(-u)) / temperature)


def sample_latents(
    shapes: Mapping[str, tuple[int, ...]], count: int, priors: Priors, generator: torch.Generator
) -> Latents:
    """Draw latents from the base densities (Table 5; second mode of sampling).

    Absent cells take z_scale and z_loc from N(0, 1), and z_what from its background mode, or from
    its only mode.

    Args:
        shapes: shape of each latent for one image, see `DeNF.latent_shapes`.
        count: number of images.
        priors: Table 5.
        generator: source of randomness, on the model's device.
    """

    def normal(name: str) -> Tensor:
        shape = (count, *shapes[name])
        return torch.randn(shape, generator=generator, device=generator.device)

    u = torch.rand(
        (count, *shapes["presence"][1:]), generator=generator, device=generator.device
    ).clamp(1e-6, 1 - 1e-6)
    logit = math.log(priors.presence / (1 - priors.presence)) + u.log() - torch.log1p(-u)
    mean = normal("presence")[:, 0]
    presence = torch.stack((mean + logit / 2, mean - logit / 2), 1)
    p = (logit > 0)[:, None]
    scale, loc = normal("scale"), normal("loc")
    bimodal = torch.where(p, priors.what_foreground_mean, priors.what_background_mean)
    unimodal = torch.full_like(bimodal, priors.what_foreground_mean)
    centre = bimodal if priors.what is WhatPrior.BIMODAL else unimodal
    return Latents(
        background=normal("background"),
        presence=presence,
        scale=torch.where(p, priors.scale_mean + priors.scale_std * scale, scale),
        loc=torch.where(p, priors.loc_std * loc, loc),
        what=centre + priors.what_std * normal("what"),
    )
