"""Choosing some items of many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def evenly_spread(count: int, total: int) -> NDArray[np.int64]:
    """Indices of `count` of `total` items in ascending order, evenly spread from first to last.

    Neighbouring frames of footage show the same moment, and the first ones the same video.

    Args:
        count: items wanted; all are chosen where there are no more.
        total: items that there are, at least 1.
    """
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)


def some_of(images: NDArray[Any], count: int) -> NDArray[Any]:
    """`count` of the images, evenly spread; the array itself, unread, where it has no more."""
    return images if count >= len(images) else images[evenly_spread(count, len(images))]
