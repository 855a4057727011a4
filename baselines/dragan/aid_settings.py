"""Settings of the aids for DRAGAN."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import AdversarialAids


class DraganAids(AdversarialAids):
    """The addition that stabilises DRAGAN's samples within minutes; not in its paper or code."""
