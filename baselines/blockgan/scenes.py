"""The prior of BlockGAN: latents and poses of objects and background, elevation of the camera."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.blockgan.settings import BlockganSettings, Poses
from baselines.blocks.volume import pose_matrix


class Scenes(NamedTuple):
    """Latents and poses of B scenes with K objects.

    Args:
        objects: latents (B, K, object_latent).
        object_poses: (B, K, 4, 4).
        background: latents (B, background_latent).
        background_poses: (B, 4, 4).
    """

    objects: Tensor
    object_poses: Tensor
    background: Tensor
    background_poses: Tensor


def draw_scenes(
    settings: BlockganSettings, count: int, random: torch.Generator, device: torch.device
) -> Scenes:
    """Latents and poses of scenes, with one elevation per scene.

    Args:
        settings: number of objects, dimensions of latents, ranges of poses and elevation.
        count: B.
        random: source of all draws.
        device: of the result.
    """
    s = settings

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(shape, generator=random, device=device) - 1

    drawn = torch.rand(count, generator=random, device=device)
    elevation = s.elevation_low + (s.elevation_high - s.elevation_low) * drawn
    poses = draw_poses(s.object_poses, elevation.repeat_interleave(s.objects), random)
    return Scenes(
        objects=uniform(count, s.objects, s.object_latent),
        object_poses=poses.unflatten(0, (count, s.objects)),
        background=uniform(count, s.background_latent),
        background_poses=draw_poses(s.background_poses, elevation, random),
    )


def draw_poses(ranges: Poses, elevation: Tensor, random: torch.Generator) -> Tensor:
    """Matrices of poses, (B, 4, 4).

    Args:
        ranges: of azimuth, scale and shift.
        elevation: of the camera, (B,), degrees.
        random: source of all draws.
    """
    elevation = elevation * (math.pi / 180)

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(elevation.shape, generator=random, device=elevation.device)
        return low + (high - low) * drawn

    azimuth = uniform(ranges.azimuth_low, ranges.azimuth_high) * (math.pi / 180)
    scale = uniform(ranges.scale_low, ranges.scale_high)
    x, z = uniform(ranges.x_low, ranges.x_high), uniform(ranges.z_low, ranges.z_high)
    return pose_matrix(azimuth, elevation, scale, torch.stack([x, torch.zeros_like(x), z], 1))
