"""Settings of the aids for MONet."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class MonetAids(AidSettings):
    """Additions with which MONet learns within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """View of the images that is encoded and reconstructed; `settings.size` is its side."""
    masked_input: bool = False
    """The component VAE sees m and m·x in place of log m and x."""
    std_bias: float = 0.0
    """Added to the initial bias of the raw standard deviation of z. As published, σ starts near
    one, far above the differences of the means between slots."""
