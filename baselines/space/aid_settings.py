"""Settings of the aids for SPACE."""

from __future__ import annotations

from baselines.blocks.annealing import Ramp
from denf.settings import AidSettings, Positive


class SpaceAids(AidSettings):
    """What SPACE needs to find objects within minutes; not in its paper or code."""

    separate: bool = False
    """While alpha is fixed, foreground and background explain the image each on its own. In the
    mixture the half that fits worse has next to no share of the gradient: the background learns
    first, glimpses never."""
    quiet: Positive = 1.0
    """Factor on the first weights of the glimpse decoder's last layer; see
    `baselines.blocks.convolutions.quieten`."""
    alpha_bias: float = 0.0
    """Added to the first bias of the logits of the glimpses' alpha: above 0, glimpses show their
    colours, which alpha multiplies, from the first step."""
    std_bias: float = 0.0
    """Added to the first bias of the raw deviations of all posteriors: below 0, latents say
    something before the decoder has learned to do without them."""
    what_weight: Ramp = Ramp(1.0, 1.0, first=0, last=0)
    """Weight of the divergence of z_what, by step: below 1 at first, the glimpses' latents are in
    use before they cost."""
    foreground_adam: bool = False
    """Adam for the foreground as well. RMSprop's first steps are tenfold, because its second moment
    starts at 0; at rates for a few hundred steps they leave z_what nothing to say."""
