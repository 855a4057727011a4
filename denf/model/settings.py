"""DeNF's settings: what the paper fixes as defaults, what it leaves open as named choices.

Free of torch, so that configurations are checked in milliseconds. Where the paper's value does
not train, the default is the value that does; `config/experiments/denf-literal.yaml` keeps the
printed equations, so that the tables show the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
_STRICT = ConfigDict(extra="forbid")


class WhatPrior(StrEnum):
    """Base density of z_what (section 3.1.3; second ablation of Table 3)."""

    BIMODAL = "bimodal"  # N(μ_fg, σ_fg) in present cells, N(μ_bg, σ_bg) in absent ones
    UNIMODAL = "unimodal"  # N(μ_fg, σ_fg), for present cells only


class AbsentDensity(StrEnum):
    """Density of z_scale and z_loc in absent cells, which Eq. 8 leaves out."""

    STANDARD = "standard"  # N(0, 1): without it the log-determinant rewards stretching forever
    NONE = "none"  # as printed


class BoxUnion(StrEnum):
    """How the boxes of Eq. 12 are united."""

    SMOOTH = "smooth"  # 1 − exp(−Σ): has a gradient where boxes overlap
    CLAMP = "clamp"  # min(1, Σ), as printed


class PresenceGradient(StrEnum):
    """How the losses see presence."""

    EXPECTED = "expected"  # σ(log α): the exact expectation of every term linear in z_pres
    CONCRETE = "concrete"  # the relaxed sample of Eq. 14, as printed; high variance at λ ≤ 0.1


class CompatibilityGradient(StrEnum):
    """What the compatibility loss (Eq. 12) may move."""

    BOXES = "boxes"  # sizes and displacements: presence is the target and keeps its outline
    BOTH = "both"  # presence as well, as printed: its map takes the shape of boxes


class OwnImage(StrEnum):
    """Where the image itself is a candidate of the minimum in its own background loss (Eq. 5)."""

    ABSENT = "absent"  # where no cell is present: painting one's own object is not free
    ALWAYS = "always"  # as printed


class BackgroundGradient(StrEnum):
    """Which losses train x̂_bg."""

    BACKGROUND = "background"  # Eq. 5 alone: Eq. 10 would teach it to paint objects
    BOTH = "both"  # Eqs. 5 and 10, as printed


class SqueezeKind(StrEnum):
    """What the squeeze before the background's split does to a block of 2×2 pixels."""

    HAAR = "haar"  # Haar wavelets (Liu et al., 2021): z_bg starts as the block's mean
    PIXELS = "pixels"  # a permutation (Dinh et al., 2016): z_bg starts as one red pixel of four


class SubnetKind(StrEnum):
    """How the coupling subnets are evaluated; one function each, to rounding.

    Where a kind cannot run, or not in the given precision, the default of the device stands in.
    """

    AUTO = "auto"  # the default of the device: see `denf.flow.subnet.chosen`
    CONVOLUTIONS = "convolutions"  # layer by layer: the reference
    PRODUCTS = "products"  # thin layers as matrix products
    PADDED = "padded"  # thin sides padded to 8 channels, layers of equal subnets together
    TRITON = "triton"  # fused kernels for a GPU


@dataclass(frozen=True)
class Architecture:
    """Table 4.

    Args:
        features: width of the coupling subnets (Liu et al., 2021: 64).
        couplings: coupling layers a block.
        squeezes: 1 for cells of 2×2 pixels (64×64 cells at 128²), 2 for the ablation's 32×32.
        clamp: largest |log-scale| of one coupling.
        squeeze: how the first squeeze mixes its channels.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    features: Annotated[int, Ge(2)] = 64
    couplings: Annotated[int, Ge(1)] = 4
    squeezes: Annotated[int, Ge(1), Le(2)] = 1
    clamp: Positive = 1.0
    squeeze: SqueezeKind = SqueezeKind.HAAR


@dataclass(frozen=True)
class Priors:
    """Base densities; numbers are Table 5's unless a reason is given.

    Args:
        what: bimodal or unimodal z_what.
        scale_mean: mean object size, fraction of the image side (traffic: 0.25).
        scale_std: its standard deviation.
        loc_std: standard deviation of the displacement to the object's centre, image diagonals.
            Table 5 has 1.0, which lets boxes leave the image; 0.2 is the scale of objects.
        what_foreground_mean, what_background_mean, what_std: the two modes of z_what.
        presence: prior probability that a cell is present (the paper gives none).
        noise: σ_ε, standard deviation of the noise added to z_bg in Eq. 5.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    what: WhatPrior = WhatPrior.BIMODAL
    scale_mean: Positive = 0.20
    scale_std: Positive = 0.1
    loc_std: Positive = 0.2
    what_foreground_mean: float = 1.0
    what_background_mean: float = 0.0
    what_std: Positive = 0.1
    presence: Annotated[float, Gt(0), Le(0.999)] = 0.1
    noise: NonNegative = 0.2


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms (Eq. 13 adds them with weight one, which does not train).

    Args:
        density: per nat and image dimension, Eqs. 4 and 9. Small against `reconstruction`: the
            ratio 0.02 : 50 equals an observation noise of about 2/255; a larger one lets the two
            modes of z_what, 10 σ apart, switch presence off altogether.
        background: per squared error (channels summed, pixels averaged), Eq. 5.
        reconstruction: per squared error (channels summed, pixels averaged), Eq. 10.
        presence: cost of the mean presence; above what the foreground flow gains on a background
            pixel and far below what it gains on an object pixel.
        compatibility: Eq. 12.
        box: of a cell's box against the box of its component (section 3.1.4), see
            `denf.model.losses.box`; 0 leaves boxes to the union alone, as printed.
        geometry: per nat of the size and displacement priors averaged over present cells; without
            it a tiny box on every cell satisfies the union.
        as_printed: sum the densities and the error of Eq. 10 over the image, as the paper prints
            them, in place of averaging.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    density: NonNegative = 0.02
    background: NonNegative = 150.0
    reconstruction: NonNegative = 50.0
    presence: NonNegative = 1.25
    compatibility: NonNegative = 1.0
    box: NonNegative = 1.0
    geometry: NonNegative = 0.05
    as_printed: bool = False


@dataclass(frozen=True)
class Schedule:
    """What changes during training.

    Args:
        warmup_steps: steps in which the mixture's error (Eq. 10) sends no gradient into presence,
            while both flows learn to reconstruct; without it presence collapses to all ones.
        boxes_from: first step of the box loss and of composites; before, components of presence
            are not objects yet.
        temperature_start, temperature_end: λ of the concrete distribution (Table 5).
        temperature_from: fraction of training from which λ falls linearly (A.4: epoch 3 of 20).
        edge_start, edge_end: softness τ of the box edges, fractions of the image side; soft edges
            give boxes a gradient from afar.
        learning_rate_rise: steps in which the learning rate rises linearly (the paper: none).
        learning_rate_end: fraction of the learning rate at the end of a cosine (the paper: 1).
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    warmup_steps: Annotated[int, Ge(0)] = 60
    boxes_from: Annotated[int, Ge(0)] = 150
    temperature_start: Positive = 0.1
    temperature_end: Positive = 0.01
    temperature_from: Fraction = 0.15
    edge_start: Positive = 0.03
    edge_end: Positive = 0.01
    learning_rate_rise: Annotated[int, Ge(0)] = 0
    learning_rate_end: Fraction = 1.0


@dataclass(frozen=True)
class Background:
    """How x̂_bg is kept free of objects (Eq. 5).

    Args:
        gradient: which losses train it.
        own_image: where the image itself may explain its background. Not at all in the warm-up.
        margin: around present cells, a fraction of the side, that counts as present here.
        threshold: presence above which a cell counts as present here.
        matched_light: multiply every other image, per channel, by the ratio of the medians before
            the minimum, so that it says what stands there and not how bright it is; for scenes
            under changing light that are covered by objects to less than half.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    gradient: BackgroundGradient = BackgroundGradient.BACKGROUND
    own_image: OwnImage = OwnImage.ABSENT
    margin: Fraction = 0.03
    threshold: Fraction = 0.1
    matched_light: bool = False


@dataclass(frozen=True)
class Components:
    """When a connected component of the presence map passes for one object.

    Args:
        least_cells: fewer are no object.
        least_area: a smaller fraction of all cells is no object.
        longest_side: of its box, a fraction of the image side: mean and two standard deviations of
            the size prior.
        solidity: cells of the component per cell of its convex hull, a polygon of 16 sides.
        erosion: how far components that are not whole are eroded to break them apart, a fraction
            of the image side; 0 for not at all. On CLEVR scenes at 64 × 64 cells the components of
            the true foreground give 59 % of the objects a box, with erosion 78 %.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    least_cells: Annotated[int, Ge(1)] = 4
    least_area: Fraction = 0.002
    longest_side: Positive = 0.4
    solidity: Fraction = 0.86
    erosion: Fraction = 0.06


@dataclass(frozen=True)
class Composites:
    """Training images with components of other images of the batch laid over them.

    Args:
        probability: that an image becomes a composite; 0 for none.
        most: components laid over one image, 1 to this many.
        beside: probability that one is laid beside or over a component of the image, and not
            anywhere.
        nearest, farthest: distance of the two centres, in summed half sizes: below 1 they touch.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    probability: Fraction = 0.0
    most: Annotated[int, Ge(1)] = 2
    beside: Fraction = 0.85
    nearest: NonNegative = 0.5
    farthest: NonNegative = 1.15


@dataclass(frozen=True)
class Appearance:
    """Grouping of cells by boxes and colour together; goes beyond the paper.

    Args:
        weight: of a difference of colours against 1 − IoU of the boxes.
        distance: mean distance from which two clusters are two objects.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    weight: NonNegative = 0.7
    distance: Positive = 0.9


@dataclass(frozen=True)
class Instances:
    """From present cells to instances (section 3.1.5).

    Args:
        overlap: IoU above which non-maximum suppression drops a proposal for a better one.
        merge: IoU above which two boxes, each the mean of its cells' proposals, are one object's.
        support: a box needs the votes of at least this fraction of the image's cells.
        appearance: clusters of boxes and colours in place of non-maximum suppression.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    overlap: Fraction = 0.5
    merge: Fraction = 0.3
    support: Fraction = 0.001
    appearance: Appearance | None = None


@dataclass(frozen=True)
class DenfSettings:
    """All settings of DeNF.

    Args:
        absent: density of z_scale and z_loc in absent cells.
        union: how boxes are united in Eq. 12.
        agreement: fraction of the cells present around a cell whose boxes must cover it to fill it
            in the union, at least one box; 0 is the printed union. With one box enough, a box
            inside an object gains nothing by growing to its outline, and small boxes tile it.
        compatibility_gradient: what the compatibility loss may move.
        presence_gradient: expectation or relaxed sample.
        learning_rate: Adam's (A.4: 1e-4).
        gradient_clip: largest gradient norm (A.4: 1.0).
        mirror: augment by mirroring left and right.
        subnets: how the coupling subnets are evaluated.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    architecture: Architecture = field(default_factory=Architecture)
    priors: Priors = field(default_factory=Priors)
    weights: Weights = field(default_factory=Weights)
    schedule: Schedule = field(default_factory=Schedule)
    background: Background = field(default_factory=Background)
    components: Components = field(default_factory=Components)
    composites: Composites = field(default_factory=Composites)
    instances: Instances = field(default_factory=Instances)
    absent: AbsentDensity = AbsentDensity.STANDARD
    union: BoxUnion = BoxUnion.SMOOTH
    agreement: Fraction = 0.33
    compatibility_gradient: CompatibilityGradient = CompatibilityGradient.BOXES
    presence_gradient: PresenceGradient = PresenceGradient.EXPECTED
    learning_rate: Positive = 1e-4
    gradient_clip: Positive = 1.0
    mirror: bool = False
    subnets: SubnetKind = SubnetKind.AUTO
