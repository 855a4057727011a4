"""SPAIR's prior of presence: a geometric number of objects, in equally likely cells."""

from __future__ import annotations

import torch
from torch import Tensor

_EDGE = 1e-6  # of the prior probability of presence


class CountPrior:
    """p(z_pres,i | z_pres,<i) if the number C of objects is geometric and all subsets of C cells
    are equally likely (section 3.3 of the paper).

    p(z_i = 1 | z_<i) = Σ_C p(C | z_<i) max(C - n_i, 0) / (N - i), n_i objects in earlier cells.

    Args:
        cells: N.
        success: s of p(C) ∝ s^C, C = 0, …, N.
        like: a tensor with the batch size, device and dtype of the result.
    """

    def __init__(self, cells: int, success: float, like: Tensor) -> None:
        self.cells = cells
        self.counts = torch.arange(cells + 1, dtype=like.dtype, device=like.device)
        powers = success**self.counts
        self.belief = (powers / powers.sum()).expand(len(like), -1)  # (B, N + 1)
        self.found = like.new_zeros(len(like), 1)

    def probability(self, cell: int) -> Tensor:
        """Prior probability (B, 1) of presence in the next cell, whose index is 0-based."""
        return (self.belief * self._given_count(cell)).sum(1, keepdim=True).clamp(_EDGE, 1 - _EDGE)

    def observe(self, presence: Tensor, cell: int) -> None:
        """Bayes' rule for p(C | z_<i), given the rounded presence (B, 1) of a cell; no gradient."""
        seen = presence.detach().round()
        p = self._given_count(cell)
        belief = self.belief * (seen * p + (1 - seen) * (1 - p))
        self.belief = belief / belief.sum(1, keepdim=True).clamp(min=_EDGE)
        self.found = self.found + seen

    def _given_count(self, cell: int) -> Tensor:
        return ((self.counts - self.found).clamp(min=0) / (self.cells - cell)).clamp(max=1)
