"""Prepared scenes in batches, as methods take them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from denf.data.prepared import Array, Prepared


def batches(
    data: Prepared, device: torch.device, batch_size: int
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """Scenes in order: index of the first, uint8 images (B, 3, H, W), masks (B, H, W) or None."""
    for start in range(0, len(data), batch_size):
        images = channels_first(data.images[start : start + batch_size], device)
        truth = None
        if data.masks is not None:
            truth = torch.from_numpy(np.array(data.masks[start : start + batch_size])).to(device)
        yield start, images, truth


def channels_first(images: Array, device: torch.device) -> Tensor:
    """(n, H, W, 3), read into memory, as (n, 3, H, W) on the device."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2)
