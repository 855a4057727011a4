"""GENESIS with aids for a small budget: a view, input of the component VAE, initial deviations."""

from __future__ import annotations

from baselines.blocks.component_aids import add_to_deviations, mask_and_masked_image
from baselines.blocks.view import View, Viewed
from baselines.genesis.aid_settings import GenesisAids
from baselines.genesis.method import Genesis
from baselines.genesis.settings import GenesisSettings


class AidedGenesis(Viewed, Genesis):
    """GENESIS with aids; with their defaults it equals GENESIS."""

    def __init__(self, settings: GenesisSettings, aids: GenesisAids) -> None:
        super().__init__(settings)
        self.view = View(aids.view)
        if aids.masked_input:
            self.components.encoder_input = mask_and_masked_image
        layers = (self.masks.first, self.masks.later, self.components.encoder[-1])
        add_to_deviations(layers, aids.std_bias)
