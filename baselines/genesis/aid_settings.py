"""Settings of the aids for GENESIS."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class GenesisAids(AidSettings):
    """Additions with which GENESIS learns within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """View of the images that is encoded and reconstructed; `settings.size` is its side."""
    masked_input: bool = False
    """The component VAE sees m and m·x in place of log m and x."""
    std_bias: float = 0.0
    """Added to the initial bias of the raw standard deviation of every z. As published, σ starts
    near one, and a short training loses z_m, and with it the masks, before it learns to reconstruct
    images; a smaller σ prevents this."""
