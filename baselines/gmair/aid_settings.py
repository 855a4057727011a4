"""Settings of the aids for GMAIR."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le

from baselines.blocks.annealing import Ramp
from denf.settings import AidSettings, Positive, Steps


class GmairAids(AidSettings):
    """Additions with which GMAIR finds objects within minutes; not in its paper or code."""

    above_background: bool = False
    """The networks see the difference from the background instead of the image, and the loss has an
    additional cross-entropy of the image under the background alone."""
    quiet: Positive = 1.0
    """Factor on the initial weights of the glimpse decoder's last layer; see
    `baselines.blocks.convolutions.quieten`."""
    std_bias: float = 0.0
    """Added to the initial bias of the raw standard deviations of all posteriors: below 0, latents
    carry information before the decoder has learned to ignore them."""
    what_weight: Ramp = Ramp(1.0, 1.0, first=0, last=0)
    """Weight of the divergences of z_what and cluster, by step."""
    training_wheels: Steps = 0
    """Number of first steps in which presence is trained by its prior alone, while glimpses and
    background learn: it gets no gradient from the image or from the divergences it weights."""
    presence_hold: Steps = 0
    """Steps before the prior of presence begins to fall."""
    presence_ceiling: Annotated[float, Gt(0), Le(1)] = 1.0
    """Initial prior of presence. Near 1 presence saturates, and falls late."""
