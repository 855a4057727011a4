"""Settings of the aids for GENESIS."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class GenesisAids(AidSettings):
    """What GENESIS needs to learn within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """What is shown of the images and explained; `settings.size` is its side."""
    masked_input: bool = False
    """The component VAE sees m and m·x in place of log m and x."""
    std_bias: float = 0.0
    """Added to the first bias of the raw deviation of every z, whose σ starts near one. A short
    training then unlearns z_m, and with it the masks, before images come through; a smaller
    deviation prevents that."""
