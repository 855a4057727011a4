"""Settings of the aids for Slot Attention."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class SlotAttentionAids(AidSettings):
    """What Slot Attention needs to learn within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """What is shown of the images and explained."""
