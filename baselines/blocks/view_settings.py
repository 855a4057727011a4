"""Settings of a view."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from denf.settings import Count, NonNegative, Settings


class ViewSettings(Settings):
    """What a method is shown of images; by default all of them, as published."""

    shrink: Count = 1
    """Side in pixels of the blocks that are averaged; 1: images as they are."""
    contrast: NonNegative = 0.0
    """Factor on the difference from the background; 0: images as they are."""
    size: Annotated[int, Ge(8)] = 128
    """Side of the images in pixels, of which a view with contrast keeps the background."""
