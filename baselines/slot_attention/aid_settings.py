"""Settings of the aids for Slot Attention."""

from __future__ import annotations

from baselines.blocks.view_settings import ViewSettings
from denf.settings import AidSettings


class SlotAttentionAids(AidSettings):
    """The addition with which Slot Attention learns within minutes; not in its paper or code."""

    view: ViewSettings = ViewSettings()
    """View of the images that is encoded and reconstructed."""
