"""Settings of the aids for RELATE."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import StyleGameAids


class RelateAids(StyleGameAids):
    """What narrow networks of RELATE need to learn within minutes; not in its paper or code."""
