"""Settings of the aids for MONet."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class MonetAids(AidSettings):
    """What MONet needs to learn within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """What is shown of the images and explained; `settings.size` is its side."""
    masked_input: bool = False
    """The component VAE sees m and m·x in place of log m and x."""
    std_bias: float = 0.0
    """Added to the first bias of the raw deviation of z, whose σ starts near one, far above what
    tells slots apart in the means."""
