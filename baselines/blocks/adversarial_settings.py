"""Settings that all adversarial methods have, and those of the aid that all can have."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt

from denf.settings import AidSettings, Count, MethodSettings, Positive, Settings

Decay = Annotated[float, Ge(0), Lt(1)]


class Updates(Settings):
    """Descents of each player in one training step; all see the same real images."""

    discriminator: Count = 1
    """Descents of the discriminator, which is first."""
    generator: Count = 1
    """Descents of the generator, against the updated discriminator."""


class AdversarialSettings(MethodSettings):
    """Settings of every adversarial method."""

    size: Annotated[int, Ge(16)] = 128
    """Side of the images in pixels, which the networks are made for."""
    learning_rate: Positive = 2e-4
    """Adam's learning rate for both players."""
    beta1: Decay = 0.5
    """Adam's decay of the mean gradient."""
    beta2: Decay = 0.999
    """Adam's decay of the mean squared gradient."""
    updates: Updates = Updates()
    """Descents of each player in one training step."""


class AdversarialAids(AidSettings):
    """Settings of aids for an adversarial method."""

    average: Decay = 0.0
    """Decay of the running average of the generator's weights that samples are drawn with; at 0
    they are drawn with the last weights."""


class StyleGameAids(AdversarialAids):
    """Settings of aids for BlockGAN and RELATE, whose discriminators have style heads."""

    weight_std: Positive = 0.02
    """Standard deviation of the generator's initial weights. The signal of narrow networks vanishes
    at the published 0.02, since the gain of a layer is proportional to std · √width."""
    generator_style: Annotated[float, Ge(0)] = 0.0
    """Weight of the style heads in the generator's loss; they see the means and variances that
    normalisation hides from the other layers."""
