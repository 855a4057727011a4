"""Bijections with log-determinants: coupling layer, squeeze, stack. Knows only torch."""

from denf.flow.bijection import Bijection
from denf.flow.coupling import Coupling
from denf.flow.squeeze import HaarSqueeze, Squeeze
from denf.flow.stack import Stack, couplings

__all__ = ["Bijection", "Coupling", "HaarSqueeze", "Squeeze", "Stack", "couplings"]
