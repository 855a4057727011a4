"""DeNF: the flow of Table 4 between images and structured latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from denf.flow import (
    Bijection,
    HaarSqueeze,
    Squeeze,
    Stack,
    couplings,
    side_by_side,
    side_by_side_inverse,
)
from denf.model.boxes import box_union, cell_boxes, present_around
from denf.model.latents import Latents
from denf.model.priors import log_background, log_foreground
from denf.model.settings import DenfSettings, SqueezeKind

LATENT_CHANNELS = {"presence": 2, "scale": 2, "loc": 2}  # Table 4; z_what takes the rest
BACKGROUND_CHANNELS = 1


@dataclass(frozen=True)
class Encoding:
    """What `DeNF.encode` gives.

    Args:
        latents: of the images.
        ladj1, ladj2: log-determinants of f1⁻¹ and f2⁻¹, (B,).
        given: what the heads of presence, scale and loc were given, (B, 6, h, w). Their inverse
            returns it, so that it is not computed again where only z_what changes.
    """

    latents: Latents
    ladj1: Tensor
    ladj2: Tensor
    given: Tensor


class DeNF(nn.Module):
    """The bijection f: f1 (couplings 1–4, squeeze), trunk (5–8), one head per latent (9–12).

    `encode` is f⁻¹ (image → latents), `decode` is f (latents → image). With two squeezes (the
    ablation "smaller latent space") the second comes before the last split.

    Args:
        settings: see `DenfSettings`.
        precision: arithmetic inside the coupling subnets only; densities stay in float32.
    """

    def __init__(self, settings: DenfSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.settings = settings
        shape = settings.architecture

        def block(channels: int) -> Stack:
            return couplings(
                channels,
                count=shape.couplings,
                features=shape.features,
                clamp=shape.clamp,
                precision=precision,
                kind=settings.subnets,
            )

        channels = 4 * 3 - BACKGROUND_CHANNELS
        trunk: list[Bijection] = [block(channels)]
        if shape.squeezes == 2:
            trunk.append(Squeeze())
            channels *= 4
        what = channels - sum(LATENT_CHANNELS.values())
        self.head_channels = {**LATENT_CHANNELS, "what": what}
        haar = shape.squeeze is SqueezeKind.HAAR
        self.f1 = Stack([block(3), HaarSqueeze() if haar else Squeeze()])
        self.trunk = Stack(trunk)
        self.heads = nn.ModuleDict({name: block(k) for name, k in self.head_channels.items()})

    def latent_shapes(self, size: int) -> dict[str, tuple[int, int, int]]:
        """Shape of each latent of one square image of `size` × `size` pixels."""
        half, cells = size // 2, size // 2**self.settings.architecture.squeezes
        shapes = {name: (k, cells, cells) for name, k in self.head_channels.items()}
        return {"background": (BACKGROUND_CHANNELS, half, half), **shapes}

    def encode(self, x: Tensor) -> Encoding:
        """f⁻¹: images (B, 3, H, W) to latents and log-determinants."""
        z, ladj1 = self.f1(x)
        z_bg, z_fg = z.split((BACKGROUND_CHANNELS, z.shape[1] - BACKGROUND_CHANNELS), 1)
        z_fg, ladj2 = self.trunk(z_fg)
        given, what = z_fg.split(self._parted, 1)
        alike, ladj_alike = side_by_side(self._alike, given)
        what, ladj_what = self.heads["what"](what)
        parts = alike.chunk(len(LATENT_CHANNELS), 1)
        latents = Latents(z_bg, **dict(zip(LATENT_CHANNELS, parts, strict=True)), what=what)
        return Encoding(latents, ladj1, ladj2 + ladj_alike + ladj_what, given)

    def decode(self, latents: Latents) -> Tensor:
        """f: latents to images (B, 3, H, W)."""
        z = torch.cat((latents.background, self.decode_foreground(latents)), 1)
        return self.f1.inverse(z)[0]

    def decode_foreground(self, latents: Latents, given: Tensor | None = None) -> Tensor:
        """f2: the structured latents to f1's foreground channels (B, 11, H/2, W/2).

        Args:
            latents: of the images.
            given: see `Encoding`, for the presence, scale and loc of an encoding.
        """
        if given is None:
            alike = torch.cat([getattr(latents, name) for name in LATENT_CHANNELS], 1)
            given, _ = side_by_side_inverse(self._alike, alike)
        what, _ = cast(Bijection, self.heads["what"]).inverse(latents.what)
        return self.trunk.inverse(torch.cat((given, what), 1))[0]

    def reconstructions(
        self, latents: Latents, presence: Tensor, noise: Tensor, given: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x̂_bg of Eq. 5 and x̂_fg of Eq. 10, both from one pass through f1.

        The paper decodes the sampled z_pres. A cell's presence has two real channels here, which a
        sample in [0, 1] does not determine, so that they keep the values of the encoding, and the
        sample gates z_what alone.

        Args:
            latents: of the batch.
            presence: z_pres (B, h, w) in [0, 1]; gates z_what.
            noise: ε added to z_bg.
            given: see `Encoding`, for latents of an encoding.
        """
        gated = replace(latents, what=presence[:, None] * latents.what)
        z_fg = self.decode_foreground(gated, given)
        only_bg = torch.cat((latents.background + noise, torch.zeros_like(z_fg)), 1)
        only_fg = torch.cat((torch.zeros_like(latents.background), z_fg), 1)
        x_bg, x_fg = self.f1.inverse(torch.cat((only_bg, only_fg)))[0].chunk(2)
        return x_bg, x_fg

    def union(self, latents: Latents, presence: Tensor, edge: float | Tensor) -> Tensor:
        """ẑ_pres of Eq. 12: the union of the present cells' boxes, (B, h, w) in [0, 1].

        A cell is filled when it is covered by the boxes of a fraction `agreement` of the present
        cells around it, in a window of the mean object size; at 0 one box is enough (as printed).
        """
        h, w = presence.shape[1:]
        centres, sizes = cell_boxes(latents)
        s = self.settings
        around = present_around(presence.detach(), s.priors.scale_mean)
        kappa = (s.agreement * around).clamp(min=1)
        return box_union(presence.flatten(1), centres, sizes, (h, w), edge, s.union, kappa)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (B,): Eq. 1 with each cell's prior chosen by the sign of its logit.

        A density only with the settings of `denf.model.priors.is_density`.
        """
        return self.log_density(self.encode(x))

    def log_density(self, encoding: Encoding) -> Tensor:
        """`log_prob` of images that `encode` has mapped to latents and log-determinants."""
        latents = encoding.latents
        p = (latents.presence_logit > 0).to(latents.background.dtype)
        log_fg = log_foreground(latents, p, self.settings.priors, self.settings.absent)
        return log_background(latents.background) + log_fg + encoding.ladj1 + encoding.ladj2

    @property
    def _alike(self) -> list[Stack]:
        """The heads with two channels each, in the order of `Latents`; evaluated side by side."""
        return [cast(Stack, self.heads[name]) for name in LATENT_CHANNELS]

    @property
    def _parted(self) -> tuple[int, int]:
        """Channels of `_alike` and of z_what."""
        return sum(LATENT_CHANNELS.values()), self.head_channels["what"]


def to_pixels(cells: Tensor, shape: tuple[int, int]) -> Tensor:
    """Cells (B, h, w) repeated to the images' resolution (B, H, W)."""
    return functional.interpolate(cells[:, None], size=shape, mode="nearest")[:, 0]
