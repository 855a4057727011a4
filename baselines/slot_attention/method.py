"""Slot Attention: an auto-encoder whose bottleneck is a set of slots that compete for pixels.

Locatello et al., "Object-centric learning with slot attention", NeurIPS 2020, section 3.1 and
appendices E.2–E.3. Settings: google-research/google-research, folder slot_attention (Apache 2.0);
its Keras defaults (layer normalisation, initial weights) are kept. What differs here: the number of
strided decoder layers is a setting, so that sizes other than 128 can be trained; evaluation draws
the initial slots from a fixed seed, so that an image has one segmentation; TensorFlow's SAME pads a
strided layer more at the bottom and right, our padding at the top and left, so that our layer
equals TensorFlow's rotated by 180°.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import Adam, Optimizer

from baselines.blocks.images import check_multiple
from baselines.blocks.mixture import MixtureMethod, SlotMixture, SlotNoise
from baselines.blocks.schedules import decay_factor, set_learning_rate, warmup_factor
from baselines.blocks.slot_attention import SlotAttention, SlotEncoder, initialise_as_keras
from baselines.slot_attention.decoder import SlotDecoder
from baselines.slot_attention.settings import SlotAttentionSettings
from denf.harness.method import Step, descend


class SlotAttentionMethod(MixtureMethod):
    """Mean squared error of images in [−1, 1] (appendix E.3), in float32.

    Labels are the slots of the decoder's largest masks.
    """

    settings: SlotAttentionSettings

    def __init__(self, settings: SlotAttentionSettings) -> None:
        super().__init__(settings)
        s = settings
        self.encoder = SlotEncoder(s.channels, s.encoder_strides)
        self.slot_mean = nn.Parameter(torch.empty(s.slot_size))
        self.slot_log_std = nn.Parameter(torch.empty(s.slot_size))
        self.attend = SlotAttention(s.channels, s.slot_size, s.hidden, iterations=s.iterations)
        self.decoder = SlotDecoder(s)
        self.apply(initialise_as_keras)
        limit = math.sqrt(6 / (1 + s.slot_size))  # Glorot-uniform, of a weight with shape (1, 1, D)
        for parameter in (self.slot_mean, self.slot_log_std):
            nn.init.uniform_(parameter, -limit, limit)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, optimizer = self.settings, self.optimizers["adam"]
        factor = warmup_factor(step.index, s.warmup_steps) * decay_factor(step.index, s.half_life)
        set_learning_rate(optimizer, s.learning_rate * factor)
        x = 2 * self.shown(batch, step) - 1
        loss = mse_loss(self._decode(x, SlotNoise.of(step.generator)).mean, x)
        norm = descend(loss, optimizer, self, clip=None)
        return {"loss": loss.detach(), "gradient_norm": norm}

    def decompose(self, images: Tensor) -> SlotMixture:
        decoded = self._decode(2 * self.shown(images) - 1, SlotNoise.fixed(self.device))
        return SlotMixture((decoded.rgb + 1) / 2, decoded.logits)

    def _decode(self, x: Tensor, noise: SlotNoise) -> SlotMixture:
        """Slots of images (B, 3, H, W) in [−1, 1], with colours on the same scale."""
        s, (batch, _, height, width) = self.settings, x.shape
        stride = math.prod(s.decoder_strides)
        check_multiple(x, stride, "Slot Attention")
        drawn = noise.draw(batch, s.slots, s.slot_size)
        slots = self.slot_mean + self.slot_log_std.exp() * drawn
        slots, _ = self.attend(self.encoder(x), slots)
        decoded = self.decoder(slots.flatten(0, 1), (height // stride, width // stride))
        return SlotMixture.of(decoded, batch)
