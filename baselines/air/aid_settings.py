"""Settings of the aids for AIR."""

from __future__ import annotations

from baselines.blocks.annealing import Ramp
from denf.settings import AidSettings, Positive, Steps


class AirAids(AidSettings):
    """What AIR needs to find objects within minutes; not in its paper or code."""

    above_background: bool = False
    """The networks see what stands out from the background, as objects on black do, and the
    background explains the whole image on its own as well."""
    quiet: Positive = 1.0
    """Factor on the first weights of the glimpse decoder's last layer; see
    `baselines.blocks.convolutions.quieten`."""
    alpha_bias: float = 0.0
    """Added to the first bias of alpha's logits: above 0, objects are less faint at first."""
    std_bias: float = 0.0
    """Added to the first bias of the raw deviations of both posteriors: below 0, latents say
    something before the decoder has learned to do without them."""
    object_weight: Ramp = Ramp(1.0, 1.0, first=0, last=0)
    """Weight of the divergences of where and what, by step."""
    training_wheels: Steps = 0
    """Steps at first without REINFORCE: presence follows its prior alone, while glimpses and
    background learn."""
