"""Aids of the component VAE of MONet and GENESIS: input of its encoder, initial deviations."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def mask_and_masked_image(x: Tensor, log_masks: Tensor) -> Tensor:
    """The encoder's input m and m·x, (B, K, 4, H, W), in place of log m and x.

    Logarithms of hard masks are ten times as large as colours, and the image is the same for all
    slots, so that after a short training every slot has the mean colour of the image.

    Args:
        x: (B, 3, H, W) in [0, 1].
        log_masks: (B, K, 1, H, W).
    """
    masks = log_masks.exp()
    return torch.cat((masks, masks * x[:, None]), 2)


@torch.no_grad()
def add_to_deviations(layers: Iterable[nn.Module], amount: float) -> None:
    """Add to the initial bias of raw standard deviations, in place; see `gaussian.posterior`.

    Args:
        layers: linear layers whose outputs are means and raw standard deviations, half each.
        amount: below 0 the standard deviations start smaller.
    """
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        layer.bias.chunk(2)[1].add_(amount)
