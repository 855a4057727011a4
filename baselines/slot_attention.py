"""Slot Attention: an auto-encoder whose bottleneck is a set of slots that compete for pixels.

Locatello et al., "Object-centric learning with slot attention", NeurIPS 2020, section 3.1 and
appendices E.2–E.3. Settings: google-research/google-research, folder slot_attention (Apache 2.0);
its Keras defaults (layer normalisation, initial values) are kept. Different here: the number of
strided decoder layers is a setting, so that other image sizes than 128 can be trained, evaluation
draws the initial slots from a fixed seed, so that an image has one segmentation; TensorFlow's SAME
pads a strided layer more at the bottom and right, ours at the top and left, so that a layer is the
other's turned by 180°; `view`, off by default, shows less of the images, for trainings of minutes.
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
from torch.nn.functional import mse_loss
from torch.optim import Adam, Optimizer

from baselines.blocks.broadcast import PositionEmbedding
from baselines.blocks.images import check_multiple
from baselines.blocks.mixture import MixtureMethod, SlotMixture, SlotNoise
from baselines.blocks.schedules import decay_factor, set_learning_rate, warmup_factor
from baselines.blocks.slot_attention import SlotAttention, SlotEncoder, initialise_as_keras
from baselines.blocks.view import View, ViewSettings
from denf.harness.method import Step, descend

Strides = Annotated[tuple[Literal[1, 2], ...], MinLen(1)]


@dataclass(frozen=True)
class SlotAttentionSettings:
    """Settings.

    Args:
        slots: K, six objects and the background.
        iterations: T, rounds of attention.
        slot_size: channels of a slot.
        hidden: width of the residual MLP that follows each round.
        channels: of the convolutions.
        encoder_strides: one a layer of the encoder.
        decoder_strides: one a layer of the decoder before its last; their product divides the
            image side, and the quotient is the side of the grid that a slot is tiled over (8).
        learning_rate: Adam's, at the end of the warm-up.
        warmup_steps: steps of linear rise.
        half_life: steps in which the rate halves, from the first step on.
        view: what encoder and loss are shown of the images; all of them, as published.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    slots: Annotated[int, Ge(1)] = 7
    iterations: Annotated[int, Ge(1)] = 3
    slot_size: Annotated[int, Ge(1)] = 64
    hidden: Annotated[int, Ge(1)] = 128
    channels: Annotated[int, Ge(1)] = 64
    encoder_strides: Strides = (1, 1, 1, 1)
    decoder_strides: Strides = (2, 2, 2, 2, 1)
    learning_rate: Annotated[float, Gt(0)] = 4e-4
    warmup_steps: Annotated[int, Ge(0)] = 10_000
    half_life: Annotated[float, Gt(0)] = 100_000
    view: ViewSettings = field(default_factory=ViewSettings)


class SlotAttentionMethod(MixtureMethod):
    """Mean squared error of images in [−1, 1] (appendix E.3); all in float32.

    A label is the slot of the decoder's largest mask.
    """

    Settings = SlotAttentionSettings

    def __init__(
        self, settings: SlotAttentionSettings, precision: torch.dtype = torch.float32
    ) -> None:
        super().__init__(settings, precision)
        s = settings
        self.view = View(s.view)
        self.encoder = SlotEncoder(s.channels, s.encoder_strides)
        self.slot_mean = nn.Parameter(torch.empty(s.slot_size))
        self.slot_log_std = nn.Parameter(torch.empty(s.slot_size))
        self.attend = SlotAttention(s.channels, s.slot_size, s.hidden, iterations=s.iterations)
        self.decoder = nn.Sequential(PositionEmbedding(s.slot_size), *_decoder_layers(s))
        self.apply(initialise_as_keras)
        limit = math.sqrt(6 / (1 + s.slot_size))  # Glorot's, of a weight with shape (1, 1, D)
        for parameter in (self.slot_mean, self.slot_log_std):
            nn.init.uniform_(parameter, -limit, limit)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer = self.settings, self.optimizers["adam"]
        factor = warmup_factor(step.index, s.warmup_steps) * decay_factor(step.index, s.half_life)
        set_learning_rate(optimizer, s.learning_rate * factor)
        x = 2 * self.view(batch, step.index) - 1
        loss = mse_loss(self._decode(x, SlotNoise.of(step.generator)).mean, x)
        norm = descend(loss, optimizer, self, clip=None)
        return {"loss": loss.detach(), "gradient_norm": norm}

    def decompose(self, images: Tensor) -> SlotMixture:
        decoded = self._decode(2 * self.view(images) - 1, SlotNoise.fixed(self.device))
        return self.view.restore(
            SlotMixture((decoded.rgb + 1) / 2, decoded.logits), images.shape[2:]
        )

    def _decode(self, x: Tensor, noise: SlotNoise) -> SlotMixture:
        """Slots of images (B, 3, H, W), with colours, as the images, on the scale of [−1, 1]."""
        s, (batch, _, height, width) = self.settings, x.shape
        stride = math.prod(s.decoder_strides)
        check_multiple(x, stride, "Slot Attention")
        drawn = noise.draw(batch, s.slots, s.slot_size)
        slots = self.slot_mean + self.slot_log_std.exp() * drawn
        slots, _ = self.attend(self.encoder(x), slots)
        tiled = slots.flatten(0, 1)[:, :, None, None].expand(
            -1, -1, height // stride, width // stride
        )
        return SlotMixture.of(self.decoder(tiled), batch)


def _decoder_layers(s: SlotAttentionSettings) -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = s.slot_size
    for stride in s.decoder_strides:
        layers += [
            nn.ConvTranspose2d(before, s.channels, 5, stride, 2, output_padding=stride - 1),
            nn.ReLU(),
        ]
        before = s.channels
    return [*layers, nn.ConvTranspose2d(before, 4, 3, padding=1)]
