"""ObSuRF in two dimensions: slots from slot attention, decoded point by point as colour fields.

Stelzner, Kersting and Kosiorek, "Decomposing 3d scenes into objects via unsupervised volume
segmentation", arXiv:2104.01148, 2021. The value in Table 1 of the DeNF paper is that of the
two-dimensional variant. Settings: stelzner/obsurf, runs/2dclevr/obsurf (published for CLEVR6 at
64 × 64). What differs here: larger images are encoded whole and decoded at 64 · 64 random points,
and evaluation draws the initial slots from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from baselines.blocks.broadcast import coordinates
from baselines.blocks.likelihood import gaussian_log_prob
from baselines.blocks.mixture import MixtureMethod, SlotMixture, SlotNoise
from baselines.blocks.schedules import decay_factor, set_learning_rate, warmup_factor
from baselines.blocks.slot_attention import SlotAttention, SlotEncoder
from baselines.obsurf.decoder import PointDecoder
from baselines.obsurf.settings import ObsurfSettings
from denf.harness.method import Step, descend

EPS = 1e-5  # of the layer normalisations


class Obsurf(MixtureMethod):
    """Gaussian likelihood of unit variance around the mixture's mean.

    Labels are the slots of the largest masks; no slot is reserved for the background.
    """

    settings: ObsurfSettings

    def __init__(self, settings: ObsurfSettings) -> None:
        super().__init__(settings)
        s = settings
        self.encoder = SlotEncoder(s.channels, s.encoder_strides, EPS)
        self.slot_mean = nn.Parameter(torch.randn(s.channels))
        self.slot_raw_std = nn.Parameter(torch.randn(s.channels))
        self.attend = SlotAttention(
            s.channels, s.channels, s.channels, iterations=s.iterations, bias=True, eps=EPS
        )
        self.decoder = PointDecoder(s.channels, s.hidden, s.decoder_layers, s.frequencies)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer = self.settings, self.optimizers["adam"]
        factor = warmup_factor(step.index, s.warmup_steps)
        factor *= decay_factor(step.index, s.half_life, start=s.warmup_steps)
        set_learning_rate(optimizer, s.learning_rate * factor)

        x = self.shown(batch, step)
        slots = self._slots(x, SlotNoise.of(step.generator))
        pixels = torch.randperm(x[0, 0].numel(), generator=step.generator, device=x.device)
        chosen = pixels[: s.points]
        points = _grid(x)[chosen].expand(len(x), -1, -1)
        noise = torch.randn(points.shape, generator=step.generator, device=x.device)
        points = points + s.jitter / x.shape[3] * noise
        target = x.flatten(2)[:, :, chosen, None]
        mean = self._decode(slots, points, (len(chosen), 1)).mean
        loss = -gaussian_log_prob(target, mean, 1.0).sum(1).mean()
        norm = descend(loss, optimizer, self, clip=None)
        mse = (target - mean.detach()).square().mean()
        return {"loss": loss.detach(), "mse": mse, "gradient_norm": norm}

    def decompose(self, images: Tensor) -> SlotMixture:
        x = self.shown(images)
        slots = self._slots(x, SlotNoise.fixed(self.device))
        points = _grid(x).expand(len(x), -1, -1)
        return self._decode(slots, points, (x.shape[2], x.shape[3]))

    def encoded(self, x: Tensor) -> Tensor:
        """The encoder's input: the images (B, 3, H, W) in [0, 1], unchanged."""
        return x

    def _slots(self, x: Tensor, noise: SlotNoise) -> Tensor:
        s = self.settings
        drawn = noise.draw(len(x), s.slots, s.channels)
        first = self.slot_mean + softplus(self.slot_raw_std) * drawn
        return self.attend(self.encoder(self.encoded(x)), first)[0]

    def _decode(self, slots: Tensor, points: Tensor, shape: tuple[int, int]) -> SlotMixture:
        decoded = self.decoder(points, slots).mT.unflatten(3, shape)  # (B, K, 4, H, W)
        return SlotMixture.of(decoded.flatten(0, 1), len(slots))


def _grid(x: Tensor) -> Tensor:
    """Points of the pixels of (B, 3, H, W), row by row: (H·W, 2) in [−½, ½]."""
    height, width = x.shape[2:]
    return coordinates(height, width, like=x, low=-0.5, high=0.5).flatten(1).mT
