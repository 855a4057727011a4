"""Crop and resize: one rule for pictures and one for labels, the same for every source."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.uint8]
Crop = Literal["centre", "whole", "inner"]


class Kernel(Enum):
    """Pillow's resampling kernel for pictures; each is widened when shrinking (antialiased)."""

    BILINEAR = Image.Resampling.BILINEAR
    LANCZOS = Image.Resampling.LANCZOS

    @property
    def rule(self) -> str:
        """Its description in `dataset.json`."""
        return f"images: Pillow {self.name.lower()}, antialiased; masks: nearest"


CROP_RULES: dict[Crop, str] = {
    "centre": "centre square, side min(height, width)",
    "whole": "none, the whole frame; aspect not kept",
    "inner": "centre square, side 0.8 min(height, width)",
}


def crop_box(height: int, width: int, crop: Crop) -> tuple[slice, slice]:
    """Rows and columns that `crop` keeps of a picture of height × width pixels."""
    if crop == "whole":
        return slice(0, height), slice(0, width)
    side = min(height, width)
    if crop == "inner":
        side = int(0.8 * side)
    top, left = (height - side) // 2, (width - side) // 2
    return slice(top, top + side), slice(left, left + side)


def resize_image(image: Array, size: int, kernel: Kernel) -> Array:
    """Resize uint8 (H, W, 3) to (size, size, 3); a picture of that size is returned as it is."""
    if image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((size, size), kernel.value))


def nearest_index(length: int, size: int) -> NDArray[np.intp]:
    """Source index of each of `size` output pixels along an axis: floor((i + 1/2)·length/size)."""
    return (2 * np.arange(size) + 1) * length // (2 * size)


def resize_labels(labels: Array, size: int) -> Array:
    """Resize the last two axes of uint8 (…, H, W) to size × size by nearest neighbour."""
    rows, columns = nearest_index(labels.shape[-2], size), nearest_index(labels.shape[-1], size)
    return labels[..., rows[:, None], columns]
