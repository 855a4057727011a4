"""MONet: an attention network divides the image into masks, and one VAE models every masked part.

Burgess, Matthey, Watters, Kabra, Higgins, Botvinick and Lerchner, "MONet: Unsupervised scene
decomposition and representation", arXiv:1901.11390, 2019.

Architecture as in the re-implementation of GENESIS' authors (public repository
applied-ai-lab/genesis); β, γ, the pixels' standard deviations, RMSprop's learning rate, batch size
and number of steps as published (appendix B). As in that code and unlike the paper, slots are mixed
per pixel and channel, the KL of the masks clamps probabilities at 1e-5, and σ = softplus(x + ½).
The KL of the latents is exact here; that code estimates it from one sample.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop

from baselines.blocks.component_vae import ComponentVAE
from baselines.blocks.gaussian import standard
from baselines.blocks.images import check_size
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.blocks.stick_breaking import break_stick
from baselines.blocks.unet import UNet, instance_norm
from baselines.monet.settings import MonetSettings
from denf.harness.method import Capability, Step, descend

_FLOOR = 1e-5  # least probability of masks in their KL


class Monet(MixtureMethod):
    """Segmentation by the attention masks; in evaluation every z is its posterior's mean.

    Slot 0 has the background's σ but need not be the background, so that no label is known to be.
    """

    settings: MonetSettings
    pixel_std: Tensor
    capabilities = MixtureMethod.capabilities | {Capability.SAMPLE}

    def __init__(self, settings: MonetSettings) -> None:
        super().__init__(settings)
        s = settings
        self.attention = nn.Sequential(
            UNet(s.size, 4, s.channels, instance_norm), nn.Conv2d(s.channels, 1, 1)
        )
        self.component_vae = ComponentVAE(
            size=s.size,
            channels=s.component_channels,
            latent=s.latent,
            outputs=4,
            activation=nn.ReLU,
        )
        pixel_std = torch.full((s.slots, 1, 1, 1), s.object_std)
        pixel_std[0] = s.background_std
        self.register_buffer("pixel_std", pixel_std, persistent=False)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"rmsprop": RMSprop(self.parameters(), self.settings.learning_rate)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        """−log p(x | z, m) + β·KL(z) + γ·KL(m), mean over the batch."""
        x = self.shown(batch, step)
        check_size(x, self.settings.size, "MONet")
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
        """Slots with the attention masks, and with colours from the posteriors' means."""
        x = self.shown(images)
        check_size(x, self.settings.size, "MONet")
        log_masks = self.attend(x)
        rgb, _ = self.decode(self.component_vae.encode(x, log_masks).mean)
        return SlotMixture(rgb, log_masks)

    def generate(self, count: int, generator: torch.Generator) -> SlotMixture:
        """Slots drawn independently from N(0, I), with their decoded masks."""
        like = self.pixel_std.new_empty(count, self.settings.slots, self.settings.latent)
        return SlotMixture(*self.decode(standard(like).sample(generator)))

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


def mask_kl(q: Tensor, p: Tensor) -> Tensor:
    """KL(q‖p) of the distributions over slots, summed over pixels, in nats per image, (B,).

    Args:
        q: masks (B, K, 1, H, W) that sum to one over K; clamped at 1e-5 and renormalised.
        p: masks of the same shape, clamped and renormalised too.
    """
    q, p = (m.clamp(min=_FLOOR) for m in (q, p))
    q, p = q / q.sum(1, keepdim=True), p / p.sum(1, keepdim=True)
    return (q * (q.log() - p.log())).sum((1, 2, 3, 4))
