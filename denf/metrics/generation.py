"""Scores of generated images: FID, kernel distance, precision and recall.

All numbers come from one set of features. FID: Heusel et al. 2017. Kernel distance: Bińkowski et
al., Demystifying MMD GANs, ICLR 2018; unbiased, whereas FID depends on the number of samples.
Precision and recall: Kynkäänniemi et al., Improved precision and recall metric, NeurIPS 2019; they
measure fidelity and diversity separately. All are computed by torch-fidelity.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from denf.evenly import some_of
from denf.metrics.extractor import Extractor
from denf.metrics.fid import FeatureSpace, common_size, distance_of

NEIGHBOURS = 3  # rank of the neighbour at the radius of an image's ball (Kynkäänniemi et al. 2019)
SUBSET = 1000  # images in one estimate of the kernel distance (Bińkowski et al. 2018)
SUBSETS = 100
FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 1)  # of the samples, for FID as a function of their number
_ROWS = 1000  # of distances at a time: all of 10,000 × 10,000 would take 800 MB


@dataclass(frozen=True)
class SizedFid:
    """An FID with the number of images that it was measured on."""

    samples: int
    fid: float


@dataclass(frozen=True)
class Generation:
    """A comparison of generated with real images, with all that it depends on; JSON-able by
    `dataclasses.asdict`.

    Args:
        fid: |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2(Σ₁Σ₂)^½), at least 0 up to rounding (Heusel et al. 2017,
            Eq. 6).
        extractor: the feature space; numbers of different extractors are not comparable.
        features: dimensions of the feature space.
        samples: number of images measured.
        reference: number of images that they are compared with.
        size: height and width of both, in pixels.
        weights_sha256: of the extractor's weights.
        torch_fidelity: version of the package.
        rank_note: why the FID is unreliable when a set has no more images than there are features
            (its covariance is singular and the distance biased); None otherwise.
        kid: squared maximum mean discrepancy with the kernel (x·y / F + 1)³, F features; unbiased,
            so it may be slightly below 0. Mean over subsets.
        kid_std: standard deviation over the subsets.
        kid_subset: images of each set in a subset.
        precision: fraction of the samples that lie within the reference, in [0, 1].
        recall: fraction of the reference that lies within the samples, in [0, 1].
        neighbours: an image's ball reaches to the neighbour of this rank in its own set.
        fid_by_samples: FID of growing numbers of samples, in one random order, against the whole
            reference; a slope that remains at the end is bias.
        floor: FID of training images against the reference, as many as there are samples where
            possible; the value that perfect samples would reach. None without training images.
    """

    fid: float
    extractor: Extractor
    features: int
    samples: int
    reference: int
    size: tuple[int, int]
    weights_sha256: str
    torch_fidelity: str
    rank_note: str | None
    kid: float
    kid_std: float
    kid_subset: int
    precision: float
    recall: float
    neighbours: int
    fid_by_samples: tuple[SizedFid, ...]
    floor: SizedFid | None


def compare(
    samples: ArrayLike,
    reference: ArrayLike,
    *,
    space: FeatureSpace,
    training: ArrayLike | None = None,
) -> Generation:
    """Compare generated images with held-out real ones.

    Args:
        samples: uint8 (N, H, W, 3), N at least 2; a memory map is read batch by batch.
        reference: uint8 (M, H, W, 3), M at least 2, the same H and W; real images that are not used
            in training.
        space: of the features.
        training: uint8 (K, H, W, 3), real images of the training split, for the floor; as
            many as there are samples, evenly spread.

    Raises:
        DenfError: for sets of different image size, or too few or too small images.
        ValueError: for arrays of another type or shape.
    """
    first, second = space.checked("samples", samples), space.checked("reference", reference)
    size = common_size(first, second)
    made, real = space.features(first), space.features(second)
    floor = None
    if training is not None:
        third = some_of(space.checked("training", training), len(first))
        common_size(third, second)
        floor = SizedFid(len(third), distance_of(space.features(third), real))
    curve = fid_by_samples(made, real)
    kid, kid_std, kid_subset = kernel_distance(made, real)
    precision, recall, neighbours = precision_and_recall(made, real)
    return Generation(
        fid=curve[-1].fid,
        extractor=space.extractor,
        features=space.dimensions,
        samples=len(first),
        reference=len(second),
        size=size,
        weights_sha256=space.weights_sha256,
        torch_fidelity=version("torch-fidelity"),
        rank_note=_rank_note(space.dimensions, len(first), len(second)),
        kid=kid,
        kid_std=kid_std,
        kid_subset=kid_subset,
        precision=precision,
        recall=recall,
        neighbours=neighbours,
        fid_by_samples=curve,
        floor=floor,
    )


def fid_by_samples(samples: Tensor, reference: Tensor) -> tuple[SizedFid, ...]:
    """FID of growing parts of the samples, at last all; features (N, F) and (M, F)."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(samples)))
    counts = sorted({max(2, round(fraction * len(samples))) for fraction in FRACTIONS})
    parts = [samples if n == len(samples) else samples[order[:n]] for n in counts]
    return tuple(SizedFid(len(part), distance_of(part, reference)) for part in parts)


def kernel_distance(samples: Tensor, reference: Tensor) -> tuple[float, float, int]:
    """Mean and standard deviation over subsets, and the subset's size (Bińkowski et al. 2018)."""
    from torch_fidelity import metric_kid

    size = min(SUBSET, len(samples), len(reference))
    found = metric_kid.kid_features_to_metric(
        samples, reference, kid_subset_size=size, kid_subsets=SUBSETS, verbose=False
    )
    return found[metric_kid.KEY_METRIC_KID_MEAN], found[metric_kid.KEY_METRIC_KID_STD], size


def precision_and_recall(samples: Tensor, reference: Tensor) -> tuple[float, float, int]:
    """Both fractions, and the rank of the neighbour that was used (Kynkäänniemi et al. 2019)."""
    from torch_fidelity import metric_prc

    neighbours = min(NEIGHBOURS, len(samples) - 1, len(reference) - 1)
    found = metric_prc.prc_features_to_metric(
        samples,
        reference,
        prc_neighborhood=neighbours,
        prc_batch_size=_ROWS,
        save_cpu_ram=True,
        verbose=False,
    )
    return found[metric_prc.KEY_METRIC_PRECISION], found[metric_prc.KEY_METRIC_RECALL], neighbours


def _rank_note(features: int, samples: int, reference: int) -> str | None:
    short = {"samples": samples, "reference": reference}
    few = [f"{n} {name}" for name, n in short.items() if n <= features]
    if not few:
        return None
    return f"singular covariance: {' and '.join(few)} for {features} features"
