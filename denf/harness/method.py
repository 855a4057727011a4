"""The Method contract: what DeNF, every baseline and every control implement.

Images enter a method as uint8 (B, 3, H, W); each method converts them as its paper does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from denf.harness.outputs import Prediction, Proposals, Segmentation


class Capability(StrEnum):
    """What a method can do; a table cell states where it cannot."""

    SEGMENT = "segment"
    RECONSTRUCT = "reconstruct"
    SAMPLE = "sample"  # new images from the prior alone
    RECOMPOSE = "recompose"  # new images from given ones, with a subset of their objects
    LOG_PROB = "log_prob"
    BACKGROUND = "background"  # the scene without its objects
    BOXES = "boxes"
    INSPECT = "inspect"  # the pictures of figures 3–6
    ORACLE = "oracle"  # a control: is shown the true masks when it segments


@dataclass(frozen=True)
class Step:
    """Position of a training step, and its source of randomness.

    Args:
        index: of the step, 0-based.
        total: number of steps.
        generator: the only source of randomness of the step, on the method's device, seeded by
            (seed, index): a resumed run draws what an uninterrupted one would have drawn.
    """

    index: int
    total: int
    generator: torch.Generator


class Method(nn.Module, ABC):
    """A scene model that is built from its settings alone.

    A subclass annotates `settings` with its own type, declares its `capabilities` and implements
    `training_step` and the method of each capability. `denf.harness.registry` finds it by name;
    `method: <name>` in an experiment file selects it. Its settings are the one subclass of
    `denf.settings.MethodSettings` beside it.

    Args:
        settings: validated settings of this method.
    """

    settings: Any
    capabilities: frozenset[Capability] = frozenset()
    # Which of SAMPLE and RECOMPOSE makes the images of a Fréchet distance, where a method has both.
    generates_by: ClassVar[Capability] = Capability.SAMPLE

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.settings = settings
        self.optimizers: dict[str, Optimizer] = {}
        self.register_buffer("_where", torch.zeros(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        where = self._where
        assert isinstance(where, Tensor)
        return where.device

    @property
    def trained_size(self) -> int:
        """Side of the training images in pixels; defined by methods with INSPECT."""
        raise NotImplementedError

    @property
    def starts_from_images(self) -> bool:
        """Whether the images of a Fréchet distance are real ones recomposed, and not samples."""
        only = Capability.SAMPLE not in self.capabilities
        return only or self.generates_by is Capability.RECOMPOSE

    def make_optimizers(self) -> dict[str, Optimizer]:
        """Optimisers by name, made once the parameters are on their device; by default, none."""
        return {}

    @abstractmethod
    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        """Update the parameters once, by the method's own losses and optimisers.

        Args:
            batch: uint8 (B, 3, H, W) on the method's device.
            step: see `Step`.

        Returns:
            detached scalars to log; `loss` must be among them. No host synchronisation.
        """

    def notes(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """What a reader of the run's numbers must know; for run.json and the tables.

        Args:
            history: the logged rows, `step` and the means of the scalars of `training_step`.

        Returns:
            sentences without a full stop; none by default.
        """
        return []

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        """SEGMENT: label maps of uint8 images (B, 3, H, W).

        Args:
            images: uint8 (B, 3, H, W).
            truth: masks (B, H, W), passed to ORACLE methods only.
        """
        raise NotImplementedError

    def reconstruct(self, images: Tensor) -> Tensor:
        """RECONSTRUCT: float (B, 3, H, W) in [0, 1] from uint8 images."""
        raise NotImplementedError

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        """SEGMENT and RECONSTRUCT of the same images; overridden where one pass gives both."""
        return Prediction(self.segment(images, truth), self.reconstruct(images))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """SAMPLE: uint8 (count, 3, H, W) from the prior."""
        raise NotImplementedError

    def recompose(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """RECOMPOSE: uint8 (B, 3, H, W), each image with a random subset of its objects."""
        raise NotImplementedError

    def log_prob(self, images: Tensor) -> Tensor:
        """LOG_PROB: log-density of uint8 images in nats for intensities in [0, 1], (B,)."""
        raise NotImplementedError

    def without_objects(self, images: Tensor) -> Tensor:
        """BACKGROUND: float (B, 3, H, W) in [0, 1], the scenes generated without their objects.

        Its name leaves `background` free for parameters and submodules, which `nn.Module` looks up
        after methods.
        """
        raise NotImplementedError

    def boxes(self, images: Tensor) -> Proposals:
        """BOXES: proposed boxes of the objects in uint8 images (B, 3, H, W)."""
        raise NotImplementedError

    def inspect(self, images: Tensor) -> Mapping[str, Tensor]:
        """INSPECT: arrays for the figures, by name; see `denf.harness.panels.panels`."""
        raise NotImplementedError


class OnePassMethod(Method):
    """A method with one pass for segmentation and reconstruction, implemented by `predict`.

    With BACKGROUND and BOXES, `predict` fills these fields too.
    """

    @abstractmethod
    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        """SEGMENT and RECONSTRUCT of the same images, BACKGROUND and BOXES where declared."""

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        return self.predict(images, truth).segmentation

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.predict(images).reconstruction

    def without_objects(self, images: Tensor) -> Tensor:
        background = self.predict(images).background
        if background is None:
            raise NotImplementedError
        return background

    def boxes(self, images: Tensor) -> Proposals:
        proposals = self.predict(images).proposals
        if proposals is None:
            raise NotImplementedError
        return proposals


class UntrainedMethod(Method):
    """A method without parameters, for controls: a training step changes nothing."""

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        return {"loss": torch.zeros((), device=batch.device)}


def descend(loss: Tensor, optimizer: Optimizer, module: nn.Module, clip: float | None) -> Tensor:
    """One optimiser step: zero the gradients, back-propagate, clip, update.

    Args:
        loss: a scalar.
        optimizer: of the module's parameters.
        module: its gradient is clipped.
        clip: largest gradient norm, or None.

    Returns:
        the gradient norm before clipping, on the device.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    largest = float("inf") if clip is None else clip
    norm = nn.utils.clip_grad_norm_(module.parameters(), largest, foreach=True)
    optimizer.step()
    return norm.detach()
