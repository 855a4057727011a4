"""Settings of the flows and of their base densities (Tables 4 and 5)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

from denf.model.settings.choices import SqueezeKind, WhatPrior
from denf.settings import Count, NonNegative, Positive, Settings


class Architecture(Settings):
    """Table 4."""

    features: Annotated[int, Ge(2)] = 64
    """Channels of the coupling subnets (Liu et al., 2021); fewer for a CPU."""
    couplings: Count = 4
    """Coupling layers per block (Table 4)."""
    squeezes: Annotated[int, Ge(1), Le(2)] = 1
    """1: cells of 2×2 pixels, 64×64 cells at 128²; 2: 32×32 cells, first ablation of Table 3."""
    clamp: Positive = 1.0
    """Largest |log-scale| of one coupling layer; keeps the inverse stable."""
    squeeze: SqueezeKind = SqueezeKind.HAAR
    """The squeeze before the split of z_bg. `haar`: Haar wavelets (Liu et al., 2021) and the mean
    of the colours, so that z_bg starts as the mean of a block. `pixels`: a permutation (Dinh et
    al., 2016); z_bg starts as one red pixel of four, and backgrounds keep a grid of dots. Street
    scenes do better with `pixels`."""


class Priors(Settings):
    """Base densities; numbers are Table 5's unless a reason is given."""

    what: WhatPrior = WhatPrior.BIMODAL
    """Base density of z_what (section 3.1.3); `unimodal`: second ablation of Table 3."""
    scale_mean: Positive = 0.20
    """Mean object size, fraction of the image side (Table 5; traffic 0.25)."""
    scale_std: Positive = 0.1
    """Standard deviation of the object size (Table 5)."""
    loc_std: Positive = 0.2
    """Standard deviation of the displacement from a cell to its object's centre, image diagonals.
    Table 5 has 1.0, which lets boxes leave the image; 0.2 is the scale of objects."""
    what_foreground_mean: float = 1.0
    """Mean of z_what in present cells (Table 5)."""
    what_background_mean: float = 0.0
    """Mean of z_what in absent cells (Table 5)."""
    what_std: Positive = 0.1
    """Standard deviation of both modes of z_what (Table 5)."""
    presence: Annotated[float, Gt(0), Le(0.999)] = 0.1
    """Prior probability that a cell is present; the paper gives none."""
    noise: NonNegative = 0.2
    """σ_ε, standard deviation of the noise added to z_bg in Eq. 5 (Table 5)."""
