"""ObSuRF's settings, as in stelzner/obsurf, runs/2dclevr/obsurf."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from denf.settings import Count, MethodSettings, NonNegative, Positive, Steps


class ObsurfSettings(MethodSettings):
    """Settings of ObSuRF."""

    slots: Count = 7
    """K; seven for the six objects and the background of CLEVR6."""
    iterations: Count = 3
    """T, iterations of attention."""
    channels: Count = 64
    """Channels of the encoder's convolutions and of a slot."""
    encoder_strides: Annotated[tuple[Literal[1, 2], ...], MinLen(1)] = (1, 1, 1, 1)
    """Strides, one per layer of the encoder."""
    hidden: Count = 64
    """Width of the decoder."""
    decoder_layers: Annotated[int, Ge(2)] = 5
    """Layers of the decoder, the last one linear."""
    frequencies: Annotated[int, Ge(0)] = 8
    """F, number of frequencies 2^i π, i = 0 … F − 1, of the position code; with few of them the
    masks are smooth."""
    points: Count = 64 * 64
    """Largest number of pixels per step and image at which the decoder is trained."""
    jitter: NonNegative = 0.25
    """Standard deviation of the noise on the positions of these pixels, in pixels."""
    learning_rate: Positive = 4e-4
    """Adam's learning rate at the end of the warm-up."""
    warmup_steps: Steps = 10_000
    """Steps of the warm-up, in which the learning rate rises linearly."""
    half_life: Positive = 100_000
    """Steps in which the learning rate halves after the warm-up."""
