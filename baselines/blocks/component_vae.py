"""The VAE that MONet and GENESIS apply to every slot: image and mask in, appearance out.

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
        outputs: channels that the decoder gives.
        activation: ReLU in MONet, ELU in GENESIS.
        masked: the encoder sees m and m·x in place of the published log m and x. Logarithms of
            hard masks outweigh colours tenfold, and the image is the same for all slots, so that a
            short training gives every slot the colour of all.
        shift: of the raw deviation of z; see `posterior`.
    """

    def __init__(
        self,
        *,
        size: int,
        channels: int,
        latent: int,
        outputs: int,
        activation: Callable[[], nn.Module],
        masked: bool = False,
        shift: float = 0.5,
    ) -> None:
        super().__init__()
        self.masked, self.shift = masked, shift
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
        slots = log_masks.shape[1]
        if self.masked:
            masks = log_masks.exp()
            seen = torch.cat((masks, masks * x[:, None]), 2)
        else:
            seen = torch.cat((log_masks, x[:, None].expand(-1, slots, -1, -1, -1)), 2)
        found = self.encoder(seen.flatten(0, 1)).unflatten(0, (-1, slots))
        return posterior(found, self.shift)

    def decode(self, z: Tensor) -> Tensor:
        """(B, K, outputs, H, W), linear, from latents (B, K, latent)."""
        decoded = self.decoder(z.flatten(0, 1), (self.size, self.size))
        return decoded.unflatten(0, z.shape[:2])
