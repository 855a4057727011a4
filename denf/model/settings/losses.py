"""Settings of the losses, of their schedule and of the background (Eqs. 4 to 14)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from denf.model.settings.choices import BackgroundGradient, Fill, OwnImage
from denf.settings import Fraction, NonNegative, Positive, Settings, Steps


class Weights(Settings):
    """Weights of the loss terms (Eq. 13 adds them with weight one, which does not train)."""

    density: NonNegative = 0.02
    """Per nat and image dimension, Eqs. 4 and 9. Small against `reconstruction`: the ratio
    0.02 : 50 equals an observation noise of about 2/255; a larger one lets the two modes of
    z_what, 10 σ apart, switch presence off altogether."""
    background: NonNegative = 150.0
    """Per squared error (channels summed, pixels averaged), Eq. 5. Three times the weight of
    Eq. 10, since x̂_bg learns from nothing else."""
    reconstruction: NonNegative = 50.0
    """Per squared error (channels summed, pixels averaged), Eq. 10."""
    presence: NonNegative = 1.25
    """Cost of the mean presence: above what the foreground flow gains on a background pixel and
    far below what it gains on an object pixel; at 0 presence collapses to all ones."""
    compatibility: NonNegative = 1.0
    """Weight of Eq. 12; 0 is the model without spatial transformer (section 4.3)."""
    box: NonNegative = 1.0
    """Weight of the box loss (section 3.1.4): 1 − GIoU of a cell's box against the box of its
    component, plus the mean absolute difference of their four edges over 0.1 image sides; see
    `denf.model.losses.box`. 0 leaves boxes to the union alone, as printed."""
    geometry: NonNegative = 0.05
    """Per nat of the size and displacement priors, averaged over present cells; at 0 a tiny box on
    every cell satisfies the union."""
    as_printed: bool = False
    """Sum the densities and the error of Eq. 10 over the image, as the paper prints them, in place
    of averaging."""


class Schedule(Settings):
    """What changes during training."""

    warmup_steps: Steps = 60
    """Steps in which the mixture's error (Eq. 10) sends no gradient into presence, while both flows
    learn to reconstruct; without it presence collapses to all ones."""
    presence_rise: Steps = 0
    """Steps after the warm-up in which the cost of presence rises linearly from zero. At full cost,
    all cells may be switched off before the network tells objects from background; without cost for
    too long, all may be switched on."""
    boxes_from: Steps = 150
    """First step of the box loss and of composites; earlier, components of presence are not yet
    objects."""
    temperature_start: Positive = 0.1
    """Initial λ of the concrete distribution of Eq. 14 (Table 5)."""
    temperature_end: Positive = 0.01
    """Final λ (Table 5)."""
    temperature_from: Fraction = 0.15
    """Fraction of training from which λ falls linearly (A.4: epoch 3 of 20)."""
    edge_start: Positive = 0.03
    """Initial softness τ of the box edges, fraction of the image side; soft edges give boxes a
    gradient at a distance."""
    edge_end: Positive = 0.01
    """Final softness τ, fraction of the image side."""
    learning_rate_rise: Steps = 0
    """Steps in which the learning rate rises linearly (the paper: none)."""
    learning_rate_end: Fraction = 1.0
    """Final fraction of the learning rate, reached along a cosine (the paper: constant)."""


class Background(Settings):
    """How x̂_bg is kept free of objects (Eq. 5)."""

    gradient: BackgroundGradient = BackgroundGradient.BACKGROUND
    """Which losses train x̂_bg: Eq. 5 alone, or Eqs. 5 and 10, as printed, where Eq. 10 teaches x̂_bg
    to reproduce objects."""
    own_image: OwnImage = OwnImage.ABSENT
    """Where the image itself is a candidate for the minimum in its own background loss: where no
    cell is present, or everywhere, as printed, so that reproducing its own objects costs nothing.
    With `absent`, nowhere during warm-up."""
    margin: Fraction = 0.03
    """Margin around present cells that the background loss counts as present, fraction of the image
    side."""
    threshold: Fraction = 0.1
    """Presence above which a cell counts as present in the background loss."""
    emphasis: Positive = 4.0
    """Weight of the pixels where an image is not a candidate for its own background, after warm-up;
    1 as printed. Errors there are copies of objects. Without effect with `own_image: always`."""
    fill: Fill = Fill.SURROUNDINGS
    """After training, x̂_bg is decoded from z_bg without the cells near present ones, so that what
    z_bg still shows of an object there is not drawn. They are filled from the other cells, or from
    the mean of z_bg over the last training images, plus its difference to z_bg in the other cells;
    the mean also has what objects hide, as the marks of a street. `none` as printed."""
    matched_light: bool = False
    """Before the minimum, multiply each channel of every other image by the ratio of the medians,
    so that differences in brightness do not count; for scenes under changing light of which objects
    cover less than half."""
    repeated_in: Annotated[int, Ge(0)] = 0
    """In Eq. 10, the error of a background pixel counts at most as much as its distance to the same
    pixel of other images: the one that is nearest, for 1, or the second nearest, for 2, and so on.
    What several images show in one place is background, even where x̂_bg does not reproduce it, as
    for kerbs in bright frames. 0: x̂_bg alone, as printed. Only with `presence_gradient: expected`.
    """
