"""ObSuRF in two dimensions: slots from slot attention, decoded point by point as colour fields.

Stelzner, Kersting and Kosiorek, "Decomposing 3d scenes into objects via unsupervised volume
segmentation", arXiv:2104.01148, 2021. Table 1's value is that of the two-dimensional variant.
Settings: stelzner/obsurf, runs/2dclevr/obsurf (published for CLEVR6 at 64 × 64). Different here:
larger images are encoded whole and decoded at as many random points as 64 × 64 pixels have,
evaluation draws the initial slots from a fixed seed, and `unit_gain`, `centred` and `view`, off by
default, are for trainings of minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, MinLen
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from baselines.blocks.broadcast import coordinates
from baselines.blocks.likelihood import gaussian_log_prob
from baselines.blocks.mixture import MixtureMethod, SlotMixture, SlotNoise
from baselines.blocks.schedules import decay_factor, set_learning_rate, warmup_factor
from baselines.blocks.slot_attention import SlotAttention, SlotEncoder, initialise_as_keras
from baselines.blocks.view import View, ViewSettings
from denf.harness.method import Step, descend

EPS = 1e-5  # of the layer normalisations
EVEN = 0.1  # factor on the first weights of colours and mask logits, with unit gain


@dataclass(frozen=True)
class ObsurfSettings:
    """Settings.

    Args:
        slots: K, six objects and the background.
        iterations: rounds of attention.
        channels: of the encoder's convolutions and of a slot.
        encoder_strides: one a layer of the encoder.
        hidden: width of the decoder.
        decoder_layers: of the decoder, the last one linear.
        frequencies: F, sines and cosines of 2^i π, i = 0 … F − 1, of each coordinate; few of them
            keep the masks smooth.
        points: pixels a step and image at which the decoder is trained, at most.
        jitter: standard deviation of the noise on their positions, pixels.
        unit_gain: start encoder and decoder with He's weights, the decoder's scales around 1, the
            attention as Keras does, and slots nearly alike: their means small, masks nearly even,
            so that no slot takes all of the image before the others have learned anything.
            Otherwise with PyTorch's initial values, as published, through which so little of image
            and place reaches the output that a training of a few thousand steps learns the mean
            image alone.
        centred: the encoder sees images in [−1, 1], so that their differences outweigh what they
            have in common; otherwise in [0, 1], as published.
        learning_rate: Adam's, at the end of the warm-up.
        warmup_steps: steps of linear rise.
        half_life: steps in which the rate halves after the warm-up.
        view: what encoder and loss are shown of the images; all of them, as published.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    slots: Annotated[int, Ge(1)] = 7
    iterations: Annotated[int, Ge(1)] = 3
    channels: Annotated[int, Ge(1)] = 64
    encoder_strides: Annotated[tuple[Literal[1, 2], ...], MinLen(1)] = (1, 1, 1, 1)
    hidden: Annotated[int, Ge(1)] = 64
    decoder_layers: Annotated[int, Ge(2)] = 5
    frequencies: Annotated[int, Ge(0)] = 8
    points: Annotated[int, Ge(1)] = 64 * 64
    jitter: Annotated[float, Ge(0)] = 0.25
    unit_gain: bool = False
    centred: bool = False
    learning_rate: Annotated[float, Gt(0)] = 4e-4
    warmup_steps: Annotated[int, Ge(0)] = 10_000
    half_life: Annotated[float, Gt(0)] = 100_000
    view: ViewSettings = field(default_factory=ViewSettings)


class PointDecoder(nn.Module):
    """Colour and mask logit of every slot at points of the plane.

    Before each layer but the last, h ← (h + shift) · scale with shift and scale linear in the slot.

    Args:
        slot_size: channels of a slot.
        hidden: width.
        layers: number of linear layers.
        frequencies: of the position code.
    """

    def __init__(self, slot_size: int, hidden: int, layers: int, frequencies: int) -> None:
        super().__init__()
        self.frequencies = frequencies
        widths = [2 + 4 * frequencies, *[hidden] * (layers - 1)]
        self.conditions = nn.ModuleList(nn.Linear(slot_size, 2 * width) for width in widths[:-1])
        self.layers = nn.ModuleList(nn.Linear(width, hidden) for width in widths[:-1])
        self.last = nn.Linear(hidden, 4)

    def forward(self, points: Tensor, slots: Tensor) -> Tensor:
        """(B, K, P, 4), red, green, blue and logit, from (B, P, 2) and (B, K, slot_size)."""
        h = position_code(points, self.frequencies)[
            :, None
        ]  # (B, 1, P, code), the same for all slots
        for condition, layer in zip(self.conditions, self.layers, strict=True):
            shift, scale = condition(slots)[:, :, None].chunk(2, -1)  # (B, K, 1, width)
            h = torch.relu(layer((h + shift) * scale))
        return self.last(h)


def position_code(points: Tensor, frequencies: int) -> Tensor:
    """(…, 2 + 4 F): the coordinates, then sin and cos of 2^i π times each, i = 0 … F − 1.

    Args:
        points: (…, 2) in [−½, ½].
        frequencies: F.
    """
    powers = math.pi * 2 ** torch.arange(frequencies, device=points.device, dtype=points.dtype)
    angles = (points[..., None] * powers).flatten(-2)
    return torch.cat((points, angles.sin(), angles.cos()), -1)


class Obsurf(MixtureMethod):
    """Gaussian likelihood of unit variance around the mixture's mean; all in float32.

    A label is the slot of the largest mask; no slot is set aside for the background.
    """

    Settings = ObsurfSettings

    def __init__(self, settings: ObsurfSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        s = settings
        self.view = View(s.view)
        self.encoder = SlotEncoder(s.channels, s.encoder_strides, EPS)
        self.slot_mean = nn.Parameter(torch.randn(s.channels))
        self.slot_raw_std = nn.Parameter(torch.randn(s.channels))
        self.attend = SlotAttention(
            s.channels, s.channels, s.channels, iterations=s.iterations, bias=True, eps=EPS
        )
        self.decoder = PointDecoder(s.channels, s.hidden, s.decoder_layers, s.frequencies)
        if s.unit_gain:
            self._start_with_unit_gain()

    @torch.no_grad()
    def _start_with_unit_gain(self) -> None:
        self.encoder.apply(_keep_variance)
        self.attend.apply(initialise_as_keras)
        self.decoder.layers.apply(_keep_variance)
        for condition in self.decoder.conditions:
            assert isinstance(condition, nn.Linear)
            nn.init.ones_(condition.bias.chunk(2)[1])
        self.decoder.last.weight.mul_(EVEN)
        self.decoder.last.bias.zero_()
        self.slot_mean.mul_(0.3)
        self.slot_raw_std.fill_(math.log(math.e - 1))  # softplus of it is 1

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer = self.settings, self.optimizers["adam"]
        factor = warmup_factor(step.index, s.warmup_steps)
        factor *= decay_factor(step.index, s.half_life, start=s.warmup_steps)
        set_learning_rate(optimizer, s.learning_rate * factor)

        x = self.view(batch, step.index)
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
        x = self.view(images)
        slots = self._slots(x, SlotNoise.fixed(self.device))
        points = _grid(x).expand(len(x), -1, -1)
        found = self._decode(slots, points, (x.shape[2], x.shape[3]))
        return self.view.restore(found, images.shape[2:])

    def _slots(self, x: Tensor, noise: SlotNoise) -> Tensor:
        s = self.settings
        drawn = noise.draw(len(x), s.slots, s.channels)
        first = self.slot_mean + softplus(self.slot_raw_std) * drawn
        return self.attend(self.encoder(2 * x - 1 if s.centred else x), first)[0]

    def _decode(self, slots: Tensor, points: Tensor, shape: tuple[int, int]) -> SlotMixture:
        decoded = self.decoder(points, slots).mT.unflatten(3, shape)  # (B, K, 4, H, W)
        return SlotMixture.of(decoded.flatten(0, 1), len(slots))


@torch.no_grad()
def _keep_variance(module: nn.Module) -> None:
    """Weights of standard deviation √(2 / inputs), for layers of ReLUs: He et al. (2015)."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def _grid(x: Tensor) -> Tensor:
    """Points of the pixels of (B, 3, H, W), row by row: (H·W, 2) in [−½, ½]."""
    height, width = x.shape[2:]
    return coordinates(height, width, like=x, low=-0.5, high=0.5).flatten(1).mT
