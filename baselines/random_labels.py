"""Control: labels drawn at random, pixel by pixel. Every ARI must be about 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from pydantic import ConfigDict
from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod


@dataclass(frozen=True)
class RandomLabelsSettings:
    """Settings.

    Args:
        labels: number of labels drawn from (CLEVR6: six objects and the background).
        seed: of the draw, the same for every batch of one shape.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    labels: Annotated[int, Ge(2)] = 7
    seed: Annotated[int, Ge(0)] = 0


class RandomLabels(UntrainedMethod):
    """Uniform labels, independent of the image."""

    Settings = RandomLabelsSettings
    capabilities = frozenset({Capability.SEGMENT})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        generator = torch.Generator().manual_seed(self.settings.seed)  # alike on every device
        shape = (len(images), *images.shape[2:])
        labels = torch.randint(self.settings.labels, shape, generator=generator).to(images.device)
        return Segmentation(labels, labels)
