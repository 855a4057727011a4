"""Settings of the aids for DCGAN."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import AdversarialAids


class DcganAids(AdversarialAids):
    """What DCGAN needs for steady samples within minutes; not in its paper or code."""
