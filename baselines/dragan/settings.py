"""DRAGAN's settings; of kodalinaveen3/DRAGAN, and for the networks those of DCGAN."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import Decay
from baselines.dcgan.settings import DcganSettings
from denf.settings import NonNegative, Positive


class DraganSettings(DcganSettings):
    """Settings of DRAGAN; those without a line here are DCGAN's."""

    learning_rate: Positive = 1e-4
    """Adam's learning rate for both players."""
    beta2: Decay = 0.9
    """Adam's decay of the mean squared gradient."""
    penalty: NonNegative = 10.0
    """λ, weight of the penalty."""
    noise: NonNegative = 0.5
    """c, noise of the perturbed images in standard deviations of the batch."""
    target: NonNegative = 1.0
    """k, gradient norm that the penalty pulls to; the authors advise 1."""
