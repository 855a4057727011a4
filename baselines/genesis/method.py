"""GENESIS: masks from a sequence of latents, appearances given the masks, both with learned priors.

Engelcke, Kosiorek, Parker Jones and Posner, "GENESIS: Generative scene inference and sampling with
object-centric latent representations", ICLR 2020 (arXiv:1907.13052).

Architecture, constants, GECO and optimiser as in the authors' public repository
applied-ai-lab/genesis (its flags' defaults); seven slots for CLEVR6, and nine for Real-Traffic, as
RELATE's authors trained it there (ogroth/genesis). What differs here: the mixture is summed by
log-sum-exp; evaluation uses the posteriors' means instead of samples, so that it is repeatable;
sampling keeps the tanh on the mean of the mask prior, which is in the published loss but not in the
published sampling.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.autoregressive import AutoregressivePrior
from baselines.blocks.component_vae import ComponentVAE
from baselines.blocks.gaussian import learned_prior
from baselines.blocks.geco import Geco
from baselines.blocks.images import check_size
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.genesis.masks import MaskVAE
from baselines.genesis.settings import GenesisSettings
from denf.harness.method import Capability, Step, descend


class Genesis(MixtureMethod):
    """Segmentation by the masks of the stick-breaking process; no slot is known as background."""

    settings: GenesisSettings
    capabilities = MixtureMethod.capabilities | {Capability.SAMPLE}

    def __init__(self, settings: GenesisSettings) -> None:
        super().__init__(settings)
        s = settings
        self.masks = MaskVAE(s)
        self.mask_prior = AutoregressivePrior(s.mask_latent, s.hidden)
        self.components = ComponentVAE(
            size=s.size,
            channels=s.component_channels,
            latent=s.component_latent,
            outputs=3,
            activation=nn.ELU,
        )
        self.component_prior = nn.Sequential(
            nn.Linear(s.mask_latent, s.hidden), nn.ELU(),
            nn.Linear(s.hidden, s.hidden), nn.ELU(),
            nn.Linear(s.hidden, 2 * s.component_latent),
        )  # fmt: skip
        self.geco = Geco(s.geco, (3, s.size, s.size))

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        """GECO's Lagrangian of error and KL; divergences are estimated from one sample."""
        x = self.shown(batch, step)
        check_size(x, self.settings.size, "GENESIS")
        q_m, z_m = self.masks.encode(x, lambda q: q.sample(step.generator))
        log_masks = self.masks.decode(z_m)
        q_c = self.components.encode(x, log_masks)
        z_c = q_c.sample(step.generator)
        mixture = SlotMixture(self.components.decode(z_c).sigmoid(), log_masks)
        error = -mixture.log_prob(x, self.settings.pixel_std).mean()
        p_m, p_c = self.mask_prior(z_m), learned_prior(self.component_prior(z_m))
        kl_masks = (q_m.log_prob(z_m) - p_m.log_prob(z_m)).sum((1, 2)).mean()
        kl_components = (q_c.log_prob(z_c) - p_c.log_prob(z_c)).sum((1, 2)).mean()
        beta = self.geco.beta.clone()
        loss = self.geco(error, kl_masks + kl_components)
        norm = descend(loss, self.optimizers["adam"], self, clip=None)
        return {
            "loss": loss.detach(),
            "error": error.detach(),
            "kl_masks": kl_masks.detach(),
            "kl_components": kl_components.detach(),
            "beta": beta,
            "gradient_norm": norm,
        }

    def decompose(self, images: Tensor) -> SlotMixture:
        """Slots from the means of both posteriors."""
        x = self.shown(images)
        check_size(x, self.settings.size, "GENESIS")
        _, z_m = self.masks.encode(x, lambda q: q.mean)
        log_masks = self.masks.decode(z_m)
        z_c = self.components.encode(x, log_masks).mean
        return SlotMixture(self.components.decode(z_c).sigmoid(), log_masks)

    def generate(self, count: int, generator: torch.Generator) -> SlotMixture:
        """Ancestral samples: mask latents slot by slot, then component latents given these."""
        z_m = self.mask_prior.sample(count, self.settings.slots, generator)
        z_c = learned_prior(self.component_prior(z_m)).sample(generator)
        return SlotMixture(self.components.decode(z_c).sigmoid(), self.masks.decode(z_m))
