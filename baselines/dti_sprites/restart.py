"""Sprites that are hardly used start anew as copies of the one used most (Monnier et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

NOISE = 1e-4  # on the colours of a sprite that starts anew as a copy


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
    """Copy the most used sprite, its heads and their moments over those hardly used, in place.

    One layer, drawn at random for each check, decides how much a sprite is used. A layer that was
    always empty restarts nothing.

    Args:
        sprites: colours of the sprites, (K, 3, h, w); their moments stay as they are.
        others: parameters whose first axis is that of the sprites, or of layers times sprites.
        optimizer: holds the moments of `others`.
        usage: (L, K), how often each layer chose each sprite since the last check.
        share: a sprite restarts when it is used less than share / K of the most used one.
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
