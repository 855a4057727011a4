"""MONet: an attention network breaks the image into masks, one VAE explains every masked part.

Burgess, Matthey, Watters, Kabra, Higgins, Botvinick and Lerchner, "MONet: Unsupervised scene
decomposition and representation", arXiv:1901.11390, 2019.

Architecture as in the re-implementation of GENESIS' authors (public repository
applied-ai-lab/genesis); β, γ, the pixels' deviations, RMSprop's rate, batch size and number of
steps as published (appendix B). What follows that code rather than the paper: slots are mixed per
pixel and channel, the KL of the masks floors probabilities at 1e-5, σ = softplus(x + ½). The KL of
the latents is exact here, where that code draws one sample of it. `view`, off by default, shows
less of the images, for trainings of minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop

from baselines.blocks.component_vae import ComponentVAE
from baselines.blocks.gaussian import standard
from baselines.blocks.images import check_size, to_bytes
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.blocks.stick_breaking import break_stick
from baselines.blocks.unet import UNet, instance_norm
from baselines.blocks.view import View, ViewSettings
from denf.harness.method import Capability, Step, descend

_FLOOR = 1e-5  # of the masks' probabilities in their KL


@dataclass(frozen=True)
class MonetSettings:
    """Settings; values from appendix B of the paper unless said otherwise.

    Args:
        size: side of the images in pixels, a power of two, at least 16.
        slots: K, six objects and the background.
        channels: of the U-Net's finest blocks (applied-ai-lab/genesis).
        component_channels: of the component VAE's first convolutions and of its decoder.
        latent: dimensions of a slot's z.
        beta: weight of KL(q(z_k | x, m_k) ‖ N(0, I)).
        gamma: weight of KL(masks ‖ decoded masks).
        background_std: of the pixels in slot 0, images in [0, 1].
        object_std: of the pixels in the other slots.
        learning_rate: RMSprop's.
        masked_input: the component VAE sees m and m·x (see there); log m and x as published.
        posterior_shift: σ of z is softplus of it at first; 0.5 in applied-ai-lab/genesis, which
            starts near one, far above what tells slots apart in the means.
        view: what is shown of the images and explained; all of them, as published.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    size: Annotated[int, Ge(16)] = 128
    slots: Annotated[int, Ge(2)] = 7
    channels: Annotated[int, Ge(1)] = 32
    component_channels: Annotated[int, Ge(1)] = 32
    latent: Annotated[int, Ge(1)] = 16
    beta: Annotated[float, Ge(0)] = 0.5
    gamma: Annotated[float, Ge(0)] = 0.5
    background_std: Annotated[float, Gt(0)] = 0.09
    object_std: Annotated[float, Gt(0)] = 0.11
    learning_rate: Annotated[float, Gt(0)] = 1e-4
    masked_input: bool = False
    posterior_shift: float = 0.5
    view: ViewSettings = field(default_factory=ViewSettings)


class Monet(MixtureMethod):
    """Segmentation by the attention masks; at evaluation every z is its posterior's mean.

    Slot 0 has the background's deviation but need not be the background, so no label is.
    """

    Settings = MonetSettings
    pixel_std: Tensor
    capabilities = MixtureMethod.capabilities | {Capability.SAMPLE}

    def __init__(self, settings: MonetSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        s, side = settings, settings.size // settings.view.shrink
        self.view = View(s.view)
        self.attention = nn.Sequential(
            UNet(side, 4, s.channels, instance_norm), nn.Conv2d(s.channels, 1, 1)
        )
        self.component_vae = ComponentVAE(
            size=side,
            channels=s.component_channels,
            latent=s.latent,
            outputs=4,
            activation=nn.ReLU,
            masked=s.masked_input,
            shift=s.posterior_shift,
        )
        pixel_std = torch.full((s.slots, 1, 1, 1), s.object_std)
        pixel_std[0] = s.background_std
        self.register_buffer("pixel_std", pixel_std, persistent=False)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"rmsprop": RMSprop(self.parameters(), self.settings.learning_rate)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        """−log p(x | z, m) + β·KL(z) + γ·KL(m), mean over the batch."""
        x = self._seen(batch, step.index)
        log_masks = self.attend(x)
        q = self.component_vae.encode(x, log_masks)
        rgb, decoded_log_masks = self.decode(q.sample(step.generator))
        error = -SlotMixture(rgb, log_masks).log_prob(x, self.pixel_std).mean()
        kl_z = q.kl(standard(q.mean)).sum((1, 2)).mean()
        kl_masks = mask_kl(log_masks.exp(), decoded_log_masks.exp()).mean()
        loss = error + self.settings.beta * kl_z + self.settings.gamma * kl_masks
        norm = descend(loss, self.optimizers["rmsprop"], self, clip=None)
        return {
            "loss": loss.detach(),
            "error": error.detach(),
            "kl_z": kl_z.detach(),
            "kl_masks": kl_masks.detach(),
            "gradient_norm": norm,
        }

    def decompose(self, images: Tensor) -> SlotMixture:
        """Slots by the attention masks, colours from the posteriors' means."""
        x = self._seen(images)
        log_masks = self.attend(x)
        rgb, _ = self.decode(self.component_vae.encode(x, log_masks).mean)
        return self.view.restore(SlotMixture(rgb, log_masks), images.shape[2:])

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Slots drawn independently from N(0, I), blended by their decoded masks."""
        like = self.pixel_std.new_empty(count, self.settings.slots, self.settings.latent)
        z = standard(like).sample(generator)
        size = (self.settings.size, self.settings.size)
        return to_bytes(self.view.restore(SlotMixture(*self.decode(z)), size).mean)

    def attend(self, x: Tensor) -> Tensor:
        """Log-masks (B, K, 1, H, W) of x (B, 3, H, W): K − 1 runs on image and log-scope."""
        log_scope, log_masks = torch.zeros_like(x[:, :1]), []
        for _ in range(self.settings.slots - 1):
            logit = self.attention(torch.cat((x, log_scope), 1))
            log_mask, log_scope = break_stick(log_scope, logit)
            log_masks.append(log_mask)
        return torch.stack((*log_masks, log_scope), 1)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Colours (B, K, 3, H, W) in [0, 1] and log-masks (B, K, 1, H, W) of z (B, K, latent)."""
        rgb, logits = self.component_vae.decode(z).split((3, 1), 2)
        return rgb.sigmoid(), logits.log_softmax(1)

    def _seen(self, images: Tensor, index: int | None = None) -> Tensor:
        check_size(images, self.settings.size, "MONet")
        return self.view(images, index)


def mask_kl(q: Tensor, p: Tensor) -> Tensor:
    """KL(q‖p) of the slot of a pixel, summed over pixels, in nats an image, (B,).

    Args:
        q: masks (B, K, 1, H, W) that sum to one over K; floored at 1e-5 and normalised again.
        p: masks of the same shape, treated alike.
    """
    q, p = (m.clamp(min=_FLOOR) for m in (q, p))
    q, p = q / q.sum(1, keepdim=True), p / p.sum(1, keepdim=True)
    return (q * (q.log() - p.log())).sum((1, 2, 3, 4))
