"""GMAIR's objects in pixels: glimpses placed and weighted by depth, and their overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.blocks.glimpse import placement
from baselines.gmair.inference import Objects

_LEAST_IMPORTANCE = 1e-4
_EPSILON = 1e-9  # added to placed importance, which is 0 outside the boxes


class Rendering(NamedTuple):
    """The objects in pixels.

    Args:
        image: (B, 3, H, W), colours times shares.
        shares: (B, N, 1, H, W) of each object in a pixel; their sum is at most one.
        overlap: (B,), intensity of all objects minus that of the brightest object, summed over
            pixels.
    """

    image: Tensor
    shares: Tensor
    overlap: Tensor


def composite(decoded: Tensor, objects: Objects, shape: tuple[int, int]) -> Rendering:
    """Shares w_n α_n with w ∝ max(α · depth, 1e-4) over the cells whose boxes contain the pixel.

    Args:
        decoded: (B, N, 4, side, side) in [0, 1], colours and alpha, before alpha is multiplied by
            presence.
        objects: of the same cells.
        shape: height and width of the image in pixels.
    """
    rgb, alpha = decoded.split((3, 1), 2)
    alpha = alpha * objects.presence[..., None, None]
    importance = (alpha * objects.depth[..., None, None]).clamp(min=_LEAST_IMPORTANCE)
    layers = torch.cat((rgb, alpha, importance), 2)
    matrices = placement(objects.boxes, layers.shape[4], shape)
    return Rendering(*_Composite.apply(layers, *matrices))


class _Composite(torch.autograd.Function):
    r"""The closed form of image, shares and overlap, one image after another.

    A plane, one number per object and pixel, is large, and most of its cost is that of new memory.
    Autograd would store about a dozen planes per image. Here all images share the planes of one,
    and the backward pass places the glimpses again.

    With placed colours :math:`r_c`, :math:`\alpha`, importance :math:`i` plus 1e-9,
    :math:`S = \sum_n i`, :math:`w = i / S`, :math:`s = \alpha w` and :math:`t = \sum_c r_c`:

    .. math:: x_c = \sum_n s r_c, \qquad
        \text{overlap} = \tfrac13 \sum_\text{pixels} (\sum_n \alpha t - \max_n \alpha t)

    With gradients :math:`g_c` of :math:`x_c`, :math:`h` of :math:`s`, :math:`o` of the overlap,
    :math:`a = \sum_c r_c g_c + h` and :math:`e = \tfrac13 o (1 - [n \in M] / |M|)`, where
    :math:`M` are the objects that attain the maximum:

    .. math:: \partial r_c = s g_c + \alpha e, \qquad \partial \alpha = w a + t e, \qquad
        \partial i = \alpha a / S - \sum_n w \alpha a / S

    Args:
        layers: (B, N, 5, side, side): colours, alpha, importance.
        rows, columns: interpolation matrices (B, N, H, side) and (B, N, W, side).

    Returns:
        image (B, 3, H, W), shares (B, N, 1, H, W), overlap (B,).
    """

    @staticmethod
    def forward(ctx: Any, layers: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, ...]:
        (batch, n), shape = layers.shape[:2], (rows.shape[2], columns.shape[2])
        image, overlap = layers.new_empty(batch, 3, *shape), layers.new_empty(batch)
        shares = layers.new_empty(batch, n, 1, *shape)
        planes = layers.new_empty(5, n, *shape)
        for b in range(batch):
            _place(layers[b], rows[b], columns[b], planes)
            rgb, (alpha, importance) = planes[:3], planes[3:]
            importance += _EPSILON
            share = torch.mul(alpha, importance, out=shares[b, :, 0]).div_(importance.sum(0))
            spare = importance
            for colour, out in zip(rgb, image[b], strict=True):
                torch.sum(torch.mul(share, colour, out=spare), 0, out=out)
            drawn = torch.sum(rgb, 0, out=spare).mul_(alpha)
            overlap[b] = (drawn.sum(0) - drawn.amax(0)).sum() / 3
        ctx.save_for_backward(layers, rows, columns)
        return image, shares, overlap

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        inputs = ctx.saved_tensors
        found = tuple(torch.empty_like(x) for x in inputs)
        layers, rows, columns = inputs
        planes = layers.new_empty(8, layers.shape[1], rows.shape[2], columns.shape[2])
        for b, (g_image, g_shares, g_overlap) in enumerate(zip(*gradients, strict=True)):
            one = layers[b], rows[b], columns[b]
            tall = _place(*one, planes[:5])
            g_planes = _plane_gradients(planes, g_image, g_shares[:, 0], g_overlap)
            _place_backward(g_planes, tall, one, [g[b] for g in found])
        return found


def _plane_gradients(
    planes: Tensor, g_image: Tensor, g_shares: Tensor, g_overlap: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of one image's planes, which they overwrite.

    Args:
        planes: (8, N, H, W): colours, alpha, importance, and three to work in.
        g_image, g_shares, g_overlap: gradients (3, H, W), (N, H, W), ().

    Returns:
        gradients of colours, alpha and importance, (N, H, W) each; parts of `planes`.
    """
    *rgb, alpha, importance, bright, excess, pull = planes
    total = importance.add_(_EPSILON).sum(0)
    weight = importance.div_(total)
    torch.sum(planes[:3], 0, out=bright)
    drawn = torch.mul(alpha, bright, out=excess)
    brightest = torch.eq(drawn, drawn.amax(0), out=excess)
    excess = brightest.div_(-brightest.sum(0)).add_(1).mul_(g_overlap / 3)
    torch.mul(rgb[0], g_image[0], out=pull).add_(g_shares)
    for colour, gradient in zip(rgb[1:], g_image[1:], strict=True):
        pull.addcmul_(colour, gradient)
    g_alpha = bright.mul_(excess).addcmul_(weight, pull)
    pull.mul_(alpha).div_(total)
    excess *= alpha
    share = alpha.mul_(weight)
    g_importance = pull.sub_(weight.mul_(pull).sum(0))
    for colour, gradient in zip(rgb, g_image, strict=True):
        torch.addcmul(excess, share, gradient, out=colour)
    return *rgb, g_alpha, g_importance


def _place(layers: Tensor, rows: Tensor, columns: Tensor, out: Tensor) -> list[Tensor]:
    """`place` for one image into existing planes; keeps what the backward pass needs.

    Args:
        layers: (N, C, side, side).
        rows, columns: (N, H, side) and (N, W, side).
        out: (C, N, H, W); gets rows · layer · columnsᵀ.

    Returns:
        rows · layer, C times (N, H, side).
    """
    tall = [rows @ layer for layer in layers.unbind(1)]
    for half, plane in zip(tall, out, strict=True):
        torch.bmm(half, columns.mT, out=plane)
    return tall


def _place_backward(
    gradients: Sequence[Tensor],
    tall: Sequence[Tensor],
    inputs: Sequence[Tensor],
    out: Sequence[Tensor],
) -> None:
    """Gradients of layers, rows and columns from those of the planes.

    Args:
        gradients: of the planes, C times (N, H, W).
        tall: what `_place` returned.
        inputs: layers, rows and columns.
        out: gets their gradients.
    """
    layers, rows, columns = inputs
    g_layers, g_rows, g_columns = out
    g_rows.zero_()
    g_columns.zero_()
    for c, (gradient, half) in enumerate(zip(gradients, tall, strict=True)):
        g_half = gradient @ columns
        g_columns.baddbmm_(gradient.mT, half)
        g_rows.baddbmm_(g_half, layers[:, c].mT)
        g_layers[:, c] = rows.mT @ g_half
