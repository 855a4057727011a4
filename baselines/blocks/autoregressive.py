"""The autoregressive prior over slots of GENESIS and GENESIS-V2.

Engelcke et al. (2019), GENESIS: p(z_1, …, z_K) = Π_k p(z_k | z_{<k}), where p(z_1) = N(0, I) and an
LSTM over the earlier latents gives the other factors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.gaussian import DiagonalGaussian, learned_prior, standard


class AutoregressivePrior(nn.Module):
    """An LSTM and a linear layer that give mean and standard deviation of the next slot's latent.

    Args:
        latent: dimensions of z_k.
        hidden: units of the LSTM.
    """

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.latent = latent
        self.lstm = nn.LSTM(latent, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, 2 * latent)

    def forward(self, z: Tensor) -> DiagonalGaussian:
        """p(z_k | z_{<k}) of given latents (B, K, latent), in the same shape."""
        first = standard(z[:, :1])
        later = learned_prior(self.linear(self.lstm(z[:, :-1])[0]))
        mean = torch.cat((first.mean, later.mean), 1)
        return DiagonalGaussian(mean, torch.cat((first.std, later.std), 1))

    def sample(self, count: int, slots: int, generator: torch.Generator) -> Tensor:
        """Ancestral samples (count, slots, latent)."""
        like = self.linear.weight.new_zeros(count, 1, self.latent)
        z, state = [standard(like).sample(generator)], None
        for _ in range(slots - 1):
            hidden, state = self.lstm(z[-1], state)
            z.append(learned_prior(self.linear(hidden)).sample(generator))
        return torch.cat(z, 1)
