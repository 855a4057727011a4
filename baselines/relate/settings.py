"""RELATE's settings, as in hyenal/relate, `cars_real_traffic-train`."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import AdversarialSettings, Decay, Updates
from denf.settings import Count, NonNegative, Positive


class RelateSettings(AdversarialSettings):
    """Settings of RELATE."""

    learning_rate: Positive = 1e-4
    """Adam's learning rate for both players."""
    beta1: Decay = 0.0
    """Adam's decay of the mean gradient."""
    updates: Updates = Updates(generator=2)
    """Updates of each player per training step."""
    objects: Count = 5
    """Largest number of objects in a scene; in training, 1 to `objects` objects are present."""
    object_latent: Count = 20
    """Dimensions of an object's z ~ U(-1, 1)."""
    background_latent: Count = 1
    """Dimensions of the background's z₀ ~ U(-1, 1)."""
    width: Count = 64
    """Channels of the narrowest layers of both networks."""
    correction: NonNegative = 0.5
    """Largest correction of a position, in half image sides."""
    position: NonNegative = 1.0
    """Weight of the squared error of the estimated position, for both players."""
    penalty: NonNegative = 0.0
    """Weight of DRAGAN's penalty (the code's other configuration for traffic: 1)."""
