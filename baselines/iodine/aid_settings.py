"""Settings of the aids for IODINE."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class IodineAids(AidSettings):
    """The addition for IODINE's trainings of minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """View of the images that is encoded and reconstructed."""
