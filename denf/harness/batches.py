"""Inputs of a training step: its images, a function of (seed, step), and the seed of its noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from denf.data.prepared import Prepared

ON_DEVICE_BYTES = 8 * 2**30  # data sets up to this size are kept on a GPU as uint8


def batch_indices(seed: int, step: int, images: int, batch_size: int) -> np.ndarray:
    """Indices of the images of a step: shuffled epochs, a function of (seed, step) alone.

    Returns:
        (batch_size,) sorted within each epoch's share, so that reads of a memory map move forward.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = positions // images
    parts = []
    for epoch in np.unique(epochs):
        order = np.random.default_rng((seed, int(epoch))).permutation(images)
        parts.append(np.sort(order[positions[epochs == epoch] % images]))
    return np.concatenate(parts)


def loader(data: Prepared, device: torch.device) -> Callable[[np.ndarray], Tensor]:
    """A function from indices (B,) to uint8 images (B, 3, H, W) on the device.

    Args:
        data: kept on a GPU as a whole where it fits `ON_DEVICE_BYTES`, otherwise memory-mapped.
        device: of the batches.
    """
    if device.type == "cuda" and data.images.nbytes <= ON_DEVICE_BYTES:
        resident = torch.from_numpy(np.asarray(data.images)).to(device).permute(0, 3, 1, 2)
        return lambda indices: resident[torch.from_numpy(indices).to(device)]

    def load(indices: np.ndarray) -> Tensor:
        batch = torch.from_numpy(data.images[indices])
        if device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(device, non_blocking=True).permute(0, 3, 1, 2)

    return load


def noise_seed(seed: int, step: int) -> int:
    """A 63-bit seed from (seed, step); neighbouring steps give unrelated streams."""
    state = np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0]
    return int(state) & (2**63 - 1)
