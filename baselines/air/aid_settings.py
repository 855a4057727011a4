"""Settings of the aids for AIR."""

from __future__ import annotations

from baselines.blocks.annealing import Ramp
from denf.settings import AidSettings, Positive, Steps


class AirAids(AidSettings):
    """Additions with which AIR finds objects within minutes; not in its paper or code."""

    above_background: bool = False
    """The networks see the difference from the background instead of the image, and the loss has an
    additional likelihood of the image under the background alone."""
    quiet: Positive = 1.0
    """Factor on the initial weights of the glimpse decoder's last layer; see
    `baselines.blocks.convolutions.quieten`."""
    alpha_bias: float = 0.0
    """Added to the initial bias of alpha's logits: above 0, objects start less transparent."""
    std_bias: float = 0.0
    """Added to the initial bias of the raw standard deviations of both posteriors: below 0, latents
    carry information before the decoder has learned to ignore them."""
    object_weight: Ramp = Ramp(1.0, 1.0, first=0, last=0)
    """Weight of the divergences of z_where and z_what, by step."""
    training_wheels: Steps = 0
    """Number of first steps without REINFORCE: presence is trained by its prior alone, while
    glimpses and background learn."""
