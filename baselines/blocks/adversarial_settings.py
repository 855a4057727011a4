"""Settings of all adversarial methods and of their aids."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt

from denf.settings import AidSettings, Count, MethodSettings, Positive, Settings

Decay = Annotated[float, Ge(0), Lt(1)]


class Updates(Settings):
    """Updates of each player per training step, all on the same real images."""

    discriminator: Count = 1
    """Updates of the discriminator, which come first."""
    generator: Count = 1
    """Updates of the generator, against the updated discriminator."""


class AdversarialSettings(MethodSettings):
    """Settings of every adversarial method."""

    size: Annotated[int, Ge(16)] = 128
    """Side in pixels of the images that the networks are built for."""
    learning_rate: Positive = 2e-4
    """Adam's learning rate for both players."""
    beta1: Decay = 0.5
    """Adam's decay of the mean gradient."""
    beta2: Decay = 0.999
    """Adam's decay of the mean squared gradient."""
    updates: Updates = Updates()
    """Updates of each player per training step."""


class AdversarialAids(AidSettings):
    """Settings of aids for an adversarial method."""

    average: Decay = 0.0
    """Decay of the running average of the generator's weights with which samples are drawn; 0: with
    the last weights."""


class StyleGameAids(AdversarialAids):
    """Settings of aids for BlockGAN and RELATE, whose discriminators have style heads."""

    weight_std: Positive = 0.02
    """Standard deviation of the generator's initial weights. The signal of narrow networks vanishes
    at the published 0.02, because the gain of a layer is proportional to std · √width."""
    generator_style: Annotated[float, Ge(0)] = 0.0
    """Weight of the style heads in the generator's loss; their inputs are the means and variances
    that normalisation removes for the other layers."""
