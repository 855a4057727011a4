"""Slot Attention's settings, as in google-research, folder slot_attention."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import MinLen

from denf.settings import Count, MethodSettings, Positive, Steps

Strides = Annotated[tuple[Literal[1, 2], ...], MinLen(1)]


class SlotAttentionSettings(MethodSettings):
    """Settings of Slot Attention."""

    slots: Count = 7
    """K; seven for the six objects and the background of CLEVR6."""
    iterations: Count = 3
    """T, iterations of attention."""
    slot_size: Count = 64
    """Channels of a slot."""
    hidden: Count = 128
    """Width of the residual MLP after each iteration."""
    channels: Count = 64
    """Channels of the convolutions."""
    encoder_strides: Strides = (1, 1, 1, 1)
    """Strides, one per layer of the encoder."""
    decoder_strides: Strides = (2, 2, 2, 2, 1)
    """Strides, one per layer of the decoder before its last. Their product must divide the image
    side; the quotient is the side of the grid over which a slot is tiled (128: 8)."""
    learning_rate: Positive = 4e-4
    """Adam's learning rate at the end of the warm-up."""
    warmup_steps: Steps = 10_000
    """Steps of the warm-up, in which the learning rate rises linearly."""
    half_life: Positive = 100_000
    """Steps in which the learning rate halves, from the first step on."""
