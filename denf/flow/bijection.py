"""The base class of all bijections."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Bijection(nn.Module, ABC):
    r"""An invertible map between images of equal element count.

    `forward` is the direction of density evaluation, f⁻¹ in the paper's notation (image → latent);
    `inverse` is the direction of sampling, f (latent → image). The returned `ladj` MUST be
    :math:`\log |\det J|` of the direction that was evaluated, of shape (batch,), in the input's
    precision, so that `forward` followed by `inverse` gives `ladj` terms that sum to zero.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, C, H, W) to (y, ladj)."""

    @abstractmethod
    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map y back to (x, ladj)."""
