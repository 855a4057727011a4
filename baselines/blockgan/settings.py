"""BlockGAN's settings, as in thunguyenphuoc/BlockGAN, `config_real`."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from baselines.blocks.adversarial_settings import AdversarialSettings, Updates
from denf.settings import Count, NonNegative, Positive, Settings


class Poses(Settings):
    """Uniform ranges of poses, without the camera's elevation; defaults as for objects."""

    azimuth_low: float = 0.0
    """Smallest angle about the vertical axis in degrees."""
    azimuth_high: float = 359.0
    """Largest angle about the vertical axis in degrees."""
    scale_low: Positive = 0.5
    """Smallest factor on the volume's size."""
    scale_high: Positive = 0.8
    """Largest factor on the volume's size."""
    x_low: float = -3.0
    """Smallest horizontal shift, in voxels; a volume has 16 along each axis."""
    x_high: float = 4.0
    """Largest horizontal shift, in voxels."""
    z_low: float = -5.0
    """Smallest shift away from the camera, in voxels."""
    z_high: float = 6.0
    """Largest shift away from the camera, in voxels."""


class BlockganSettings(AdversarialSettings):
    """Settings of BlockGAN."""

    learning_rate: Positive = 5e-5
    """Adam's learning rate for both players."""
    updates: Updates = Updates(generator=2)
    """Updates of each player per training step."""
    objects: Count = 1
    """Number of objects in every scene."""
    object_latent: Count = 200
    """Dimensions of an object's z ~ U(-1, 1)."""
    background_latent: Count = 100
    """Dimensions of the background's z ~ U(-1, 1)."""
    width: Annotated[int, Ge(2)] = 64
    """Channels of the volumes, and of the first layer of the discriminator."""
    style: NonNegative = 1.0
    """Weight of the style heads in the discriminator's loss."""
    elevation_low: float = 0.0
    """Smallest elevation of the camera above the scene in degrees. Each scene has one elevation,
    which its objects and background share."""
    elevation_high: float = 35.0
    """Largest elevation of the camera in degrees. The larger the elevation, the higher in the image
    is the far side (90 minus the source's 90 to 125, whose y points up)."""
    object_poses: Poses = Poses()
    """Ranges of the objects' poses."""
    background_poses: Poses = Poses(scale_low=1.0, scale_high=1.0, z_low=0.0, z_high=0.0)
    """Ranges of the background's poses."""
