"""Aids of the component VAE of MONet and GENESIS: what its encoder sees, and first deviations."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def mask_and_masked_image(x: Tensor, log_masks: Tensor) -> Tensor:
    """m and m·x, (B, K, 4, H, W), in place of log m and x.

    Logarithms of hard masks outweigh colours tenfold, and the image is the same for all slots, so
    that a short training gives every slot the colour of all.

    Args:
        x: (B, 3, H, W) in [0, 1].
        log_masks: (B, K, 1, H, W).
    """
    masks = log_masks.exp()
    return torch.cat((masks, masks * x[:, None]), 2)


@torch.no_grad()
def add_to_deviations(layers: Iterable[nn.Module], amount: float) -> None:
    """Add to the first bias of raw deviations, in place; see `gaussian.posterior`.

    Args:
        layers: linear, whose outputs are means and raw deviations, half each.
        amount: below 0 deviations start smaller.
    """
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        layer.bias.chunk(2)[1].add_(amount)
