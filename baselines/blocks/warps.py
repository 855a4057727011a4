"""Projective maps of images, by bilinear sampling with zeros outside.

Coordinates are in [−1, 1] from border to border; a map takes a point of the result to a point of
the source. Jaderberg et al., "Spatial transformer networks", NeurIPS 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def project(pictures: Tensor, matrix: Tensor) -> Tensor:
    """Homography: the result at (x, y) is the source at (u / w, v / w), (u, v, w) = M (x, y, 1).

    Args:
        pictures: (N, C, h, w).
        matrix: M, (N, 3, 3).
    """
    identity = torch.eye(2, 3, device=matrix.device, dtype=matrix.dtype).expand(len(matrix), -1, -1)
    points = affine_grid(identity, list(pictures.shape), align_corners=False)  # (N, h, w, 2)
    mapped = torch.cat((points, torch.ones_like(points[..., :1])), -1) @ matrix[:, None].mT
    w = mapped[..., 2:]
    w = torch.where(w.abs() < 1e-6, torch.full_like(w, 1e-6), w)  # points at infinity
    return grid_sample(pictures, mapped[..., :2] / w, align_corners=False)
