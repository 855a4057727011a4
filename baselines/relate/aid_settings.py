"""Settings of the aids for RELATE."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import StyleGameAids


class RelateAids(StyleGameAids):
    """Additions with which narrow networks learn within minutes; not in the paper or its code."""
