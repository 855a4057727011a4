"""DRAGAN's settings, as in kodalinaveen3/DRAGAN; for the networks, as in DCGAN."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import Decay
from baselines.dcgan.settings import DcganSettings
from denf.settings import NonNegative, Positive


class DraganSettings(DcganSettings):
    """Settings of DRAGAN; those not listed here are as in DCGAN."""

    learning_rate: Positive = 1e-4
    """Adam's learning rate for both players."""
    beta2: Decay = 0.9
    """Adam's decay of the mean squared gradient."""
    penalty: NonNegative = 10.0
    """λ, weight of the penalty."""
    noise: NonNegative = 0.5
    """c, noise of the perturbed images in standard deviations of the batch."""
    target: NonNegative = 1.0
    """k, target of the gradient norm; the authors recommend 1."""
