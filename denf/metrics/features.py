"""Feature extractors for the Fréchet distance: the standard Inception, and one without download.

`inception-v3-compat` gives the numbers that papers report; it needs a weight file of 91 MB.
`random-conv-v1` needs no file and is therefore used for embedded data and in tests; its distances
order images by corruption but are not comparable with published numbers.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from denf.errors import DenfError
from denf.metrics.extractor import Extractor

with warnings.catch_warnings():  # this import changes the filters of the whole process
    from torch_fidelity import FeatureExtractorBase, register_feature_extractor
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY


@dataclass(frozen=True)
class WeightsFile:
    """A published weight file.

    Args:
        url: address of the file; its last part is the file's name in the cache.
        sha256: 64 hexadecimal digits.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[-1]


INCEPTION_WEIGHTS = WeightsFile(
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)


def inception_weights(
    path: Path | None,
    *,
    source: WeightsFile = INCEPTION_WEIGHTS,
    retries: int = 3,
) -> Path:
    """The Inception weights: `path`, else the torch hub cache, else fetched into that cache.

    The checksum is verified in every case: distances from other weights are not comparable, and
    torch-fidelity unpickles the file, which could run code.

    Args:
        path: the user's copy; None looks in `$TORCH_HOME/hub/checkpoints` and then downloads.
        source: the published file.
        retries: attempts of the download after the first.

    Raises:
        DenfError: when the file is missing, cannot be fetched or differs from the published one.
    """
    if path is not None:
        if not path.is_file():
            raise _no_weights(source, f"no file {path}")
        return _verified(path, source)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / source.name
    if not cached.exists():
        from denf.data.download import download  # only needed here

        try:
            download(source.url, cached, sha256=source.sha256, retries=retries)
        except (DenfError, OSError) as error:
            raise _no_weights(source, f"none in {cached.parent}, and {error}") from error
    return _verified(cached, source)


def _verified(path: Path, source: WeightsFile) -> Path:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != source.sha256:
        raise DenfError(
            f"Inception weights {path}",
            expected=f"SHA-256 {source.sha256}",
            got=digest,
            fix=f"Remove this file and fetch {source.url} again.",
        )
    return path


def _no_weights(source: WeightsFile, got: str) -> DenfError:
    return DenfError(
        "Inception weights",
        expected=source.name,
        got=got,
        fix=f"Fetch {source.url} on a machine with a network and pass the file, or choose the "
        f"extractor {Extractor.RANDOM_CONV}, which needs none.",
    )


class RandomConvFeatures(FeatureExtractorBase):
    """Statistics of fixed random filters at three scales, and of colours: 246 numbers per image.

    At full, half and quarter size, two convolution layers (16 filters of 5x5, then 16 of 3x3 with
    stride 2) with ReLU; of each response the mean and the standard deviation over the image
    (3 x 64 numbers). Added are each colour's mean and standard deviation (6) and the mean
    colours of a 4x4 grid (48). The filters have zero mean and unit norm, so that flat areas give
    no response. Pixels are in units of 4 grey levels; the grid has a quarter of that weight, since
    the chance positions of the objects would otherwise outweigh all else.

    The weights come from the raw bits of NumPy's PCG64, the one random stream that NumPy promises
    never to change, by exact operations: they are equal on all machines. A change of anything
    here needs a new version in the name.

    Args:
        name: registered name.
        features_list: layers asked for; there is one, "246".
        kwargs: settings of torch-fidelity for other extractors, not used.
    """

    LAYER = "246"
    MIN_SIDE = 16
    SCALES, FILTERS, GRID, UNIT = 3, 16, 4, 4.0
    LAYOUT_WEIGHT = 0.25
    SEED = 1

    def __init__(self, name: str, features_list: list[str], **kwargs: object) -> None:
        super().__init__(name, features_list)
        first, second = random_conv_weights(self.SEED, self.FILTERS)
        self.register_buffer("first", torch.from_numpy(first))
        self.register_buffer("second", torch.from_numpy(second))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The one layer."""
        return (RandomConvFeatures.LAYER,)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """The one layer, for every metric."""
        return RandomConvFeatures.LAYER

    @staticmethod
    def can_be_compiled() -> bool:
        """Never: compiling would take longer than the computation."""
        return False

    @classmethod
    def weights_sha256(cls) -> str:
        """SHA-256 over the weights' bytes, little-endian, first layer first."""
        arrays = random_conv_weights(cls.SEED, cls.FILTERS)
        return hashlib.sha256(b"".join(w.astype("<f4").tobytes() for w in arrays)).hexdigest()

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Features of uint8 images (B, 3, H, W), H and W at least 16: one (B, 246) float64."""
        side = min(images.shape[-2:]) if images.ndim == 4 else 0
        if images.dtype != torch.uint8 or side < self.MIN_SIDE or images.shape[1] != 3:
            raise ValueError(
                f"images: expected uint8 (B, 3, H, W) with sides of at least {self.MIN_SIDE}, "
                f"got {images.dtype} {tuple(images.shape)}"
            )
        pixels = images.float() / self.UNIT
        layout = F.adaptive_avg_pool2d(pixels, self.GRID).flatten(1) * self.LAYOUT_WEIGHT
        parts = [*_mean_and_std(pixels), layout]
        for scale in range(self.SCALES):
            small = F.avg_pool2d(pixels, 2**scale)
            # Repeated borders: zeros would put an edge around every image.
            low = F.conv2d(F.pad(small, (2, 2, 2, 2), mode="replicate"), self.first).relu_()
            parts += _mean_and_std(low)
            padded = F.pad(low, (1, 1, 1, 1), mode="replicate")
            parts += _mean_and_std(F.conv2d(padded, self.second, stride=2).relu_())
        # torch-fidelity averages in the type it gets; in float64 the order of images is irrelevant.
        return (torch.cat(parts, dim=1).double(),)


def random_conv_weights(seed: int, filters: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Filters (filters, 3, 5, 5) and (filters, filters, 3, 3), each of zero mean and unit norm."""
    bits = np.random.PCG64(seed)

    def draw(*shape: int) -> NDArray[np.float32]:
        raw = bits.random_raw(int(np.prod(shape))) >> np.uint64(11)
        uniform = raw.reshape(shape[0], -1).astype(np.float64) * 2.0**-53
        centred = uniform - uniform.mean(axis=1, keepdims=True)
        unit = centred / np.sqrt((centred**2).sum(axis=1, keepdims=True))
        # Sums may differ in the last of 53 bits between machines; 20 bits are kept.
        return (np.round(unit * 2**20) / 2**20).astype(np.float32).reshape(shape)

    return draw(filters, 3, 5, 5), draw(filters, filters, 3, 3)


def register_random_conv() -> None:
    """Register `random-conv-v1` with torch-fidelity; further calls change nothing."""
    if Extractor.RANDOM_CONV.value not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(Extractor.RANDOM_CONV.value, RandomConvFeatures)


def _mean_and_std(responses: Tensor) -> list[Tensor]:
    """Mean and standard deviation over the image plane: (B, C, H, W) to two (B, C)."""
    mean = responses.mean(dim=(2, 3), keepdim=True)
    # torch.std_mean does not vectorise over these dimensions and took half of all time.
    std = (responses - mean).square_().mean(dim=(2, 3)).sqrt_()
    return [mean.flatten(1), std]
