"""Bijections with log-determinants: coupling layer, squeeze, stack."""

from denf.flow.bijection import Bijection
from denf.flow.coupling import Coupling
from denf.flow.squeeze import HaarSqueeze, Squeeze
from denf.flow.stack import Stack, couplings, side_by_side, side_by_side_inverse

__all__ = [
    "Bijection",
    "Coupling",
    "HaarSqueeze",
    "Squeeze",
    "Stack",
    "couplings",
    "side_by_side",
    "side_by_side_inverse",
]
