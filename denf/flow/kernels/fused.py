"""Subnets as three fused kernels per direction, with their gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from denf.flow.kernels.launch import Launch
from denf.flow.kernels.packing import PARAMETERS, Packing


class FusedSubnets(torch.autograd.Function):
    r"""n subnets of one shape side by side: (B, groups·k, H, W) to (B, n·out, H, W).

    Subnet i reads the channels of group :math:`\lfloor i \cdot groups / n \rfloor`. Forward and
    backward run the same three kernels, with the thin sides exchanged:

    .. math::
        x \to h_1 \to (h_2, w_3 h_2) \to y, \qquad
        \bar y \to \bar h_2 \to (\bar h_1, w_1^\top \bar h_1) \to \bar x.

    Arguments of `apply`: x float32, groups, the type of hidden maps, then the parameters of each
    subnet in the order of `denf.flow.kernels.packing`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, groups: int, dtype: torch.dtype, *parameters: Tensor
    ) -> Tensor:
        n = len(parameters) // PARAMETERS
        packing = Packing(x.shape[1] // groups, len(parameters[4]), len(parameters[0]))
        packed = packing.pack(parameters, dtype)
        launch = Launch(len(x), x.shape[2], x.shape[3], n, n // groups, packing, dtype)
        h1, h2, y = launch.run(launch.forward, x, packed, None)
        ctx.save_for_backward(x, packed, h1, h2)
        ctx.launch = launch
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        x, packed, h1, h2 = ctx.saved_tensors
        launch: Launch = ctx.launch
        grad_h2, grad_h1, grad_x = launch.run(launch.backward, grad_y, packed, (h2, h1))
        sums = launch.sums(x, (h1, h2), grad_y, (grad_h1, grad_h2))
        return grad_x, None, None, *launch.packing.unpack(sums)
