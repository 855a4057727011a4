"""DeNF as a `Method`: the model and its objective under the contract that all methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from denf.errors import DenfError
from denf.harness.method import (
    Capability,
    Method,
    Prediction,
    Proposals,
    Segmentation,
    Step,
    descend,
)
from denf.model.background_mean import BackgroundMean
from denf.model.boxes import cell_boxes, cell_centres, corners
from denf.model.captured import CapturedObjective
from denf.model.components import BoxTargets, box_targets, find_components
from denf.model.composites import composites
from denf.model.denf import DeNF
from denf.model.inference import Inference, infer, render
from denf.model.instances import Decomposition, decompose
from denf.model.latents import Latents
from denf.model.losses import mixture
from denf.model.objective import Noise, Phase, objective, phase
from denf.model.priors import is_density, sample_latents
from denf.model.settings import DenfSettings, Fill, Precision
from denf.singles import whole_objects

_OBSERVED_STEPS = 50  # the last ones of a training, whose images give the mean of z_bg
DTYPES = {Precision.FLOAT32: torch.float32, Precision.BFLOAT16: torch.bfloat16}
Objective = Callable[
    [DeNF, Tensor, Phase, Noise, BoxTargets | None], tuple[Tensor, dict[str, Tensor]]
]


class DenfMethod(Method):
    """DeNF with Adam (A.4).

    Images are dequantised in training by uniform noise of one grey level; elsewhere half a grey
    level is added.
    """

    settings: DenfSettings
    image_size: Tensor  # side of the training images, for samples from the prior
    capabilities = frozenset(
        {
            Capability.SEGMENT,
            Capability.RECONSTRUCT,
            Capability.SAMPLE,
            Capability.RECOMPOSE,
            Capability.LOG_PROB,
            Capability.BACKGROUND,
            Capability.BOXES,
            Capability.INSPECT,
        }
    )

    generates_by = Capability.RECOMPOSE  # section 4.1

    def __init__(self, settings: DenfSettings) -> None:
        super().__init__(settings)
        if not is_density(settings.priors, settings.absent):
            self.capabilities = self.capabilities - {Capability.LOG_PROB}
        # On a CPU, and with reduced precision on a GPU, convolutions are faster channels-last.
        self.model = DeNF(settings, DTYPES[settings.precision])
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("image_size", torch.tensor(0))
        self.background_mean = BackgroundMean() if settings.background.fill is Fill.MEAN else None
        self._objective: Objective = objective

    def make_optimizers(self) -> dict[str, Optimizer]:
        # Graphs record only the objective; the optimiser is already one fused kernel.
        if self.settings.graph and self.device.type == "cuda":
            self._objective = CapturedObjective()
        return {"adam": Adam(self.model.parameters(), self.settings.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        x = self._unit(batch, _uniform(batch, step.generator))
        self.image_size.fill_(batch.shape[2])
        if self.settings.mirror:
            flip = _uniform(batch[:, :1, :1, :1], step.generator) < 0.5
            x = torch.where(flip, x.flip(3), x)
        at = phase(self.settings.schedule, step.index, step.total)
        noise = Noise.draw(self.model, x, step.generator)
        targets = None
        if at.boxes and self.settings.composites.probability:
            x, targets = self._compose(x, step.generator)
        loss, terms = self._objective(self.model, x, at, noise, targets)
        optimizer = self.optimizers["adam"]
        for group in optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * at.learning_rate
        norm = descend(loss, optimizer, self.model, self.settings.gradient_clip)
        self._observe_background(batch, step)
        return {**terms, "gradient_norm": norm}

    @torch.no_grad()
    def _observe_background(self, batch: Tensor, step: Step) -> None:
        """Add the images of the last steps to the mean of z_bg, where it is used."""
        mean, first = self.background_mean, max(0, step.total - _OBSERVED_STEPS)
        if mean is None or step.index < first:
            return
        if step.index == first:
            mean.clear()  # of the training whose weights this one started from
        mean.add(self.model.encode(self._unit(batch)).latents, self.settings.background)

    @torch.no_grad()
    def _compose(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, BoxTargets]:
        """Composites of the batch and the boxes of their cells."""
        present = self.model.encode(x).latents.presence_logit > 0
        found = find_components(present, self.settings.components)
        x, found = composites(x, found, self.settings.composites, generator)
        targets = box_targets(found, self.settings.components.stray)
        return x.contiguous(memory_format=torch.channels_last), targets

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        found = self._decompose(images)[1]
        return Segmentation(found.labels, found.object_labels)

    def reconstruct(self, images: Tensor) -> Tensor:
        """x̂ of Eq. 10 with hard presence and without noise."""
        return self._infer(images).reconstruction

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        seen = self._infer(images)
        found = decompose(seen.latents, images, self.settings.instances)
        segmentation = Segmentation(found.labels, found.object_labels)
        return Prediction(
            segmentation,
            seen.reconstruction,
            seen.log_prob if Capability.LOG_PROB in self.capabilities else None,
            seen.x_bg.clamp(0, 1),
            _proposals(seen.latents, found),
        )

    def without_objects(self, images: Tensor) -> Tensor:
        """x̂_bg of Eq. 5, from the background latent and without noise; see `background.fill`."""
        return self._infer(images).x_bg.clamp(0, 1)

    def boxes(self, images: Tensor) -> Proposals:
        """One box per cell, from (z_scale, z_loc), anchored at the cell's centre (section 3.1.4).

        The count is the number of objects of `denf.model.instances.decompose`.
        """
        return _proposals(*self._decompose(images))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Scenes from the priors alone, at the size of the last training (section 3.1)."""
        size = self.trained_size
        shapes = self.model.latent_shapes(size)
        latents = sample_latents(shapes, count, self.settings.priors, generator)
        presence, x_bg, x_fg = render(self.model, latents, self._mean(size))
        return _bytes(mixture(presence, x_fg, x_bg))

    def recompose(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Keep the background, and each object with probability one half (section 4.1)."""
        seen = self._infer(images)
        found = decompose(seen.latents, images, self.settings.instances)
        most = max((len(b) for b in found.boxes), default=0)
        coins = torch.rand(len(images), most + 1, generator=generator, device=images.device)
        keep = coins < 0.5
        keep[:, 0] = False  # label 0 is the background
        m = keep.gather(1, found.labels.flatten(1)).view_as(found.labels).float()
        return _bytes(mixture(m, seen.x_fg, seen.x_bg))

    def log_prob(self, images: Tensor) -> Tensor:
        if Capability.LOG_PROB not in self.capabilities:
            return super().log_prob(images)
        return self.model.log_prob(self._unit(images))

    def inspect(self, images: Tensor) -> Mapping[str, Tensor]:
        """Rows of figures 3 to 6, and all that `denf decompose` writes.

        Returns:
            `presence` (B, h, w) in [0, 1], `scale` and `loc` (B, h, w, 2), `background` uint8
            (B, H, W, 3), and the arrays of `denf.singles.whole_objects`.
        """
        seen = self._infer(images)
        latents, shape = seen.latents, seen.presence.shape[1:]
        found = decompose(latents, images, self.settings.instances)
        x_bg, x_fg = _bytes(seen.x_bg), _bytes(seen.x_fg)
        return {
            "presence": torch.sigmoid(latents.presence_logit),
            "scale": cell_boxes(latents)[1].unflatten(1, shape),
            "loc": latents.loc.permute(0, 2, 3, 1),
            "background": x_bg.permute(0, 2, 3, 1),
            **whole_objects(found, x_bg, x_fg),
        }

    @property
    def trained_size(self) -> int:
        """Side of the training images.

        Raises:
            DenfError: when the weights are untrained.
        """
        size = int(self.image_size)
        if size == 0:
            raise DenfError(
                "weights of DeNF",
                expected="trained weights, which store the images' size",
                got="initial weights",
                fix="Choose a run that was trained.",
            )
        return size

    def _decompose(self, images: Tensor) -> tuple[Latents, Decomposition]:
        latents = self.model.encode(self._unit(images)).latents
        return latents, decompose(latents, images, self.settings.instances)

    def _infer(self, images: Tensor) -> Inference:
        return infer(self.model, self._unit(images), self._mean(images.shape[2]))

    def _mean(self, size: int) -> Tensor | None:
        """The mean of z_bg for images of `size` × `size` pixels."""
        mean = self.background_mean
        return None if mean is None else mean.at(self.model.latent_shapes(size)["background"][1:])

    def _unit(self, images: Tensor, noise: Tensor | float = 0.5) -> Tensor:
        """uint8 grey levels to [0, 1); `noise` is a fraction of a level in [0, 1) that is added."""
        height, width = images.shape[2:]
        block = 2**self.settings.architecture.squeezes
        if height != width or height % block:
            raise DenfError(
                "images for DeNF",
                expected=f"squares whose side is a multiple of {block}",
                got=f"{width}×{height} pixels",
                fix="Prepare the data with another --size.",
            )
        x = (images.to(torch.get_default_dtype()) + noise) / 256
        return x.contiguous(memory_format=torch.channels_last)


def _proposals(latents: Latents, found: Decomposition) -> Proposals:
    boxes = corners(*cell_boxes(latents))
    h, w = latents.presence_logit.shape[1:]
    rows, columns = cell_centres(h, w, boxes)
    centres = torch.cartesian_prod(rows, columns).flip(1)  # x before y
    return Proposals(
        boxes,
        centres.expand(len(boxes), -1, -1),
        (latents.presence_logit > 0).flatten(1),
        torch.tensor([len(kept) for kept in found.boxes], device=boxes.device),
    )


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device)


def _bytes(x: Tensor) -> Tensor:
    return (x * 256).floor().clamp(0, 255).to(torch.uint8)
