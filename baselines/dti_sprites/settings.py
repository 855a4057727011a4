"""DTI-Sprites' settings; of monniert/dti-sprites, configs/clevr6.yml."""

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
    """Standard deviation in pixels of the Gaussian that a sprite's mask starts as."""
    width: Count = 64
    """Channels of the ResNet-18's first stage; 64 is torchvision's."""
    hidden: Count = 128
    """Width of the heads' two hidden layers."""
    passes: Count = 3
    """Passes of the greedy choice over all layers."""
    empty_sprite: bool = True
    """A layer may show nothing."""
    empty_margin: NonNegative = 1e-4
    """Added to the error of a sprite when it is compared with the empty sprite."""
    mask_noise: NonNegative = 0.4
    """Half-width of the uniform noise on masks in training."""
    frozen_until: Fraction = 40 / 450
    """Share of the training in which sprites stay as they are and none is empty."""
    projective_from: Fraction = 150 / 450
    """Share of the training after which sprites are bent as well as moved."""
    decay_at: tuple[Fraction, ...] = (250 / 450, 400 / 450)
    """Shares of the training at which the learning rate of heads and encoder falls."""
    decay: Annotated[float, Gt(0), Le(1)] = 0.1
    """Factor by which it falls."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate."""
    weight_decay: NonNegative = 1e-6
    """Weight decay of heads and encoder."""
    restart_every: Count = 250
    """Steps between checks for sprites that are hardly used."""
    restart_share: NonNegative = 0.2
    """A sprite that one random layer uses less than this over K, relative to the sprite it uses
    most, starts anew as a copy of that one."""
