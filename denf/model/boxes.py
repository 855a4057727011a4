"""Boxes of cells and their union: the inverse spatial transformer of Eq. 12, without a sampler."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from denf.model.latents import Latents
from denf.model.settings import BoxUnion

_SIZE_SHARPNESS = 20.0  # below 1/20 of the image side the softplus bends towards zero


def cell_centres(h: int, w: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Centres of the cells as fractions of the image sides: rows (h,), columns (w,)."""
    rows = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) / h
    columns = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) / w
    return rows, columns


def cell_boxes(latents: Latents) -> tuple[Tensor, Tensor]:
    """The box that each cell proposes for its object.

    centre = cell + √2·z_loc (one unit of z_loc is the diagonal of a square image);
    size = softplus(z_scale), smooth and positive where a clamp would have no gradient.

    Returns:
        centres and sizes, each (B, h·w, 2), rows then columns, fractions of the image side.
    """
    h, w = latents.loc.shape[2:]
    rows, columns = cell_centres(h, w, latents.loc)
    cells = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))  # (2, h, w)
    centres = cells + math.sqrt(2) * latents.loc
    sizes = functional.softplus(latents.scale, beta=_SIZE_SHARPNESS)
    return centres.flatten(2).transpose(1, 2), sizes.flatten(2).transpose(1, 2)


def box_union(
    p: Tensor,
    centres: Tensor,
    sizes: Tensor,
    shape: tuple[int, int],
    edge: float | Tensor,
    kind: BoxUnion,
    agreement: Tensor | float = 1.0,
) -> Tensor:
    r"""ẑ_pres: the union of the boxes of all present cells.

    A box of ones that the inverse spatial transformer places is a separable product
    :math:`m_n(y, x) = b_n(y)\,b_n(x)` with :math:`b_n(y) = \sigma((s_n/2 - |y - c_n|)/\tau)`, so
    the superposition :math:`\sum_n p_n m_n` is one matrix product per scene.

    Args:
        p: presence of the boxes' cells in [0, 1], (B, N).
        centres, sizes: (B, N, 2), fractions of the image side.
        shape: (h, w) of the map.
        edge: τ, fractions of the image side.
        kind: smooth 1 − exp(−Σ/κ), or min(1, Σ/κ); the paper prints min(1, Σ).
        agreement: κ > 0, number of boxes that fill a cell; a scalar, or a map (B, h, w).

    Returns:
        (B, h, w) in [0, 1]. Source: Eq. 12.
    """
    total = _Superposition.apply(p, centres, sizes, shape, edge) / agreement
    return total.clamp(max=1) if kind is BoxUnion.CLAMP else -torch.expm1(-total)


def present_around(presence: Tensor, side: float) -> Tensor:
    """Number of present cells in a square window around each cell: (B, h, w), at least 0.

    Args:
        presence: z_pres (B, h, w) in [0, 1].
        side: of the window, a fraction of the image side; rounded to an odd number of cells.
    """
    k = 2 * round(side * presence.shape[1] / 2) + 1
    mean = functional.avg_pool2d(presence[:, None], k, stride=1, padding=k // 2)
    return mean[:, 0] * k**2


class _Superposition(torch.autograd.Function):
    """Σ p·b(y)·b(x) with a backward pass that stores only the two profiles.

    With g the gradient of the map, b' = b(1 − b)/τ: ∂/∂s = b'/2 and ∂/∂c = b'·sign(y − c).
    """

    @staticmethod
    def forward(
        ctx: Any,
        p: Tensor,
        centres: Tensor,
        sizes: Tensor,
        shape: tuple[int, int],
        edge: float | Tensor,
    ) -> Tensor:
        positions = cell_centres(*shape, centres)
        profiles = [
            _profile(axis, centres[..., k], sizes[..., k], edge) for k, axis in enumerate(positions)
        ]
        ctx.save_for_backward(p, centres, *positions, *profiles)
        ctx.edge = edge
        return (p[..., None] * profiles[0]).transpose(1, 2) @ profiles[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        p, centres, rows, columns, b_y, b_x = ctx.saved_tensors
        grad_map, grad_p = gradients[0], None
        grad_centres, grad_sizes = torch.empty_like(centres), torch.empty_like(centres)
        factor = p / ctx.edge
        for k, (axis, b, other) in enumerate(((rows, b_y, b_x), (columns, b_x, b_y))):
            slope = other @ (grad_map.transpose(1, 2) if k == 0 else grad_map)
            slope.mul_(b)
            if k == 0:  # equal for both axes
                grad_p = slope.sum(-1)
            slope.addcmul_(slope, b, value=-1)
            total = slope.sum(-1)
            slope.mul_(axis < centres[..., k, None])
            grad_sizes[..., k] = total * factor / 2
            grad_centres[..., k] = (total - 2 * slope.sum(-1)) * factor
        return grad_p, grad_centres, grad_sizes, None, None


def _profile(axis: Tensor, centre: Tensor, size: Tensor, edge: float | Tensor) -> Tensor:
    """σ((s/2 − |y − c|)/τ) for all boxes: (B, N, len(axis))."""
    distance = (axis - centre[..., None]).abs_()
    return distance.neg_().add_(size[..., None] / 2).div_(edge).sigmoid_()


def corners(centres: Tensor, sizes: Tensor) -> Tensor:
    """Boxes as (…, 4): x0, y0, x1, y1, fractions of the image side (torchvision's order)."""
    low, high = centres - sizes / 2, centres + sizes / 2
    return torch.stack((low[..., 1], low[..., 0], high[..., 1], high[..., 0]), -1)
