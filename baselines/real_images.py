"""Control: real images in place of generated ones. Its FID is what the data themselves reach."""

from __future__ import annotations

import torch
from torch import Tensor

from denf.harness.method import Capability, UntrainedMethod


class RealImages(UntrainedMethod):
    """Hands back the images it is given, so FID compares the training with the test split."""

    capabilities = frozenset({Capability.RECOMPOSE})

    def recompose(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images
