"""DCGAN with an aid for a small budget: samples from averaged weights."""

from __future__ import annotations

from baselines.blocks.adversarial_aids import Averaged
from baselines.dcgan.aid_settings import DcganAids
from baselines.dcgan.method import Dcgan
from baselines.dcgan.settings import DcganSettings


class AidedDcgan(Averaged, Dcgan):
    """DCGAN with its aid; with its default it equals DCGAN."""

    def __init__(self, settings: DcganSettings, aids: DcganAids) -> None:
        super().__init__(settings)
        self.average_weights(aids.average)
