"""Control: k-means on colour and position in each image (scikit-learn's Lloyd iterations)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod
from denf.settings import Count, MethodSettings, NonNegative


class KMeansSettings(MethodSettings):
    """Settings of k-means."""

    clusters: Count = 7
    """Number of clusters (CLEVR6: six objects and the background)."""
    position: NonNegative = 0.5
    """Weight of position (fractions of the image side) relative to colour (in [0, 1])."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the k-means++ initialisation."""


class KMeansControl(UntrainedMethod):
    """Clusters of pixels: the score of a segmentation without learning."""

    settings: KMeansSettings
    capabilities = frozenset({Capability.SEGMENT})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        from sklearn.cluster import KMeans  # importing takes a second; only needed here

        s = self.settings
        b, _, h, w = images.shape
        grid = np.moveaxis(np.mgrid[0:h, 0:w], 0, -1).reshape(-1, 2) / max(h, w)
        colours = images.permute(0, 2, 3, 1).reshape(b, h * w, 3).cpu().numpy() / 255
        labels = []
        for colour in colours:
            features = np.concatenate((colour, s.position * grid), 1)
            model = KMeans(s.clusters, n_init=1, random_state=s.seed)
            labels.append(model.fit_predict(features))
        found = torch.from_numpy(np.stack(labels)).view(b, h, w).long().to(images.device)
        return Segmentation(found, found)
