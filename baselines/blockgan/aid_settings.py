"""Settings of the aids for BlockGAN."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import StyleGameAids


class BlockganAids(StyleGameAids):
    """Additions with which narrow networks learn within minutes; not in the paper or its code."""
