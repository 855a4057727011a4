"""Control: k-means on colour and position, image by image (scikit-learn's Lloyd iterations)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from pydantic import ConfigDict
from torch import Tensor

from denf.harness.method import Capability, Segmentation, UntrainedMethod


@dataclass(frozen=True)
class KMeansSettings:
    """Settings.

    Args:
        clusters: six objects and the background.
        position: weight of the position (fractions of the side) against colour (in [0, 1]).
        seed: of the k-means++ initialisation.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    clusters: Annotated[int, Ge(1)] = 7
    position: Annotated[float, Ge(0)] = 0.5
    seed: Annotated[int, Ge(0)] = 0


class KMeansControl(UntrainedMethod):
    """Clusters of pixels; what a segmenter without any learning reaches."""

    Settings = KMeansSettings
    capabilities = frozenset({Capability.SEGMENT})

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        from sklearn.cluster import KMeans  # a second to import, needed here alone

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
