"""Control: labels drawn at random for every pixel. Every ARI must be about 0."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod
from denf.settings import MethodSettings


class RandomLabelsSettings(MethodSettings):
    """Settings of the random labels."""

    labels: Annotated[int, Ge(2)] = 7
    """Number of labels (CLEVR6: six objects and the background)."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the draw, which is the same for all batches of equal shape."""


class RandomLabels(UntrainedMethod):
    """Uniform labels, independent of the image."""

    settings: RandomLabelsSettings
    capabilities = frozenset({Capability.SEGMENT})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        generator = torch.Generator().manual_seed(self.settings.seed)  # the same on every device
        shape = (len(images), *images.shape[2:])
        labels = torch.randint(self.settings.labels, shape, generator=generator).to(images.device)
        return Segmentation(labels, labels)
