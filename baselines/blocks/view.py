"""What a method is shown of pictures: all, as published, or less of them for a short training.

Not in the methods' papers. In minutes, slots that compete for pixels divide a grey floor by place:
the floor has most of the pixels, and what tells objects from it is a small part of the error. Shown
smaller, more pictures fit a minute; shown as differences from the background, and enlarged, objects
are all that there is to explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from baselines.blocks.images import check_multiple, check_size, to_unit
from baselines.blocks.mixture import SlotMixture

BATCHES = 100  # whose medians make the background
MIDDLE = 0.5  # what the background is shown as, of intensities in [0, 1]


@dataclass(frozen=True)
class ViewSettings:
    """Settings.

    Args:
        shrink: side in pixels of the blocks that are averaged; 1: images as they are.
        contrast: factor on the difference from the background; 0: images as they are.
        size: side of the images in pixels, of which a view with contrast keeps the background.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    shrink: Annotated[int, Ge(1)] = 1
    contrast: Annotated[float, Ge(0)] = 0
    size: Annotated[int, Ge(8)] = 128


class View(nn.Module):
    """x ↦ ½ + c (x − b), averaged over blocks; b is the median of the training images.

    The median of a pixel over scenes is the floor where objects cover it in less than half of them;
    the mean of the medians of the first batches stands for it.
    """

    background: Tensor  # b, (3, size, size) in [0, 1]

    def __init__(self, settings: ViewSettings) -> None:
        super().__init__()
        self.settings = settings
        side = settings.size if settings.contrast else 0
        self.register_buffer("background", torch.zeros(3, side, side), persistent=side > 0)

    def forward(self, images: Tensor, index: int | None = None) -> Tensor:
        """What is shown of images, (B, 3, H / shrink, W / shrink).

        Args:
            images: uint8 (B, 3, H, W).
            index: of a training batch, from 0; the first `BATCHES` add to the background.
        """
        s, x = self.settings, to_unit(images)
        check_multiple(images, s.shrink, "a view that shrinks")
        if s.contrast:
            check_size(images, s.size, "a view with contrast")
            if index is not None and index < BATCHES:
                self.background += (x.median(0).values - self.background) / (index + 1)
            x = MIDDLE + s.contrast * (x - self.background)
        return functional.avg_pool2d(x, s.shrink) if s.shrink > 1 else x

    def restore(self, mixture: SlotMixture, size: tuple[int, ...]) -> SlotMixture:
        """Slots with the images' size and colours, from slots with those of the view.

        Args:
            mixture: (B, K, ·, h, w), enlarged where it is smaller than the images.
            size: height and width of the images.
        """
        rgb, logits = (_resized(part, size) for part in (mixture.rgb, mixture.logits))
        if self.settings.contrast:
            rgb = self.background + (rgb - MIDDLE) / self.settings.contrast
        return SlotMixture(rgb, logits)


def _resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, K, C, h, w) to (B, K, C, *size), bilinear."""
    if x.shape[3:] == size:
        return x
    large = functional.interpolate(x.flatten(0, 1), size=size, mode="bilinear")
    return large.unflatten(0, x.shape[:2])
