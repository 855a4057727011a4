"""Settings of the aids for GMAIR."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le

from baselines.blocks.annealing import Ramp
from denf.settings import AidSettings, Positive, Steps


class GmairAids(AidSettings):
    """What GMAIR needs to find objects within minutes; not in its paper or code."""

    above_background: bool = False
    """The networks see what stands out from the background, as objects on black do, and the
    background explains the whole image on its own as well."""
    quiet: Positive = 1.0
    """Factor on the first weights of the glimpse decoder's last layer; see
    `baselines.blocks.convolutions.quieten`."""
    std_bias: float = 0.0
    """Added to the first bias of the raw deviations of all posteriors: below 0, latents say
    something before the decoder has learned to do without them."""
    what_weight: Ramp = Ramp(1.0, 1.0, first=0, last=0)
    """Weight of the divergences of z_what and cluster, by step."""
    training_wheels: Steps = 0
    """Steps at first in which presence follows its prior alone, while glimpses and background
    learn: neither the image nor the divergences that presence weighs send a gradient into it."""
    presence_hold: Steps = 0
    """Steps before the prior of presence begins to fall."""
    presence_ceiling: Annotated[float, Gt(0), Le(1)] = 1.0
    """Where the prior of presence starts. Near 1 presence saturates, and comes down late."""
