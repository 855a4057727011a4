"""Settings of the aids for IODINE."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class IodineAids(AidSettings):
    """What IODINE needs to learn within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """What is shown of the images and explained."""
