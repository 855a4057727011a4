"""The VAE that MONet and GENESIS apply to every slot, from image and mask to appearance.

Burgess et al. (2019), MONet, appendix B, and Engelcke et al. (2019), GENESIS; widths as in the
public code applied-ai-lab/genesis.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import BroadcastDecoder
from baselines.blocks.gaussian import DiagonalGaussian, posterior

_HIDDEN = 256  # units of the encoder's fully connected layer
_DECODER_LAYERS = 4


class ComponentVAE(nn.Module):
    """Four convolutions of stride 2 and two linear layers; a spatial broadcast decoder.

    Args:
        size: side of the images in pixels, a multiple of 16.
        channels: of the first two convolutions and of the decoder's; the others have twice as many.
        latent: dimensions of a slot's z.
        outputs: channels of the decoder's output.
        activation: ReLU in MONet, ELU in GENESIS.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        latent: int,
        outputs: int,
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.encoder_input = log_mask_and_image
        c = channels
        layers: list[nn.Module] = []
        for inputs, out in pairwise((4, c, c, 2 * c, 2 * c)):
            layers += [nn.Conv2d(inputs, out, 3, stride=2, padding=1), activation()]
        cells = (size // 16) ** 2
        layers += [nn.Flatten(), nn.Linear(2 * c * cells, _HIDDEN), activation()]
        self.encoder = nn.Sequential(*layers, nn.Linear(_HIDDEN, 2 * latent))
        self.decoder = BroadcastDecoder(
            latent, [c] * _DECODER_LAYERS, outputs, activation=activation, padded=False
        )
        self.size = size

    def encode(self, x: Tensor, log_masks: Tensor) -> DiagonalGaussian:
        """q(z_k | x, m_k), (B, K, latent).

        Args:
            x: (B, 3, H, W) in [0, 1].
            log_masks: (B, K, 1, H, W).
        """
        seen = self.encoder_input(x, log_masks)
        return posterior(self.encoder(seen.flatten(0, 1)).unflatten(0, seen.shape[:2]))

    def decode(self, z: Tensor) -> Tensor:
        """(B, K, outputs, H, W), linear, from latents (B, K, latent)."""
        decoded = self.decoder(z.flatten(0, 1), (self.size, self.size))
        return decoded.unflatten(0, z.shape[:2])


def log_mask_and_image(x: Tensor, log_masks: Tensor) -> Tensor:
    """The encoder's input of each slot, log m and x: (B, K, 4, H, W)."""
    slots = log_masks.shape[1]
    return torch.cat((log_masks, x[:, None].expand(-1, slots, -1, -1, -1)), 2)
