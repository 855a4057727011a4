"""Feature spaces of images, and the Fréchet distance of two sets in one, by torch-fidelity.

Nothing is cached: torch-fidelity's cache identifies a set by a name alone, and would return the
old number after the images, their count or the weights have changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset

from denf.errors import DenfError
from denf.metrics.extractor import Extractor
from denf.metrics.features import (
    INCEPTION_WEIGHTS,
    RandomConvFeatures,
    inception_weights,
    register_random_conv,
)

__all__ = [
    "FeatureSpace",
    "ImageArray",
    "common_size",
    "distance_of",
]

_INCEPTION_LAYER = "2048"


class ImageArray(Dataset[Tensor]):
    """An array of images (N, H, W, 3) as a data set of uint8 tensors (3, H, W)."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        # A copy: torch refuses to wrap the read-only pages of a memory map without a warning.
        return torch.from_numpy(np.array(self.images[index])).permute(2, 0, 1).contiguous()


class FeatureSpace:
    """An extractor with its weights, on a device.

    Args:
        extractor: the feature space.
        weights: the Inception weight file; None looks for it (`inception_weights`).
        batch_size: images in one pass through the extractor, at least 1.
        device: where the extractor runs; what is computed from features is computed on the CPU.

    Raises:
        DenfError: for missing weights.
    """

    def __init__(
        self,
        extractor: Extractor,
        *,
        weights: Path | None = None,
        batch_size: int = 64,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        if extractor.reads_weights:
            weights, self.weights_sha256 = inception_weights(weights), INCEPTION_WEIGHTS.sha256
            self.layer = _INCEPTION_LAYER
        else:
            if weights is not None:
                raise ValueError(f"weights: expected None for {extractor}, got {weights}")
            register_random_conv()
            self.layer = RandomConvFeatures.LAYER
            self.weights_sha256 = RandomConvFeatures.weights_sha256()
        self.extractor, self.batch_size = extractor, batch_size
        self.device = torch.device(device)
        # denf.metrics.features imported it first, and restored the process's warning filters.
        from torch_fidelity.utils import create_feature_extractor

        with _quiet_and_exact(self.device):
            self._module = create_feature_extractor(
                extractor.value,
                [self.layer],
                cuda=self.device.type == "cuda",
                feature_extractor_weights_path=None if weights is None else str(weights),
                verbose=False,
            )

    @property
    def dimensions(self) -> int:
        """Numbers per image."""
        return int(self.layer)

    def features(self, images: NDArray[np.uint8]) -> Tensor:
        """Features of uint8 images (N, H, W, 3) on the CPU, (N, dimensions)."""
        from torch_fidelity.utils import get_featuresdict_from_dataset

        with _quiet_and_exact(self.device):
            found: dict[str, Tensor] = get_featuresdict_from_dataset(
                ImageArray(images),
                self._module,
                self.batch_size,
                self.device.type == "cuda",
                save_cpu_ram=True,  # no worker processes: each would copy the images
                verbose=False,
            )
        return found[self.layer]

    def checked(self, name: str, images: ArrayLike) -> NDArray[np.uint8]:
        """The images as an array, if the extractor accepts them.

        Raises:
            DenfError: for too few or too small images.
            ValueError: for arrays of another type or shape.
        """
        array = _checked(name, images)
        if self.extractor is Extractor.RANDOM_CONV:
            _check_side(array.shape[1:3])
        return array


def distance_of(samples: Tensor, reference: Tensor) -> float:
    """Fréchet distance of two sets of features (N, F) and (M, F)."""
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    statistics = [fid_features_to_statistics(features) for features in (samples, reference)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


@contextmanager
def _quiet_and_exact(device: torch.device) -> Iterator[None]:
    """Suppress warnings of torch-fidelity; full float32 in convolutions, so that devices agree."""
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    chosen = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with warnings.catch_warnings(), exact, chosen:
        warnings.simplefilter("ignore")
        yield


def _checked(name: str, images: ArrayLike) -> NDArray[np.uint8]:
    array: NDArray[Any] = np.asarray(images)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise ValueError(f"{name}: expected uint8 (N, H, W, 3), got {array.dtype} {array.shape}")
    if len(array) < 2:
        raise DenfError(
            f"{name} of the Fréchet distance",
            expected="at least 2 images",
            got=len(array),
            fix="Take more images; a covariance needs many.",
        )
    return array


def common_size(samples: NDArray[np.uint8], reference: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of both sets.

    Raises:
        DenfError: when they differ.
    """
    if samples.shape[1:] != reference.shape[1:]:
        raise DenfError(
            "image size of the samples",
            expected=f"that of the reference, {reference.shape[1:3]}",
            got=samples.shape[1:3],
            fix="Prepare both with the same crop and resize rule.",
        )
    return samples.shape[1], samples.shape[2]


def _check_side(size: tuple[int, ...]) -> None:
    if min(size) < RandomConvFeatures.MIN_SIDE:
        raise DenfError(
            f"image size for {Extractor.RANDOM_CONV}",
            expected=f"sides of at least {RandomConvFeatures.MIN_SIDE} pixels",
            got=size,
            fix="Prepare larger images.",
        )
