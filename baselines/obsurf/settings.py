"""ObSuRF's settings; of stelzner/obsurf, runs/2dclevr/obsurf."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from denf.settings import Count, MethodSettings, NonNegative, Positive, Steps


class ObsurfSettings(MethodSettings):
    """Settings of ObSuRF."""

    slots: Count = 7
    """K, six objects and the background."""
    iterations: Count = 3
    """Rounds of attention."""
    channels: Count = 64
    """Channels of the encoder's convolutions and of a slot."""
    encoder_strides: Annotated[tuple[Literal[1, 2], ...], MinLen(1)] = (1, 1, 1, 1)
    """Strides, one per layer of the encoder."""
    hidden: Count = 64
    """Width of the decoder."""
    decoder_layers: Annotated[int, Ge(2)] = 5
    """Layers of the decoder, the last one linear."""
    frequencies: Annotated[int, Ge(0)] = 8
    """F, sines and cosines of 2^i π, i = 0 … F − 1, of each coordinate; few of them keep the masks
    smooth."""
    points: Count = 64 * 64
    """Pixels per step and image at which the decoder is trained, at most."""
    jitter: NonNegative = 0.25
    """Standard deviation of the noise on their positions in pixels."""
    learning_rate: Positive = 4e-4
    """Adam's learning rate at the end of the warm-up."""
    warmup_steps: Steps = 10_000
    """Steps of linear rise."""
    half_life: Positive = 100_000
    """Steps in which the rate halves after the warm-up."""
