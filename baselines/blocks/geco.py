"""GECO: the weight of the KL term as a multiplier of a constraint on the reconstruction error.

Rezende and Viola (2018), "Taming VAEs", Algorithm 1, in the form of GENESIS (Engelcke et al., 2019,
and the public code applied-ai-lab/genesis): the multiplier multiplies the KL term, so it grows
while the error is below its goal and falls while the error is above.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.geco_settings import GecoSettings


class Geco(nn.Module):
    """The multiplier β and the moving average Ē of the error, kept with the weights.

    Ē ← a·Ē + (1 − a)·E, then β ← clamp(β·exp(s·η·(goal − Ē))), with s = `speedup` where Ē is below
    the goal and 1 elsewhere. Ē starts at the first error.

    Args:
        settings: see `GecoSettings`.
        shape: channels, height and width of an image; the goal is multiplied by their product, η
            by 64² / (height · width).
    """

    beta: Tensor
    average: Tensor
    updates: Tensor

    def __init__(self, settings: GecoSettings, shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = shape
        self.settings = settings
        self.goal = settings.goal * channels * height * width
        self.step_size = settings.step_size * 64**2 / (height * width)
        self.register_buffer("beta", torch.tensor(settings.beta))
        self.register_buffer("average", torch.tensor(0.0))
        self.register_buffer("updates", torch.tensor(0))

    def forward(self, error: Tensor, kl: Tensor) -> Tensor:
        """The loss E + β·KL, with β as it was before this step's update.

        Args:
            error: E, mean over the batch, in nats per image.
            kl: mean over the batch, in nats per image.
        """
        loss = error + self.beta.clone() * kl
        self._update(error.detach())
        return loss

    @torch.no_grad()
    def _update(self, error: Tensor) -> None:
        s = self.settings
        smoothed = torch.lerp(error, self.average, s.smoothing)
        self.average.copy_(torch.where(self.updates == 0, error, smoothed))
        slack = self.goal - self.average
        rate = torch.where(slack > 0, s.speedup * self.step_size, self.step_size)
        self.beta.mul_(torch.exp(rate * slack)).clamp_(s.beta_min, s.beta_max)
        self.updates.add_(1)
