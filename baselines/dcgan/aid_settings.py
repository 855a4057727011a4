"""Settings of the aids for DCGAN."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import AdversarialAids


class DcganAids(AdversarialAids):
    """The addition that stabilises DCGAN's samples within minutes; not in its paper or code."""
