"""Colours of objects: one palette for the figures of the report and for a user's own pictures."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito's colours first (distinguishable with any colour vision), then four darker ones.
_NAMED = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#7f3c8d", "#882255", "#44aa99", "#999933", "#661100"),
)


def instance_colours(count: int) -> NDArray[np.float64]:
    """Colours of instances 0…count-1, the same for an index in every figure and picture.

    Args:
        count: any number; beyond the twelve named colours, hues turn by the golden ratio.

    Returns:
        (count, 3) in [0, 1].
    """
    named = [tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)) for text in _NAMED]
    further = [
        colorsys.hsv_to_rgb((0.1 + 0.618034 * i) % 1, 0.75, 0.8)
        for i in range(max(0, count - len(named)))
    ]
    return np.array([*named, *further][:count]).reshape(count, 3)


def instance_bytes(count: int) -> NDArray[np.uint8]:
    """`instance_colours` as 8-bit RGB, (count, 3) uint8."""
    return (255 * instance_colours(count)).round().astype(np.uint8)
