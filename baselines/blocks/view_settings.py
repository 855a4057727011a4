"""Settings of a view, the input images of a method."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from denf.settings import Count, NonNegative, Settings


class ViewSettings(Settings):
    """The view of images that a method gets; by default the images unchanged, as published."""

    shrink: Count = 1
    """Side in pixels of the blocks that are averaged; 1: no change."""
    contrast: NonNegative = 0.0
    """Factor on the difference from the background; 0: no change."""
    size: Annotated[int, Ge(8)] = 128
    """Side of the images in pixels; used with contrast, to store the background."""
