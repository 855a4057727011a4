"""Control: square tiles, the same for every image: the score that position alone reaches.

Objects are usually apart, so that tiles separate them in every image: both foreground ARI and its
strict form are far above 0. ARI over all pixels is not, because tiles split the background.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod
from denf.settings import Count, MethodSettings


class TilesSettings(MethodSettings):
    """Settings of the tiles."""

    side: Count = 3
    """Number of tiles along a side of the image; three separate the objects of CLEVR6 best."""


class Tiles(UntrainedMethod):
    """Labels 1 … side², row by row."""

    settings: TilesSettings
    capabilities = frozenset({Capability.SEGMENT})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        side, (height, width) = self.settings.side, images.shape[2:]
        row = torch.arange(height, device=images.device) * side // height
        column = torch.arange(width, device=images.device) * side // width
        labels = (1 + side * row[:, None] + column).expand(len(images), -1, -1)
        return Segmentation(labels, labels)
