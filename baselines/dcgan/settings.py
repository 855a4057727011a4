"""DCGAN's settings, as in pytorch/examples, `dcgan`, with the changes listed in `method`."""

from __future__ import annotations

from baselines.blocks.adversarial_settings import AdversarialSettings
from denf.settings import Count


class DcganSettings(AdversarialSettings):
    """Settings of DCGAN; `size` is 16, 32, 64, 128 and so on (published: 64)."""

    latent: Count = 100
    """Dimensions of z ~ N(0, 1)."""
    width: Count = 64
    """Channels of both networks next to the image; every further stage doubles them."""
