"""Composition of bijections, and the blocks of couplings that Table 4 is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from denf.flow.bijection import Bijection
from denf.flow.coupling import Coupling, couple, uncouple
from denf.model.settings import SubnetKind


class Stack(Bijection):
    """Bijections applied one after the other; their `ladj` add up (Eq. 1)."""

    def __init__(self, parts: Sequence[Bijection]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for part in self.parts:
            x, ladj = part(x)
            total = total + ladj
        return x, total

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        total = y.new_zeros(len(y))
        for part in reversed(self.parts):
            y, ladj = cast(Bijection, part).inverse(y)
            total = total + ladj
        return y, total


def couplings(
    channels: int,
    *,
    count: int = 4,
    features: int = 64,
    clamp: float = 1.0,
    precision: torch.dtype = torch.float32,
    kind: SubnetKind = SubnetKind.AUTO,
) -> Stack:
    """A block of couplings with swapped halves, so that every channel is transformed.

    Args:
        channels: channels of the input, at least 2.
        count: couplings in the block (Table 4: 4).
        features: width of the subnets (Liu et al., 2021: 64).
        clamp: c of `Coupling`.
        precision: arithmetic of the subnets' convolutions.
        kind: how the subnets are evaluated.
    """
    return Stack(
        [
            Coupling(
                channels,
                swap=bool(k % 2),
                features=features,
                clamp=clamp,
                precision=precision,
                kind=kind,
            )
            for k in range(count)
        ]
    )


def side_by_side(stacks: Sequence[Stack], x: Tensor) -> tuple[Tensor, Tensor]:
    """Stacks of equal couplings, each on its own channels: their `forward` in shared calls.

    Args:
        stacks: n, made by `couplings` with the same arguments.
        x: (B, n·C, H, W), the inputs one after the other.

    Returns:
        outputs likewise, and the sum of all log-determinants, (B,).
    """
    total = x.new_zeros(len(x))
    for level in _levels(stacks):
        x, ladj = couple(level, x)
        total = total + ladj
    return x, total


def side_by_side_inverse(stacks: Sequence[Stack], y: Tensor) -> tuple[Tensor, Tensor]:
    """`side_by_side` in the direction of `inverse`."""
    total = y.new_zeros(len(y))
    for level in reversed(_levels(stacks)):
        y, ladj = uncouple(level, y)
        total = total + ladj
    return y, total


def _levels(stacks: Sequence[Stack]) -> list[tuple[Coupling, ...]]:
    columns = (cast(Sequence[Coupling], stack.parts) for stack in stacks)
    return list(zip(*columns, strict=True))
