"""DRAGAN with an aid for a small budget: samples from averaged weights."""

from __future__ import annotations

from baselines.blocks.adversarial_aids import Averaged
from baselines.dragan.aid_settings import DraganAids
from baselines.dragan.method import Dragan
from baselines.dragan.settings import DraganSettings


class AidedDragan(Averaged, Dragan):
    """DRAGAN with its aid; with its default it equals DRAGAN."""

    def __init__(self, settings: DraganSettings, aids: DraganAids) -> None:
        super().__init__(settings)
        self.average_weights(aids.average)
