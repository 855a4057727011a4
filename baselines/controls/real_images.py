"""Control: real images in place of generated ones. Its FID compares the splits of the data."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.harness.method import Capability, UntrainedMethod


class RealImages(UntrainedMethod):
    """Recomposed images are the given images, so FID compares the training with the test split."""

    capabilities = frozenset({Capability.RECOMPOSE})

    def recompose(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images
