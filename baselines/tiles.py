"""Control: square tiles, the same for every image. What place alone is worth.

Objects lie apart, so tiles part them without looking: foreground ARI is far above 0, strict or not,
while the index over all pixels is not, since tiles cut the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from pydantic import ConfigDict
from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod


@dataclass(frozen=True)
class TilesSettings:
    """Settings.

    Args:
        side: tiles along a side of the image; three part the objects of CLEVR6 best.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    side: Annotated[int, Ge(1)] = 3


class Tiles(UntrainedMethod):
    """Labels 1 … side², row by row."""

    Settings = TilesSettings
    capabilities = frozenset({Capability.SEGMENT})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        side, (height, width) = self.settings.side, images.shape[2:]
        row = torch.arange(height, device=images.device) * side // height
        column = torch.arange(width, device=images.device) * side // width
        labels = (1 + side * row[:, None] + column).expand(len(images), -1, -1)
        return Segmentation(labels, labels)
