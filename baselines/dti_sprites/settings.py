"""DTI-Sprites' settings, as in monniert/dti-sprites, configs/clevr6.yml."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

from denf.settings import Count, Fraction, MethodSettings, NonNegative, Positive


class DtiSpritesSettings(MethodSettings):
    """Settings of DTI-Sprites."""

    size: Annotated[int, Ge(8)] = 128
    """Side of the images in pixels."""
    layers: Annotated[int, Ge(2)] = 6
    """L, the largest number of objects."""
    sprites: Count = 6
    """K, the number of sprites."""
    sprite_size: Annotated[int, Ge(2)] = 40
    """Side of a sprite in pixels."""
    mask_std: Positive = 10.0
    """Standard deviation in pixels of the Gaussian that is a sprite's initial mask."""
    width: Count = 64
    """Channels of the ResNet-18's first stage; 64 in torchvision."""
    hidden: Count = 128
    """Width of the heads' two hidden layers."""
    passes: Count = 3
    """Passes of the greedy choice over all layers."""
    empty_sprite: bool = True
    """A layer may be empty."""
    empty_margin: NonNegative = 1e-4
    """Added to the error of a sprite when it is compared with the empty sprite."""
    mask_noise: NonNegative = 0.4
    """Half-width of the uniform noise on masks in training."""
    frozen_until: Fraction = 40 / 450
    """Fraction of the training up to which sprites are fixed and no layer is empty."""
    projective_from: Fraction = 150 / 450
    """Fraction of the training after which sprites are also transformed by homographies."""
    decay_at: tuple[Fraction, ...] = (250 / 450, 400 / 450)
    """Fractions of the training at which the learning rate of heads and encoder falls."""
    decay: Annotated[float, Gt(0), Le(1)] = 0.1
    """Factor on the learning rate at each of these points."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate."""
    weight_decay: NonNegative = 1e-6
    """Weight decay of heads and encoder."""
    restart_every: Count = 250
    """Steps between checks for sprites that are rarely used."""
    restart_share: NonNegative = 0.2
    """A sprite restarts as a copy of the most used sprite if its usage in a random layer is below
    restart_share / K of that sprite's."""
