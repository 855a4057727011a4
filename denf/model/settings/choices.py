"""The named choices among DeNF's settings: what the paper prints, and what trains."""

from __future__ import annotations

from enum import StrEnum


class WhatPrior(StrEnum):
    """Base density of z_what (section 3.1.3; second ablation of Table 3)."""

    BIMODAL = "bimodal"  # N(μ_fg, σ_fg) in present cells, N(μ_bg, σ_bg) in absent ones
    UNIMODAL = "unimodal"  # N(μ_fg, σ_fg), for present cells only


class AbsentDensity(StrEnum):
    """Density of z_scale and z_loc in absent cells, which Eq. 8 leaves out."""

    STANDARD = "standard"  # N(0, 1): without it the log-determinant rewards unbounded stretching
    NONE = "none"  # as printed


class BoxUnion(StrEnum):
    """How the boxes of Eq. 12 are united."""

    SMOOTH = "smooth"  # 1 − exp(−Σ): has a gradient where boxes overlap
    CLAMP = "clamp"  # min(1, Σ), as printed


class PresenceGradient(StrEnum):
    """The form in which presence enters the losses."""

    EXPECTED = "expected"  # σ(log α): Eq. 10's exact expectation for given x̂_fg and x̂_bg
    CONCRETE = "concrete"  # the relaxed sample of Eq. 14, as printed; high variance at λ ≤ 0.1


class CompatibilityGradient(StrEnum):
    """The latents that the compatibility loss (Eq. 12) trains."""

    BOXES = "boxes"  # sizes and displacements: presence is the target and keeps its outline
    BOTH = "both"  # presence as well, as printed: its map takes the shape of boxes


class OwnImage(StrEnum):
    """Where the image itself is a candidate for the minimum in its own background loss (Eq. 5)."""

    ABSENT = "absent"  # where no cell is present: reproducing its own objects has a cost
    ALWAYS = "always"  # as printed


class BackgroundGradient(StrEnum):
    """Which losses train x̂_bg."""

    BACKGROUND = "background"  # Eq. 5 alone: Eq. 10 would teach x̂_bg to reproduce objects
    BOTH = "both"  # Eqs. 5 and 10, as printed


class Fill(StrEnum):
    """From where z_bg is filled in the cells near present ones before x̂_bg is drawn."""

    NONE = "none"  # it is not: all of z_bg is decoded, as printed
    SURROUNDINGS = "surroundings"  # from the cells around: for plain backgrounds
    MEAN = "mean"  # from the mean of z_bg in that place, and what surrounds it: for one camera


class SqueezeKind(StrEnum):
    """What the squeeze before the background's split does to a block of 2×2 pixels."""

    HAAR = "haar"  # Haar wavelets (Liu et al., 2021): z_bg starts as the block's mean
    PIXELS = "pixels"  # a permutation (Dinh et al., 2016): z_bg starts as one red pixel of four


class Precision(StrEnum):
    """Arithmetic inside the coupling subnets; densities and log-determinants stay in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class SubnetKind(StrEnum):
    """How the coupling subnets are evaluated; all kinds compute the same function up to rounding.

    Where `triton` cannot run, the default of the device is used.
    """

    AUTO = "auto"  # the default of the device: see `denf.flow.subnet.chosen`
    CONVOLUTIONS = "convolutions"  # layer by layer: the reference
    PRODUCTS = "products"  # thin layers as matrix products
    PADDED = "padded"  # thin sides padded to 8 channels, layers of equal subnets together
    TRITON = "triton"  # fused kernels for a GPU
