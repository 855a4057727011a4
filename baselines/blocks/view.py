"""View: the method's input images, unchanged as published, or simplified for a short training.

Views are not in the methods' papers. In a training of minutes, slots that compete for pixels divide
a grey floor by position: the floor has most of the pixels, and objects contribute little to the
error. Smaller images make training steps faster. In scaled differences from the background, only
objects are left to explain.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.blocks.images import check_multiple, check_size, to_unit
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.blocks.view_settings import ViewSettings
from denf.harness.method import Step

BATCHES = 100  # number of first batches whose medians make the background
MIDDLE = 0.5  # intensity of the background in a view, in [0, 1]


class View(nn.Module):
    """x ↦ ½ + c (x − b), averaged over blocks; b is the median of the training images.

    The median of a pixel over scenes shows the floor if objects cover the pixel in less than half
    of the scenes. It is estimated by the mean over the medians of the first batches.
    """

    background: Tensor  # b, (3, size, size) in [0, 1]

    def __init__(self, settings: ViewSettings) -> None:
        super().__init__()
        self.settings = settings
        side = settings.size if settings.contrast else 0
        self.register_buffer("background", torch.zeros(3, side, side), persistent=side > 0)

    def forward(self, images: Tensor, index: int | None = None) -> Tensor:
        """The view of images, (B, 3, H / shrink, W / shrink).

        Args:
            images: uint8 (B, 3, H, W).
            index: 0-based step of training, whose first `BATCHES` steps update the background;
                None in evaluation.
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
        """Slots with size and colours of the images, from slots with size and colours of the view.

        Args:
            mixture: (B, K, ·, h, w), resized to the images.
            size: height and width of the images.
        """
        rgb, logits = (_resized(part, size) for part in (mixture.rgb, mixture.logits))
        if self.settings.contrast:
            rgb = self.background + (rgb - MIDDLE) / self.settings.contrast
        return SlotMixture(rgb, logits)


class Viewed(MixtureMethod):
    """A mixin for a method with slots: its networks see a view, its predictions are for the images.

    `class Aided(Viewed, Published)`, with `view` set after the published constructor. A size in the
    method's settings is the size of the view.
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
