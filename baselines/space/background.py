"""The background of SPACE: K components whose masks are inferred in sequence.

Lin et al. (2020), SPACE, section 2.2 and appendix D; a small GENESIS. Convolutions before batch
normalisation have no bias, because the normalisation would remove it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.blocks.broadcast import BroadcastDecoder
from baselines.blocks.convolutions import convolution, enlargement
from baselines.blocks.gaussian import draw, posterior
from baselines.blocks.stick_breaking import stick_breaking
from baselines.space.settings import SpaceSettings

LATENT = 32  # dimensions of the latents of masks and of components
HIDDEN = 64  # units of the recurrent networks, features of the image
_LOG_MASK_FLOOR = math.log(1e-5)


@dataclass(frozen=True)
class Background:
    """Masks, components and divergence of the background.

    Args:
        log_masks: (B, K, 1, H, W); their exponentials sum to one over K.
        components: (B, K, 3, H, W) in [0, 1].
        kl: (B,) in nats, of masks and components.
    """

    log_masks: Tensor
    components: Tensor
    kl: Tensor

    @property
    def mean(self) -> Tensor:
        """Σ_k mask_k · component_k, (B, 3, H, W)."""
        return (self.log_masks.exp() * self.components).sum(1)


class SpaceBackground(nn.Module):
    """q(z_mask,k | z_mask,<k, x), q(z_comp,k | mask_k, x) and the priors of both.

    Args:
        settings: uses `size`, `components` (if 1, the component covers the image) and `width`.
    """

    def __init__(self, settings: SpaceSettings) -> None:
        super().__init__()
        self.size, self.components = settings.size, settings.components
        half, full = 2 * settings.width, 4 * settings.width  # 32 and 64 as published
        flat = full * (self.size // 16) ** 2
        self.encoder = nn.Sequential(
            *_strided(3, (full,) * 4), nn.Flatten(), nn.Linear(flat, HIDDEN), nn.ELU()
        )
        self.mask_lstm = nn.LSTMCell(LATENT + HIDDEN, HIDDEN)
        self.mask_start = nn.ParameterDict(
            {"z": torch.zeros(LATENT), "h": torch.zeros(HIDDEN), "c": torch.zeros(HIDDEN)}
        )
        self.mask_head = nn.Linear(HIDDEN, 2 * LATENT)
        self.mask_decoder = _mask_decoder(self.size, settings.width)
        self.component_encoder = nn.Sequential(
            *_strided(4, (half, half, full, full)), nn.Flatten(), nn.Linear(flat, 2 * LATENT)
        )
        self.component_decoder = BroadcastDecoder(
            LATENT, (half,) * 4, 3, activation=nn.ELU, padded=False, norm=nn.BatchNorm2d
        )
        self.prior_lstm = nn.LSTMCell(LATENT, HIDDEN)
        self.prior_start = nn.ParameterDict({"h": torch.zeros(HIDDEN), "c": torch.zeros(HIDDEN)})
        self.prior_mask_head = nn.Linear(HIDDEN, 2 * LATENT)
        self.prior_component = nn.Sequential(
            nn.Linear(LATENT, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, HIDDEN), nn.ELU(),
            nn.Linear(HIDDEN, 2 * LATENT),
        )  # fmt: skip

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Background:
        """Infer, sample (means without a generator) and decode; x (B, 3, size, size) in [0, 1]."""
        b, k = len(x), self.components
        features = self.encoder(x)
        z, h, c = (self.mask_start[name].expand(b, -1) for name in ("z", "h", "c"))
        prior_h, prior_c = (self.prior_start[name].expand(b, -1) for name in ("h", "c"))
        z_masks, kl = [], x.new_zeros(b)
        for _ in range(k):
            h, c = self.mask_lstm(torch.cat((z, features), 1), (h, c))
            q = posterior(self.mask_head(h), 0)
            z = draw(q, generator)
            kl = kl + q.kl(posterior(self.prior_mask_head(prior_h), 0)).sum(1)
            prior_h, prior_c = self.prior_lstm(z, (prior_h, prior_c))
            z_masks.append(z)
        masks = torch.stack(z_masks, 1)
        log_masks = self._log_masks(masks)
        copies = x[:, None].expand(-1, k, -1, -1, -1)
        shown = torch.cat((log_masks.clamp(min=_LOG_MASK_FLOOR), copies), 2)
        q = posterior(self.component_encoder(shown.flatten(0, 1)), 0)
        prior = posterior(self.prior_component(masks.flatten(0, 1)), 0)
        kl = kl + q.kl(prior).view(b, -1).sum(1)
        return Background(log_masks, self._decode(draw(q, generator), b), kl)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Backgrounds from the priors, (count, 3, size, size) in [0, 1]."""
        h, c = (self.prior_start[name].expand(count, -1) for name in ("h", "c"))
        z_masks = []
        for _ in range(self.components):
            z_masks.append(posterior(self.prior_mask_head(h), 0).sample(generator))
            h, c = self.prior_lstm(z_masks[-1], (h, c))
        masks = torch.stack(z_masks, 1)
        z = posterior(self.prior_component(masks.flatten(0, 1)), 0).sample(generator)
        return Background(self._log_masks(masks), self._decode(z, count), z.new_zeros(count)).mean

    def _log_masks(self, z: Tensor) -> Tensor:
        """(B, K, 1, H, W) from (B, K, LATENT); the last mask is the remaining scope."""
        if self.components == 1:
            return z.new_zeros(len(z), 1, 1, self.size, self.size)
        logits = self.mask_decoder(z[:, :-1].flatten(0, 1)[:, :, None, None])
        return stick_breaking(logits.unflatten(0, (len(z), -1)))

    def _decode(self, z: Tensor, batch: int) -> Tensor:
        rgb = torch.sigmoid(self.component_decoder(z, (self.size, self.size)))
        return rgb.unflatten(0, (batch, -1))


def _strided(channels: int, outs: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for out in outs:
        layers += [nn.Conv2d(channels, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ELU()]
        channels = out
    return layers


def _mask_decoder(size: int, width: int) -> nn.Sequential:
    """From (N, LATENT, 1, 1) to one logit per pixel; 128 = 4 · 2 · 4 · 4 as published."""
    factors = [4, 2, 4, 4]
    for stage in (3, 2, 0):  # smaller images: the later stages enlarge less
        if math.prod(factors) > size:
            factors[stage] //= 2
    w = width  # 16 as published: channels 256, 256, 128, 64, 16 in groups of 16, 16, 16, 8, 4
    before = 16 * w
    layers: list[nn.Module] = [convolution(LATENT, before, w, kernel=1)]
    stages = ((16 * w, w), (8 * w, w), (4 * w, w // 2), (w, w // 4))
    for factor, (out, groups) in zip(factors, stages, strict=True):
        layers += [enlargement(before, out, groups, factor=factor), convolution(out, out, groups)]
        before = out
    last = convolution(before, before, w // 4)
    return nn.Sequential(*layers, last, nn.Conv2d(before, 1, 3, padding=1))
