"""BlockGAN with aids for a small budget: initial weights, a term of the loss, averaged weights."""

from __future__ import annotations

from baselines.blockgan.aid_settings import BlockganAids
from baselines.blockgan.method import Blockgan
from baselines.blockgan.settings import BlockganSettings
from baselines.blocks.style_aids import AidedStyleGame


class AidedBlockgan(AidedStyleGame, Blockgan):
    """BlockGAN with aids; with their defaults it equals BlockGAN."""

    def __init__(self, settings: BlockganSettings, aids: BlockganAids) -> None:
        super().__init__(settings)
        self.apply_aids(aids)
