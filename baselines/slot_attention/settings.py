"""Slot Attention's settings; of google-research's folder slot_attention."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import MinLen

from denf.settings import Count, MethodSettings, Positive, Steps

Strides = Annotated[tuple[Literal[1, 2], ...], MinLen(1)]


class SlotAttentionSettings(MethodSettings):
    """Settings of Slot Attention."""

    slots: Count = 7
    """K, six objects and the background."""
    iterations: Count = 3
    """T, rounds of attention."""
    slot_size: Count = 64
    """Channels of a slot."""
    hidden: Count = 128
    """Width of the residual MLP that follows each round."""
    channels: Count = 64
    """Channels of the convolutions."""
    encoder_strides: Strides = (1, 1, 1, 1)
    """Strides, one per layer of the encoder."""
    decoder_strides: Strides = (2, 2, 2, 2, 1)
    """Strides, one per layer of the decoder before its last; their product divides the image side,
    and the quotient is the side of the grid that a slot is tiled over (8)."""
    learning_rate: Positive = 4e-4
    """Adam's learning rate at the end of the warm-up."""
    warmup_steps: Steps = 10_000
    """Steps of linear rise."""
    half_life: Positive = 100_000
    """Steps in which the rate halves, from the first step on."""
