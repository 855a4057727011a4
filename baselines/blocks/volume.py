"""Volumes of features: rigid motion, scale, and the perspective of a camera, by resampling.

Nguyen-Phuoc et al., BlockGAN: learning 3d object-aware scene representations from unlabelled
images, NeurIPS 2020. Lengths are in voxels and the origin is the centre of the volume. As in an
image, x points to the right and y down; z points away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the z axis that sees from 3/4 to 5/4 of its distance.

    Args:
        focal: focal length, in the unit of `sensor`.
        sensor: width of the sensor.
        distance: of the camera from the origin, in voxels.
    """

    focal: float = 35.0
    sensor: float = 32.0
    distance: float = 11.0


def pose_matrix(azimuth: Tensor, elevation: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Volume to world: p ↦ shift + scale · R_x(elevation) · R_y(azimuth) · p.

    Args:
        azimuth: angle about the vertical axis, radians, (B,).
        elevation: angle about the horizontal axis, applied second, radians, (B,). A positive angle
            raises far points (z > 0), because y points down.
        scale: (B,).
        shift: (B, 3), in voxels.

    Returns:
        (B, 4, 4).
    """
    zero, one = torch.zeros_like(azimuth), torch.ones_like(azimuth)
    (ca, sa), (ce, se) = ((t.cos(), t.sin()) for t in (azimuth, elevation))
    turn_y = torch.stack([ca, zero, -sa, zero, one, zero, sa, zero, ca], 1).view(-1, 3, 3)
    turn_x = torch.stack([one, zero, zero, zero, ce, -se, zero, se, ce], 1).view(-1, 3, 3)
    linear = scale[:, None, None] * (turn_x @ turn_y)
    upper = torch.cat((linear, shift[..., None]), 2)
    last = torch.stack([zero, zero, zero, one], 1)[:, None]
    return torch.cat((upper, last), 1)


def perspective_matrix(camera: Camera) -> Tensor:
    """View to world: the cube [-1, 1]³ to the camera's frustum, in voxels.

    At a distance Z from the camera the image is Z · sensor / focal wide. 1/Z is linear in the third
    coordinate of the cube, so that the map is a homography and straight lines stay straight:
    (x, y, z, 1) ∝ (k·u, k·v, 1 - distance/Z, 1/Z), k = sensor / (2 focal).

    Returns:
        (4, 4).
    """
    near, far = 0.75 * camera.distance, 1.25 * camera.distance
    k = camera.sensor / (2 * camera.focal)
    middle, slope = (1 / near + 1 / far) / 2, (1 / far - 1 / near) / 2  # 1/Z = middle + slope·w
    d = camera.distance
    return torch.tensor(
        [[k, 0, 0, 0], [0, k, 0, 0], [0, 0, -d * slope, 1 - d * middle], [0, 0, slope, middle]]
    )


def resample(volume: Tensor, pose: Tensor, view: Tensor) -> Tensor:
    """The posed volume in the coordinates of a view: trilinear, zero outside the volume.

    Args:
        volume: (B, C, D, H, W) with D = H = W.
        pose: volume to world, (B, 4, 4).
        view: the cube [-1, 1]³ to world, (4, 4) or (B, 4, 4), such as `perspective_matrix`.

    Returns:
        (B, C, D, H, W).
    """
    B, _, side = volume.shape[:3]
    half = (side - 1) / 2  # voxels from the centre of the volume to that of an outermost voxel
    axis = torch.linspace(-1, 1, side, device=volume.device)
    w, v, u = torch.meshgrid(axis, axis, axis, indexing="ij")
    cube = torch.stack([u, v, w, torch.ones_like(u)], 3).view(1, -1, 4)
    back = torch.linalg.inv_ex(pose).inverse @ view  # the cube to the volume's own coordinates
    points = cube @ back.transpose(1, 2)
    grid = points[..., :3] / (points[..., 3:] * half)
    return F.grid_sample(volume, grid.view(B, side, side, side, 3), align_corners=True)
