"""One background for the whole image, with a latent too small to hold objects.

The background of SPAIR in karazijal/clevrtex (Karazija et al., "ClevrTex", NeurIPS Datasets and
Benchmarks 2021): a convolutional encoder, one latent number, a spatial broadcast decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import BroadcastDecoder
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior

_PRIOR_STD = 3.0
_CONTRAST = 3.0  # objects differ from the floor by a third of the image range


class BackgroundVae(nn.Module):
    """q(z | x), p(x | z) and the divergence from p(z) = N(0, 3²).

    Args:
        latent: dimensions of z; 1 as published.
        decoder: channels of the decoder; 32 as published.
    """

    def __init__(self, latent: int = 1, decoder: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, out in ((3, 32), (32, 32), (32, 64), (64, 64)):
            layers += [nn.Conv2d(channels, out, 3, 2, 1), nn.ReLU()]
        self.encoder = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * latent),
        )  # fmt: skip
        self.decoder = BroadcastDecoder(latent, (decoder,) * 4, 3, activation=nn.ReLU, padded=False)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Background in [0, 1] and divergence (B,) in nats of images (B, 3, H, W) in [0, 1].

        Without a generator, z is the posterior's mean.
        """
        q = posterior(self.encoder(x), 0)
        prior = DiagonalGaussian(torch.zeros_like(q.mean), torch.full_like(q.std, _PRIOR_STD))
        image = self.decoder(draw(q, generator), (x.shape[2], x.shape[3]))
        return torch.sigmoid(image), q.kl(prior).sum(1)


def standing_out(x: Tensor, background: Tensor) -> Tensor:
    """The scaled difference from the background: 0 where there is no object.

    The networks were made for objects on black. Of scenes on a grey floor they see little but the
    floor: two scenes differ by a few hundredths of what they have in common.

    Args:
        x: images (B, 3, H, W) in [0, 1].
        background: of the same shape; it gets no gradient.
    """
    return _CONTRAST * (x - background.detach())
