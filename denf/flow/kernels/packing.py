"""The parameters of a subnet in one row of memory, and their gradients back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

PARAMETERS = 7  # weight and bias of `first`, `second` and `last`, weight of `skip`


class Strides(NamedTuple):
    """First element of a weight (outputs, 9, inputs) in a row, and its strides."""

    at: int
    outer: int
    tap: int
    inner: int

    @property
    def transposed(self) -> Strides:
        return Strides(self.at, self.inner, self.tap, self.outer)


@dataclass(frozen=True)
class Packing:
    """The position of each parameter of a subnet in a row; weights are (outputs, 9, inputs).

    Args:
        inputs, outputs: channels of the thin sides.
        features: F.
    """

    inputs: int
    outputs: int
    features: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the parameters, in order."""
        k, o, f = self.inputs, self.outputs, self.features
        return (f, k, 3, 3), (f,), (f, f, 3, 3), (f,), (o, f, 3, 3), (o,), (o, k, 3, 3)

    @property
    def starts(self) -> tuple[int, ...]:
        """First element of each parameter, then the length of a row."""
        starts = [0]
        for shape in self.shapes:
            starts.append(starts[-1] + torch.Size(shape).numel())
        return tuple(starts)

    @property
    def weights(self) -> tuple[Strides, Strides, Strides, Strides]:
        """Strides of `first`, `second`, `last` and `skip`."""
        k, f, starts = self.inputs, self.features, self.starts
        return (
            Strides(starts[0], 9 * k, k, 1),
            Strides(starts[2], 9 * f, f, 1),
            Strides(starts[4], 9 * f, f, 1),
            Strides(starts[6], 9 * k, k, 1),
        )

    def pack(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        """Parameters of n subnets as (n, length)."""
        flat = [p.permute(0, 2, 3, 1).reshape(-1) if p.dim() == 4 else p for p in parameters]
        return torch.cat(flat).to(dtype).view(-1, self.starts[-1])

    def unpack(self, rows: Tensor) -> list[Tensor]:
        """The inverse of `pack`, as views; weights are channels-last in memory."""
        found = []
        for row in rows.unbind():
            sizes = [torch.Size(shape).numel() for shape in self.shapes]
            for flat, shape in zip(row.split(sizes), self.shapes, strict=True):
                if len(shape) == 4:
                    flat = flat.view(shape[0], 3, 3, shape[1]).permute(0, 3, 1, 2)
                found.append(flat)
        return found
