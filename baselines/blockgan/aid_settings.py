"""Settings of the aids for BlockGAN."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import StyleGameAids


class BlockganAids(StyleGameAids):
    """What narrow networks of BlockGAN need to learn within minutes; not in its paper or code."""
