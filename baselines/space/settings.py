"""SPACE's settings, as in addtt/object-centric-library for CLEVR; see `method`."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt, Lt

from baselines.blocks.annealing import Ramp
from denf.settings import Count, MethodSettings, Positive, Steps


class SpaceSettings(MethodSettings):
    """Settings of SPACE."""

    size: Literal[16, 32, 64, 128] = 128
    """Side of the images in pixels."""
    grid: Count = 8
    """G, cells per side: `size` // 8, // 16 or // 32."""
    what: Count = 32
    """Dimensions of z_what."""
    components: Count = 1
    """K, components of the background (authors: 5; see `baselines.space.method` for the reason)."""
    glimpse: Literal[16, 32] = 32
    """Side of the glimpses in pixels."""
    width: Literal[4, 8, 16] = 16
    """Channels of the first convolution; the channels of all others, and the groups of their
    normalisation, are proportional."""
    foreground_std: Positive = 0.05
    """σ_fg, standard deviation of the pixels around the foreground; the image range is 1."""
    background_std: Positive = 0.05
    """σ_bg, standard deviation of the pixels around each component of the background."""
    presence_prior: Ramp = Ramp(0.1, 0.01, first=4_000, last=10_000)
    """Prior probability that a cell has an object, by step."""
    scale_prior: Ramp = Ramp(0.0, -1.0, first=10_000, last=20_000)
    """Prior mean of z_scale, whose sigmoid is the object's size in image sides, by step."""
    scale_prior_std: Positive = 0.1
    """Prior standard deviation of z_scale."""
    temperature: Ramp = Ramp(2.5, 0.5, first=0, last=20_000)
    """Temperature of the relaxed presence, by step."""
    boundary_until: Steps = 20_000
    """Step from which the boundary loss is off."""
    fixed_alpha: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Weight α of the foreground in every pixel's likelihood before `fixed_alpha_until`. It gives
    objects a gradient from the first step; otherwise the background, which learns faster, explains
    them."""
    fixed_alpha_until: Steps = 0
    """Step from which the likelihood uses the inferred α (for the authors' Atari games: 4,000)."""
    foreground_rate: Positive = 1e-4
    """RMSprop's learning rate for the foreground."""
    background_rate: Positive = 1e-3
    """Adam's learning rate for the background."""
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient."""
