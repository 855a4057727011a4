"""Control: one segment for the whole image. Every ARI must be 0, but for degenerate scenes.

Both foreground forms are 1 in scenes of one object, and ARI over all pixels is 1 in empty scenes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod


class OneSegment(UntrainedMethod):
    """All pixels have label 1."""

    capabilities = frozenset({Capability.SEGMENT})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        shape = (len(images), *images.shape[2:])
        labels = torch.ones(shape, dtype=torch.long, device=images.device)
        return Segmentation(labels, labels)
