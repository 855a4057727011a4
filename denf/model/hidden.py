"""The cells that objects hide, and z_bg without what it holds there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from denf.model.denf import to_pixels
from denf.model.latents import Latents
from denf.model.settings import Background, Fill

_LEAST_SHARE = 0.25  # one known place of four


def hidden_places(presence: Tensor, shape: tuple[int, int], settings: Background) -> Tensor:
    """Places near a present cell: bool (B, *shape).

    Args:
        presence: probability of z_pres = 1, (B, h, w).
        shape: resolution of the places, that of the cells or a finer one.
        settings: margin and threshold.
    """
    reach = round(settings.margin * presence.shape[1])
    around = functional.max_pool2d(presence[:, None], 2 * reach + 1, 1, reach)[:, 0]
    return to_pixels(around, shape) > settings.threshold


def filled_background(latents: Latents, settings: Background, mean: Tensor | None = None) -> Tensor:
    """z_bg (B, 1, H/2, W/2) whose hidden cells are filled as `settings.fill` says.

    Args:
        latents: of a batch.
        settings: of the background.
        mean: of z_bg in absent cells, (1, 1, H/2, W/2), for `Fill.MEAN`.
    """
    z_bg = latents.background
    if settings.fill is Fill.NONE:
        return z_bg
    hidden = hidden_in_background(latents, settings)
    if mean is None:
        return filled(z_bg, hidden)
    return mean + filled(z_bg - mean, hidden)


def hidden_in_background(latents: Latents, settings: Background) -> Tensor:
    """`hidden_places` of z_bg: bool (B, H/2, W/2)."""
    shape = (latents.background.shape[2], latents.background.shape[3])
    return hidden_places(latents.presence_logit.sigmoid(), shape, settings)


def filled(maps: Tensor, hidden: Tensor) -> Tensor:
    """Maps whose hidden places are interpolated from the others.

    Pull: the mean of the known places of each 2 × 2 block, level by level. Push: hidden places take
    the next coarser level, bilinearly. Maps without a known place become 0, the mean of the prior.

    Args:
        maps: (B, C, h, w).
        hidden: bool (B, h, w).

    Source: push-pull interpolation, Gortler et al. (1996), "The Lumigraph".
    """
    known = (~hidden)[:, None].to(maps.dtype)
    found, levels = maps * known, []
    while max(found.shape[2:]) > 1:
        levels.append((found, known))
        share = functional.avg_pool2d(known, 2, ceil_mode=True)
        found = functional.avg_pool2d(found, 2, ceil_mode=True) / share.clamp(min=_LEAST_SHARE)
        known = (share > 0).to(maps.dtype)
    for finer, known in reversed(levels):
        size = (finer.shape[2], finer.shape[3])
        pushed = functional.interpolate(found, size=size, mode="bilinear", align_corners=False)
        found = torch.where(known > 0, finer, pushed)
    return found
