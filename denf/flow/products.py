r"""Subnets as matrix products: faster on a CPU than convolutions with few channels.

A convolution with few channels on one side does little arithmetic, but its library call is made
for many channels. The three such convolutions of a subnet's four are therefore products, written
with the gather N of 3×3 neighbourhoods and its adjoint Nᵀ. The wide one in the middle stays a
convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LEAKY_SLOPE = 0.2


def gather(x: Tensor, *, ones: bool = False) -> Tensor:
    """N: each pixel's zero-padded 3×3 neighbourhood as a column.

    Args:
        x: maps (B, k, H, W).
        ones: add a row of ones, which stands for a bias in a product.

    Returns:
        (9k, B·H·W), or 9k + 1 rows: the rows are ordered as the weight of a convolution,
        (k, 3, 3), the columns as pixels (B, H, W).
    """
    B, k, H, W = x.shape
    padded = functional.pad(x, (1, 1, 1, 1)).contiguous()
    image, channel, row, _ = padded.stride()
    windows = padded.as_strided((k, 3, 3, B, H, W), (channel, row, 1, image, row, 1))
    columns = x.new_empty(9 * k + ones, B * H * W)
    columns[: 9 * k].view(windows.shape).copy_(windows)
    if ones:
        columns[-1].fill_(1)
    return columns


def scatter(columns: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Nᵀ: add every entry to the pixel that `gather` takes it from.

    Args:
        columns: contiguous, 9k·B·H·W elements in the order of `gather`; overwritten, because
            allocating memory would take longer than the sums.
        shape: B, H, W.

    Returns:
        maps (k, B·H·W), a view of part of `columns`.
    """
    k = columns.shape[:-1].numel() // 9
    above, middle, below = columns.view(k, 3, 3, *shape).unbind(1)
    middle[..., :-1, :].add_(above[..., 1:, :])
    middle[..., 1:, :].add_(below[..., :-1, :])
    left, centre, right = middle.unbind(1)
    centre[..., :-1].add_(left[..., 1:])
    centre[..., 1:].add_(right[..., :-1])
    return centre.flatten(1)


class SubnetProducts(torch.autograd.Function):
    r"""Subnets of one shape and one input x, side by side: (B, k, H, W) to (B, n·out, H, W).

    With :math:`c = N x` and a row of ones under it for the biases, each subnet is

    .. math::
        h_1 = \varphi(W c), \quad h_2 = \varphi(w_2 * h_1 + b_2), \quad
        y = N^\top V h_2 + S c,

    W holding `first`, V the weight of `last` turned by 180°, S `skip` and the bias of `last`. The
    gradients are products again, with :math:`d = N \bar y` and a bar for "gradient with respect
    to":

    .. math::
        \bar V = d\,h_2^\top, \quad \bar h_2 = V^\top d, \quad \bar S = \bar y\,c^\top, \quad
        \bar W = \bar h_1 c^\top, \quad \bar x = N^\top (W^\top \bar h_1 + S^\top \bar y).

    Hidden maps are channels-last in memory: (B·H·W, features) for a product, (B, features, H, W)
    for the convolution, which needs no reordering.

    Arguments of `apply`: x, then for each subnet weight and bias of `first`, `second` and `last`
    and the weight of `skip`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        B, k, H, W = x.shape
        columns = gather(x, ones=True)
        nets = _grouped(parameters, 7)
        features, outputs = len(parameters[0]), len(parameters[4])
        taps = x.new_empty(len(nets), 9 * outputs, B * H * W)
        saved, skips = [], []
        for taps_of_net, (w1, b1, w2, b2, w3, b3, skip) in zip(taps, nets, strict=True):
            first = torch.cat((w1.reshape(features, 9 * k), b1[:, None]), 1)
            last = w3.flip(2, 3).permute(0, 2, 3, 1).reshape(9 * outputs, features)
            h1 = _maps(functional.leaky_relu_(columns.T @ first.T, LEAKY_SLOPE), (B, H, W))
            h2 = functional.conv2d(h1, w2, b2, padding=1)
            h2 = _rows(functional.leaky_relu_(h2, LEAKY_SLOPE))
            torch.mm(last, h2.T, out=taps_of_net)
            skips.append(torch.cat((skip.reshape(outputs, 9 * k), b3[:, None]), 1))
            saved += [first, w2, last, h1, h2]
        skips_of_all = torch.cat(skips)
        y = torch.addmm(scatter(taps, (B, H, W)), skips_of_all, columns)
        ctx.save_for_backward(columns, skips_of_all, *saved)
        ctx.shape = x.shape
        return y.view(len(y), B, H, W).transpose(0, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        columns, skips, *saved = ctx.saved_tensors
        B, k, H, W = ctx.shape
        nets = _grouped(saved, 5)
        outputs = len(skips) // len(nets)
        d = gather(grad_y)
        pixels = d[4::9]  # the middles of the neighbourhoods are grad_y itself
        grad_columns = skips[:, :-1].T @ pixels if ctx.needs_input_grad[0] else None
        gradients: list[Tensor] = []
        grad_skips = (pixels @ columns.T).chunk(len(nets))
        for d_of_net, grad_skip, net in zip(d.chunk(len(nets)), grad_skips, nets, strict=True):
            first, w2, last, h1, h2 = net
            grad_last = (d_of_net @ h2).view(outputs, 3, 3, -1).permute(0, 3, 1, 2).flip(2, 3)
            grad_h2 = _leaky_backward_(d_of_net.T @ last, h2)
            grad_h1, grad_w2, grad_b2 = _convolution_backward(_maps(grad_h2, (B, H, W)), h1, w2)
            grad_h1 = _rows(_leaky_backward_(grad_h1, h1))
            grad_first = (columns @ grad_h1).T
            if grad_columns is not None:
                grad_columns.addmm_(first[:, :-1].T, grad_h1.T)
            gradients += [
                *(grad_first[:, :-1].reshape(-1, k, 3, 3), grad_first[:, -1]),
                *(grad_w2, grad_b2),
                *(grad_last, grad_skip[:, -1], grad_skip[:, :-1].reshape(-1, k, 3, 3)),
            ]
        if grad_columns is None:
            return None, *gradients
        grad_x = scatter(grad_columns, (B, H, W)).view(k, B, H, W).transpose(0, 1)
        return grad_x.clone(), *gradients  # a view would keep all of grad_columns in memory


def _grouped(tensors: Sequence[Tensor], size: int) -> list[Sequence[Tensor]]:
    """The tensors of each subnet."""
    return [tensors[i : i + size] for i in range(0, len(tensors), size)]


def _maps(rows: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(B·H·W, C) as maps (B, C, H, W), channels-last in memory."""
    return rows.view(*shape, rows.shape[1]).permute(0, 3, 1, 2)


def _rows(maps: Tensor) -> Tensor:
    """The inverse of `_maps`; copies only what is not channels-last."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _leaky_backward_(gradient: Tensor, h: Tensor) -> Tensor:
    """LeakyReLU's data gradient in place; its output h has the sign of its input."""
    backward = torch.ops.aten.leaky_relu_backward.grad_input
    return backward(gradient, h, LEAKY_SLOPE, True, grad_input=gradient)


def _convolution_backward(gradient: Tensor, h: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of h, w and the bias of a 3×3 convolution with padding 1."""
    geometry = ((1, 1), (1, 1), (1, 1), False, (0, 0), 1)
    backward = torch.ops.aten.convolution_backward
    return backward(gradient, h, w, (len(w),), *geometry, (True, True, True))
