"""Control: the true masks as prediction. Every ARI must be 1."""

from __future__ import annotations

from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod


class TrueLabels(UntrainedMethod):
    """The labels are the given masks."""

    capabilities = frozenset({Capability.SEGMENT, Capability.ORACLE})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        if truth is None:
            raise ValueError("truth: expected masks (B, H, W), got None")
        return Segmentation(truth.long(), truth.long())
