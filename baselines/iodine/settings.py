"""IODINE's settings, as in deepmind-research's configuration clevr6."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, MinLen

from denf.settings import Count, MethodSettings, NonNegative, Positive

Widths = Annotated[tuple[Count, ...], MinLen(1)]


class IodineSettings(MethodSettings):
    """Settings of IODINE."""

    slots: Annotated[int, Ge(2)] = 7
    """K; seven for the six objects and the background of CLEVR6."""
    latent: Count = 64
    """Dimensions of a slot's z."""
    iterations: Count = 5
    """T, number of refinements; an image is decoded T + 1 times."""
    scale: Positive = 0.03
    """Scale of the logistic distribution of intensities, which are in [0, 1]."""
    decoder_channels: Widths = (64, 64, 64, 64)
    """Channels of the decoder's 3×3 convolutions."""
    encoder_channels: Widths = (64, 64, 64, 64)
    """Channels of the refinement network's strided 3×3 convolutions."""
    hidden: Widths = (256, 256)
    """Widths of the refinement network's linear layers."""
    state: Count = 256
    """Units of the LSTM."""
    learning_rate: Positive = 1e-3
    """Adam's learning rate for batches of 32; it grows with the square root of the batch size."""
    decay_steps: Positive = 1_000_000
    """Steps in which the learning rate falls to a tenth."""
    beta1: NonNegative = 0.95
    """β₁ of Adam."""
    gradient_clip: Positive = 5.0
    """Largest gradient norm."""
