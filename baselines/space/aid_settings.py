"""Settings of the aids for SPACE."""

from __future__ import annotations

from baselines.blocks.annealing import Ramp
from denf.settings import AidSettings, Positive


class SpaceAids(AidSettings):
    """Additions with which SPACE finds objects within minutes; not in its paper or code."""

    separate: bool = False
    """While alpha is fixed, foreground and background have separate likelihoods of the image. In
    their mixture, the half that fits worse gets almost no gradient: the background learns first,
    and glimpses do not learn at all."""
    quiet: Positive = 1.0
    """Factor on the initial weights of the glimpse decoder's last layer; see
    `baselines.blocks.convolutions.quieten`."""
    alpha_bias: float = 0.0
    """Added to the initial bias of the logits of the glimpses' alpha: above 0, the colours of
    glimpses, which alpha multiplies, are visible from the first step."""
    std_bias: float = 0.0
    """Added to the initial bias of the raw standard deviations of all posteriors: below 0, latents
    carry information before the decoder has learned to ignore them."""
    what_weight: Ramp = Ramp(1.0, 1.0, first=0, last=0)
    """Weight of the divergence of z_what, by step. If it is below 1 at first, the decoder uses
    z_what before the divergence suppresses it."""
    foreground_adam: bool = False
    """Adam for the foreground too. The first steps of RMSprop are ten times as large, because its
    second moment starts at 0; with learning rates for a few hundred steps, z_what collapses."""
