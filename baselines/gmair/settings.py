"""GMAIR's settings, as in EmoFuncs/GMAIR-pytorch for fruit, with the changes listed in `method`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from denf.settings import Count, MethodSettings, NonNegative, Positive, Steps


class GmairSettings(MethodSettings):
    """Settings of GMAIR."""

    size: Literal[16, 32, 64, 96, 128] = 128
    """Side of the images in pixels."""
    enlargements: Literal[1, 2, 3] = 2
    """Doublings of the grid after ResNet-18, whose cells have 32 pixels a side."""
    largest: Positive = 72.0
    """Side of the largest box in pixels."""
    what: Count = 256
    """Dimensions of z_what."""
    clusters: Annotated[int, Ge(2)] = 10
    """Clusters of the mixture prior."""
    width: Literal[16, 32, 64] = 64
    """Channels of ResNet-18's first stage and features per cell; all other widths, and the groups
    of the normalisations, are proportional."""
    background: Count = 32
    """Channels of the background's decoder."""
    temperature: Positive = 1.0
    """Temperature of the relaxed cluster."""
    presence_decay: Positive = 0.01
    """Rate per step at which the prior of presence falls from 1."""
    presence_floor: Annotated[float, Gt(0), Lt(1)] = 6e-6
    """Least prior of presence."""
    reconstruction: Positive = 8.0
    """Weight of the cross-entropy."""
    overlap: NonNegative = 2.0
    """Weight of the overlap term."""
    overlap_until: Steps = 5_000
    """Step from which the overlap term is off."""
    alpha_bias: float = 5.0
    """Added to the logits of alpha, so that objects are opaque at first."""
    rate: Positive = 1e-4
    """Adam's learning rate for backbone, heads, mixture prior and background."""
    glimpse_rate: Positive = 5e-5
    """Adam's learning rate for the glimpses' encoders and decoder."""

    @property
    def grid(self) -> int:
        """Cells per side."""
        return math.ceil(self.size / 32) * 2**self.enlargements
