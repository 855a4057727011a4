"""What a method is shown of images: all, as published, or less of them for a short training.

Not in the methods' papers. In minutes, slots that compete for pixels divide a grey floor by place:
the floor has most of the pixels, and what tells objects from it is a small part of the error. Shown
smaller, more images fit a minute; shown as differences from the background, and enlarged, objects
are all that there is to explain.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.blocks.images import check_multiple, check_size, to_unit
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.blocks.view_settings import ViewSettings
from denf.harness.method import Step

BATCHES = 100  # whose medians make the background
MIDDLE = 0.5  # what the background is shown as, of intensities in [0, 1]


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


class Viewed(MixtureMethod):
    """Around a method of slots: its networks see a view, its answers are about whole images.

    `class Aided(Viewed, Published)`, with `view` set after the published constructor. A size among
    the method's settings is that of what the view shows.
    """

    view: View

    def shown(self, images: Tensor, step: Step | None = None) -> Tensor:
        return self.view(images, None if step is None else step.index)

    def decompose(self, images: Tensor) -> SlotMixture:
        found = super().decompose(images)  # type: ignore[safe-super]
        return self.view.restore(found, images.shape[2:])

    def generate(self, count: int, generator: torch.Generator) -> SlotMixture:
        made = super().generate(count, generator)
        height, width = (side * self.view.settings.shrink for side in made.rgb.shape[3:])
        return self.view.restore(made, (height, width))


def _resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, K, C, h, w) to (B, K, C, *size), bilinear."""
    if x.shape[3:] == size:
        return x
    large = functional.interpolate(x.flatten(0, 1), size=size, mode="bilinear")
    return large.unflatten(0, x.shape[:2])
