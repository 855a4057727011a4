"""Restart of rarely used sprites as copies of the most used sprite (Monnier et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

NOISE = 1e-4  # standard deviation of noise on the colours of a copied sprite and its copies


@torch.no_grad()
def restart_unused(
    sprites: Tensor,
    others: Iterable[Tensor],
    optimizer: Optimizer,
    usage: Tensor,
    *,
    share: float,
    generator: torch.Generator,
) -> None:
    """Overwrite rarely used sprites by the most used sprite, its heads and their moments, in place.

    The usage of one layer, drawn at random for each check, decides. If that layer was always empty,
    no sprite restarts.

    Args:
        sprites: colours of the sprites, (K, 3, h, w); their moments are not changed.
        others: parameters whose first axis is that of the sprites, or of layers times sprites.
        optimizer: holds the moments of `others`.
        usage: (L, K), how often each layer chose each sprite since the last check.
        share: a sprite restarts if its usage is below share / K of that of the most used sprite.
        generator: source of the layer and of the noise.
    """
    layers, count = usage.shape
    layer = torch.randint(layers, (1,), generator=generator, device=usage.device)
    used = usage[layer][0]
    most = used.argmax()[None]
    unused = used / used.max() < share / count

    def copy(values: Tensor) -> None:  # the axis of the sprites is the second
        at = unused.view(1, -1, *[1] * (values.dim() - 2))
        values.copy_(torch.where(at, values.index_select(1, most), values))

    copy(sprites[None])
    noise = torch.randn(sprites.shape, generator=generator, device=usage.device)
    touched = unused | (torch.arange(count, device=usage.device) == most) & unused.any()
    sprites.add_(NOISE * noise * touched[:, None, None, None])
    for parameter in others:
        moments = optimizer.state.get(parameter, {})
        for values in (parameter, moments.get("exp_avg"), moments.get("exp_avg_sq")):
            if values is not None:
                copy(values.view(-1, count, *values.shape[1:]))
