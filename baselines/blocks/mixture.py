"""A scene as a mixture of slots: their colours and masks, and the noise from which slots start."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.blocks.images import to_bytes, to_unit
from baselines.blocks.likelihood import gaussian_log_prob, mixture_log_prob
from denf.harness.method import Capability, OnePassMethod, Prediction, Segmentation, Step


@dataclass(frozen=True)
class SlotMixture:
    """Colours and masks of K slots.

    Args:
        rgb: (B, K, 3, H, W).
        logits: (B, K, 1, H, W), up to a constant; the masks are their softmax over slots.
    """

    rgb: Tensor
    logits: Tensor

    @staticmethod
    def of(decoded: Tensor, batch: int) -> SlotMixture:
        """From a decoder's output (B·K, 4, H, W): red, green, blue, mask logit."""
        rgb, logits = decoded.unflatten(0, (batch, -1)).split((3, 1), 2)
        return SlotMixture(rgb, logits)

    @property
    def log_masks(self) -> Tensor:
        """(B, K, 1, H, W); their exponentials sum to one over slots."""
        return torch.log_softmax(self.logits, 1)

    @property
    def masks(self) -> Tensor:
        """(B, K, 1, H, W); they sum to one over slots."""
        return torch.softmax(self.logits, 1)

    @property
    def mean(self) -> Tensor:
        """Σ_k masks_k · rgb_k, (B, 3, H, W)."""
        return (self.masks * self.rgb).sum(1)

    def log_prob(self, x: Tensor, std: float | Tensor) -> Tensor:
        """log p(x) = Σ_pixels,channels log Σ_k m_k N(x; rgb_k, std²), in nats per image, (B,).

        Slots are mixed per pixel and channel (GENESIS' public code, applied-ai-lab/genesis).

        Args:
            x: (B, 3, H, W) in [0, 1].
            std: of the pixels, a number or a tensor that broadcasts against (B, K, 3, H, W).
        """
        components = gaussian_log_prob(x[:, None], self.rgb, std)
        return mixture_log_prob(self.log_masks, components).sum((1, 2, 3))

    @property
    def segmentation(self) -> Segmentation:
        """The slot of the largest mask; no slot is known to be the background."""
        labels = self.logits[:, :, 0].argmax(1)
        return Segmentation(labels, labels)

    def subset(self, generator: torch.Generator) -> SlotMixture:
        """Keep each slot with probability one half, and the slot of the largest area always.

        The largest slot is usually the background. The remaining masks are renormalised and so fill
        the holes.
        """
        batch, slots = self.logits.shape[:2]
        coins = torch.rand(batch, slots, generator=generator, device=self.logits.device)
        area = self.masks.sum((2, 3, 4))
        kept = (coins < 0.5) | (area == area.amax(1, keepdim=True))
        dropped = ~kept[:, :, None, None, None]
        return SlotMixture(self.rgb, self.logits.masked_fill(dropped, -torch.inf))


@dataclass(frozen=True)
class SlotNoise:
    """Standard normal noise from which slots are initialised.

    Args:
        generator: random generator of the noise.
        device: of the slots.
        shared: one draw for all images, so that an image's position in a batch does not matter.
    """

    generator: torch.Generator
    device: torch.device
    shared: bool = False

    @staticmethod
    def of(generator: torch.Generator) -> SlotNoise:
        """Noise on the generator's device."""
        return SlotNoise(generator, generator.device)

    @staticmethod
    def fixed(device: torch.device) -> SlotNoise:
        """The same noise for every image, call and device; an image has one decomposition."""
        return SlotNoise(torch.Generator().manual_seed(0), device, shared=True)

    def draw(self, batch: int, slots: int, size: int) -> Tensor:
        """(batch, slots, size)."""
        shape = (1 if self.shared else batch, slots, size)
        noise = torch.randn(shape, generator=self.generator, device=self.generator.device)
        return noise.to(self.device).expand(batch, -1, -1)


class MixtureMethod(OnePassMethod):
    """A method whose predictions all come from one decomposition of an image into slots."""

    capabilities = frozenset({Capability.SEGMENT, Capability.RECONSTRUCT, Capability.RECOMPOSE})

    def shown(self, images: Tensor, step: Step | None = None) -> Tensor:
        """Input of the networks from uint8 images (B, 3, H, W): floats in [0, 1], unchanged.

        Args:
            images: a training batch, or images in evaluation.
            step: the training step; None in evaluation.
        """
        return to_unit(images)

    @abstractmethod
    def decompose(self, images: Tensor) -> SlotMixture:
        """Slots of uint8 images (B, 3, H, W); the colours of an image in [0, 1], not clipped."""

    def generate(self, count: int, generator: torch.Generator) -> SlotMixture:
        """Slots of new scenes from the prior; for methods with the capability SAMPLE."""
        raise NotImplementedError

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        """Labels: the slot of the largest mask at each pixel; image: the slots' mean in [0, 1]."""
        found = self.decompose(images)
        return Prediction(found.segmentation, found.mean.clamp(0, 1))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """The mean over slots from the prior."""
        return to_bytes(self.generate(count, generator).mean)

    def recompose(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The mean over a random subset of the slots; see `SlotMixture.subset`."""
        return to_bytes(self.decompose(images).subset(generator).mean)
