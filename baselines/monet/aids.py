"""MONet with aids for a small budget: a view, input of the component VAE, initial deviations."""

from __future__ import annotations

from baselines.blocks.component_aids import add_to_deviations, mask_and_masked_image
from baselines.blocks.view import View, Viewed
from baselines.monet.aid_settings import MonetAids
from baselines.monet.method import Monet
from baselines.monet.settings import MonetSettings


class AidedMonet(Viewed, Monet):
    """MONet with aids; with their defaults it equals MONet."""

    def __init__(self, settings: MonetSettings, aids: MonetAids) -> None:
        super().__init__(settings)
        self.view = View(aids.view)
        if aids.masked_input:
            self.component_vae.encoder_input = mask_and_masked_image
        add_to_deviations([self.component_vae.encoder[-1]], aids.std_bias)
