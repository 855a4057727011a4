"""GMAIR: objects in the cells of a grid, clustered by a Gaussian mixture prior.

Zhu, W., Shen, Y., Yu, L. and Sanchez, L. P. A., "GMAIR: Unsupervised object detection based on
spatial attention and Gaussian mixture", arXiv:2106.01722, 2021. Networks, losses and settings
as in EmoFuncs/GMAIR-pytorch with its configuration for coloured fruit.

No GMAIR for CLEVR6 is published: the code's images have digits and fruit on black. The adaptation
is ours, so that its results have no reported value:

- the background of `blocks.background_vae`, with one latent dimension, behind the objects;
- the overlap term, which the code uses for digits only (weight 2 for 5,000 steps), is on;
- the backbone upsamples the features of ResNet-18 by convolutions and transposed convolutions,
  where the paper has deformable convolutions; as in the released code, to 16 × 16 cells at 128² and
  from random weights;
- initial weights are PyTorch's, where the released code starts transposed convolutions as bilinear
  interpolation and the convolutions before them with standard deviation 0.001;
- labels and reconstructions use means and class probabilities instead of samples.

In the paper's order:

- `inference`: q(z | x) of all cells at once, boxes, and the divergences from p(z);
- `inference.MixturePrior`: p(z_what | cluster), the Gaussian mixture;
- `compositing`: the objects in pixels, and the overlap term;
- `GmairMethod.loss`: weighted cross-entropy, divergences and overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy
from torch.optim import Adam, Optimizer

from baselines.blocks.background_vae import BackgroundVae
from baselines.blocks.glimpse_prediction import GLIMPSE_CAPABILITIES, prediction
from baselines.blocks.images import check_size, to_unit
from baselines.gmair.compositing import Rendering, composite
from baselines.gmair.inference import GmairInference, Objects
from baselines.gmair.networks import glimpse_decoder
from baselines.gmair.settings import GmairSettings
from denf.harness.method import OnePassMethod, Prediction, Step, descend

_CEILING = 1 - 1e-9  # of the prior p of presence, so that log(1 - p) is finite
_EDGE = 1e-6  # of colours in the cross-entropy


class Terms(NamedTuple):
    """Terms of the loss.

    Args:
        error: cross-entropy, a scalar in nats.
        kl: by name, scalars in nats.
        overlap: a scalar.
    """

    error: Tensor
    kl: Mapping[str, Tensor]
    overlap: Tensor


def cross_entropy(canvas: Tensor, x: Tensor) -> Tensor:
    """-Σ [x log c + (1 - x) log(1 - c)] over pixels and channels, mean over images, in nats.

    Args:
        canvas: c, (B, 3, H, W) in [0, 1].
        x: (B, 3, H, W) in [0, 1].
    """
    inner = canvas.clamp(_EDGE, 1 - _EDGE)
    return binary_cross_entropy(inner, x, reduction="none").flatten(1).sum(1).mean()


class GmairMethod(OnePassMethod):
    """Cross-entropy, divergences and the overlap term; presence is a probability throughout."""

    settings: GmairSettings
    capabilities = GLIMPSE_CAPABILITIES

    def __init__(self, settings: GmairSettings) -> None:
        super().__init__(settings)
        self.inference = GmairInference(settings)
        self.decoder = glimpse_decoder(settings.what, settings.width)
        self.background = BackgroundVae(decoder=settings.background)

    def make_optimizers(self) -> dict[str, Optimizer]:
        glimpses = [*self.inference.glimpse_parameters(), *self.decoder.parameters()]
        known = {id(p) for p in glimpses}
        others = [p for p in self.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [
            {"params": others},
            {"params": glimpses, "lr": self.settings.glimpse_rate},
        ]
        return {"adam": Adam(groups, self.settings.rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        x = self._unit(batch)
        background, kl_background = self.background(x, step.generator)
        objects = self.infer(x, background, step)
        kl = {**objects.kl(), "background": kl_background.mean()}
        rendering = self._render(objects)
        error = cross_entropy(_blend(rendering, background), x)
        terms = Terms(error, kl, rendering.overlap.mean())
        loss = self.loss(terms, x, background, step)
        norm = descend(loss, self.optimizers["adam"], self, clip=None)
        return {
            "loss": loss.detach(),
            "cross_entropy": error.detach(),
            **{f"kl_{name}": value.detach() for name, value in kl.items()},
            "overlap": terms.overlap.detach(),
            "objects": objects.presence.detach().sum((1, 2)).mean(),
            "gradient_norm": norm,
        }

    def presence_prior(self, index: int) -> float:
        """max(e^(-decay · step), floor) at a 0-based step, kept below 1."""
        s = self.settings
        return min(max(math.exp(-s.presence_decay * index), s.presence_floor), _CEILING)

    def infer(self, x: Tensor, background: Tensor, step: Step | None) -> Objects:
        """q(z | x) of images x (B, 3, H, W) in [0, 1]; `step` is None in evaluation."""
        if step is None:
            return self.inference(x, self.settings.presence_floor, None)
        return self.inference(x, self.presence_prior(step.index), step.generator)

    def loss(self, terms: Terms, x: Tensor, background: Tensor, step: Step) -> Tensor:
        """The scalar that is minimised."""
        s = self.settings
        loss = s.reconstruction * terms.error + torch.stack(list(terms.kl.values())).sum()
        if step.index < s.overlap_until:
            loss = loss + s.overlap * terms.overlap
        return loss

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        x = self._unit(images)
        background, _ = self.background(x, None)
        objects = self.infer(x, background, None)
        rendering = self._render(objects)
        canvas, presence = _blend(rendering, background), objects.presence[:, :, 0]
        return prediction(
            rendering.shares, presence, objects.boxes, canvas=canvas, background=background
        )

    def _render(self, objects: Objects) -> Rendering:
        logits = self.decoder(objects.what.flatten(0, 1)).unflatten(0, objects.what.shape[:2])
        rgb, alpha = logits.split((3, 1), 2)
        decoded = torch.sigmoid(torch.cat((rgb, alpha + self.settings.alpha_bias), 2))
        return composite(decoded, objects, (self.settings.size, self.settings.size))

    def _unit(self, images: Tensor) -> Tensor:
        check_size(images, self.settings.size, "gmair")
        return to_unit(images)


def _blend(rendering: Rendering, background: Tensor) -> Tensor:
    return rendering.image + (1 - rendering.shares.sum(1)) * background
