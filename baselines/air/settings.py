"""AIR's settings, as in addtt/attend-infer-repeat-pytorch, with the changes listed in `method`."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from baselines.blocks.annealing import Ramp
from denf.settings import Count, MethodSettings, Positive


class AirSettings(MethodSettings):
    """Settings of AIR."""

    steps: Count = 6
    """Largest number of objects (published: 3)."""
    glimpse: Annotated[int, Ge(2)] = 28
    """Side of the glimpses in pixels."""
    overview: Count = 32
    """Side in pixels of the downscaled image that the recurrent networks see (published: 50, grey
    images)."""
    what: Count = 50
    """Dimensions of z_what."""
    hidden: Count = 256
    """Units of each LSTM."""
    head: Count = 200
    """Units of the hidden layer of all perceptrons."""
    presence_prior: Ramp = Ramp(0.01, 0.01, first=0, last=0)
    """Prior probability of one more object, by step (published: 0.01 throughout; in
    akosiorek/attend_infer_repeat it falls from 1)."""
    scale_prior_mean: Annotated[float, Ge(1)] = 4.0
    """Mean of the prior of z_where's scale, image side over box side (published: 3)."""
    scale_prior_std: Positive = 1.0
    """Standard deviation of the prior of the scale (published: 0.2)."""
    shift_prior_std: Positive = 2.0
    """Standard deviation of the prior of z_where's shift, the distance of the box's centre from the
    image's centre in half box sides (published: 1)."""
    std: Positive = 0.3
    """Standard deviation of the pixels around the canvas; the image range is 1."""
    background: Count = 32
    """Channels of the background's decoder."""
    rate: Positive = 1e-4
    """Adam's learning rate."""
    baseline_rate: Positive = 0.1
    """Adam's learning rate for the baseline."""
