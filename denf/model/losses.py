"""The losses of Eqs. 4–12, each on its own; `denf.model.objective` weighs and adds them."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.model.latents import Latents
from denf.model.priors import log_background, log_foreground, log_geometry
from denf.model.settings import AbsentDensity, Priors


def background_forward(z_bg: Tensor, ladj: Tensor) -> Tensor:
    """−log N(z_bg) − log|det J| of f1⁻¹, nats (B,). Eq. 4."""
    return -log_background(z_bg) - ladj


def background_backward(x: Tensor, x_bg: Tensor) -> Tensor:
    r"""Squared distance of each background pixel to the nearest of that pixel over the batch.

    .. math:: \frac1M \sum_j \min_{x \in B} \|x^j - \hat x_{bg}^j\|_2^2

    An object stands at a pixel in few images of the batch, so the minimum forgets it.

    Args:
        x: images (B, C, H, W) in [0, 1], one camera.
        x_bg: generated backgrounds, same shape.

    Returns:
        (B,), squared error summed over channels, mean over pixels. Source: Eq. 5.
    """
    nearest = torch.stack([(x_bg - image).square().sum(1) for image in x]).amin(0)  # (B, H, W)
    return nearest.mean((1, 2))


def foreground_forward(
    latents: Latents, p: Tensor, ladj: Tensor, priors: Priors, absent: AbsentDensity
) -> Tensor:
    """−log p(z_fg) − log|det J| of f2⁻¹, nats (B,). Eqs. 8 and 9.

    f1's log-determinant is counted once, in Eq. 4: the two terms add up to −log p(x).
    """
    return -log_foreground(latents, p, priors, absent) - ladj


def mixture(presence: Tensor, x_fg: Tensor, x_bg: Tensor) -> Tensor:
    """x̂ = z_pres·x̂_fg + (1 − z_pres)·x̂_bg, (B, C, H, W). Eq. 10.

    Args:
        presence: (B, H, W) in [0, 1], at the images' resolution.
        x_fg, x_bg: (B, C, H, W).
    """
    m = presence[:, None]
    return m * x_fg + (1 - m) * x_bg


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """‖x − x̂‖² summed over channels, mean over pixels: (B,). Eq. 10."""
    return (x - x_hat).square().sum(1).mean((1, 2))


def expected_error(x: Tensor, x_fg: Tensor, x_bg: Tensor, presence: Tensor) -> Tensor:
    r"""Expectation of Eq. 10 over binary presence, (B,), channels summed, mean over pixels.

    .. math:: E\|x - \hat x\|^2 = p\,\|x - \hat x_{fg}\|^2 + (1 - p)\,\|x - \hat x_{bg}\|^2

    Args:
        x, x_fg, x_bg: (B, C, H, W).
        presence: probability p of z_pres = 1, (B, H, W).
    """
    error_fg, error_bg = (x - x_fg).square().sum(1), (x - x_bg).square().sum(1)
    return (presence * error_fg + (1 - presence) * error_bg).mean((1, 2))


def compatibility(union: Tensor, presence: Tensor) -> Tensor:
    r"""Disagreement of the boxes' union with the presence map, (B,) in [0, 1].

    .. math:: \frac{\sum (\hat z - z)^2}{\sum \hat z + \sum z}

    Args:
        union: ẑ_pres (B, h, w).
        presence: z_pres (B, h, w).

    Source: Eq. 12. An empty scene without boxes agrees: 0.
    """
    total = union.sum((1, 2)) + presence.sum((1, 2))
    return (union - presence).square().sum((1, 2)) / total.clamp(min=1e-6)


def geometry(latents: Latents, p: Tensor, priors: Priors) -> Tensor:
    """−log p(z_scale) − log p(z_loc) averaged over present cells, nats (B,).

    Args:
        latents: of the batch.
        p: presence (B, h, w) in [0, 1].
        priors: Table 5.
    """
    return -(p * log_geometry(latents, priors)).sum((1, 2)) / p.sum((1, 2)).clamp(min=1)
