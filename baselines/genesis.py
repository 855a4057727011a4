"""GENESIS: masks from a sequence of latents, appearances given the masks, both with learned priors.

Engelcke, Kosiorek, Parker Jones and Posner, "GENESIS: Generative scene inference and sampling with
object-centric latent representations", ICLR 2020 (arXiv:1907.13052).

Architecture, constants, GECO and optimiser as in the authors' public repository
applied-ai-lab/genesis (its flags' defaults); seven slots for CLEVR6 and, as RELATE's authors
trained it on Real-Traffic (ogroth/genesis), nine there. What differs here: the mixture is summed by
log-sum-exp; evaluation takes the posteriors' means in place of samples, so that it can be repeated;
samples keep the tanh on the mean of the mask prior, which the published loss uses and the published
sampling leaves out; `view`, off by default, shows less of the images, for trainings of minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.autoregressive import AutoregressivePrior
from baselines.blocks.component_vae import ComponentVAE
from baselines.blocks.gaussian import DiagonalGaussian, learned_prior, posterior
from baselines.blocks.geco import Geco, GecoSettings
from baselines.blocks.images import check_size, to_bytes
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.blocks.stick_breaking import stick_breaking
from baselines.blocks.view import View, ViewSettings
from denf.errors import DenfError
from denf.harness.method import Capability, Step, descend

_SIZES = (16, 32, 64, 128, 256)
_STRIDES = {128: (2, 2, 2, 1, 1), 256: (2, 2, 2, 2, 1)}
_STRIDES_SMALL = (1, 2, 1, 2, 1)  # up to 64 pixels
_FULL, _HALF = 64, 32  # channels of the published mask VAE's layers

Draw = Callable[[DiagonalGaussian], Tensor]  # a sample, or at evaluation the mean


@dataclass(frozen=True)
class GenesisSettings:
    """Settings; defaults of applied-ai-lab/genesis unless said otherwise.

    Args:
        size: side of the images in pixels; of what the view shows, one of 16, 32, 64, 128, 256.
        slots: K; seven are six objects and the background of CLEVR6.
        width: channels of the mask VAE as a fraction of the published 32 and 64.
        hidden: units of the image's vector, of the priors' LSTM and of their MLP.
        mask_latent: dimensions of a slot's z_m.
        component_channels: of the component VAE's first convolutions and of its decoder.
        component_latent: dimensions of a slot's z_c.
        pixel_std: σ of the pixels, images in [0, 1].
        geco: how the KL is weighted.
        learning_rate: Adam's.
        masked_input: the component VAE sees m and m·x (see there); log m and x as published.
        posterior_shift: σ of every z is softplus of it at first. The published 0.5 starts near one;
            a short training then unlearns z_m, and with it the masks, before images come through.
        view: what is shown of the images and explained; all of them, as published.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    size: Annotated[int, Ge(16)] = 128
    slots: Annotated[int, Ge(2)] = 7
    width: Annotated[float, Gt(0)] = 1.0
    hidden: Annotated[int, Ge(1)] = 256
    mask_latent: Annotated[int, Ge(1)] = 64
    component_channels: Annotated[int, Ge(1)] = 32
    component_latent: Annotated[int, Ge(1)] = 16
    pixel_std: Annotated[float, Gt(0)] = 0.7
    geco: GecoSettings = field(default_factory=GecoSettings)
    learning_rate: Annotated[float, Gt(0)] = 1e-4
    masked_input: bool = False
    posterior_shift: float = 0.5
    view: ViewSettings = field(default_factory=ViewSettings)

    @property
    def side(self) -> int:
        """Side in pixels of what the view shows."""
        return self.size // self.view.shrink


class Gated(nn.Module):
    """h·sigmoid(g), where h and g are the halves of a convolution's channels.

    Args:
        conv: with an even number of output channels.
        normalise: both halves by BatchNorm.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, normalise: bool = True) -> None:
        super().__init__()
        half = conv.out_channels // 2
        self.conv = conv
        self.norm_h = nn.BatchNorm2d(half) if normalise else nn.Identity()
        self.norm_g = nn.BatchNorm2d(half) if normalise else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h, g = self.conv(x).chunk(2, 1)
        return self.norm_h(h) * torch.sigmoid(self.norm_g(g))


class MaskVAE(nn.Module):
    """q(z_m | x) = Π_k q(z_m,k | z_m,<k, x) by an LSTM, and log-masks by stick breaking.

    Args:
        settings: of the method.
    """

    def __init__(self, settings: GenesisSettings) -> None:
        super().__init__()
        s = settings
        full, half = (max(1, round(s.width * c)) for c in (_FULL, _HALF))
        strides = _STRIDES.get(s.side, _STRIDES_SMALL)
        cells = s.side // prod(strides)  # side of the coarsest feature map
        self.slots, self.latent, self.shift = s.slots, s.mask_latent, s.posterior_shift

        down = zip(
            (3, half, half, full, full), (half, half, full, full, full), strides, strict=True
        )
        convs = [Gated(nn.Conv2d(i, 2 * o, 5, stride, 2)) for i, o, stride in down]
        whole = Gated(nn.Conv2d(full, 2 * s.hidden, cells), normalise=False)
        self.encoder = nn.Sequential(*convs, whole, nn.Flatten())
        self.first = nn.Linear(s.hidden, 2 * s.mask_latent)
        self.lstm = nn.LSTMCell(s.hidden + s.mask_latent, 2 * s.mask_latent)
        self.later = nn.Linear(2 * s.mask_latent, 2 * s.mask_latent)

        up = zip(
            (full, full, half, half, half), (full, half, half, half, half), reversed(strides),
            strict=True,
        )  # fmt: skip
        grow = Gated(nn.ConvTranspose2d(s.mask_latent, 2 * full, cells), normalise=False)
        convs = [
            Gated(nn.ConvTranspose2d(i, 2 * o, 5, stride, 2, stride - 1)) for i, o, stride in up
        ]
        self.decoder = nn.Sequential(grow, *convs, nn.Conv2d(half, 1, 1))

    def encode(self, x: Tensor, draw: Draw) -> tuple[DiagonalGaussian, Tensor]:
        """Posteriors and latents, (B, K, latent), of x (B, 3, H, W) in [0, 1]."""
        h = self.encoder(x)
        q = [posterior(self.first(h), self.shift)]
        z, state = [draw(q[0])], None
        for _ in range(self.slots - 1):
            state = self.lstm(torch.cat((h, z[-1]), 1), state)
            q.append(posterior(self.later(state[0]), self.shift))
            z.append(draw(q[-1]))
        mean, std = (torch.stack(t, 1) for t in ([p.mean for p in q], [p.std for p in q]))
        return DiagonalGaussian(mean, std), torch.stack(z, 1)

    def decode(self, z: Tensor) -> Tensor:
        """Log-masks (B, K, 1, H, W) of latents (B, K, latent); the last is what others leave.

        All K latents are decoded, as published, although no mask takes the last slot's logit: the
        batch normalisation of the decoder counts every slot.
        """
        logits = self.decoder(z.flatten(0, 1)[:, :, None, None])
        return stick_breaking(logits.unflatten(0, (len(z), -1))[:, :-1])


class Genesis(MixtureMethod):
    """Segmentation by the masks of the stick-breaking process; no slot is the background's."""

    Settings = GenesisSettings
    capabilities = MixtureMethod.capabilities | {Capability.SAMPLE}

    def __init__(self, settings: GenesisSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        s = settings
        if s.side not in _SIZES:
            raise DenfError(
                "settings.size of GENESIS, divided by view.shrink",
                expected=f"one of {', '.join(map(str, _SIZES))}",
                got=s.side,
                fix="Change it and the size of the data set.",
            )
        self.view = View(s.view)
        self.masks = MaskVAE(s)
        self.mask_prior = AutoregressivePrior(s.mask_latent, s.hidden)
        self.components = ComponentVAE(
            size=s.side,
            channels=s.component_channels,
            latent=s.component_latent,
            outputs=3,
            activation=nn.ELU,
            masked=s.masked_input,
            shift=s.posterior_shift,
        )
        self.component_prior = nn.Sequential(
            nn.Linear(s.mask_latent, s.hidden), nn.ELU(),
            nn.Linear(s.hidden, s.hidden), nn.ELU(),
            nn.Linear(s.hidden, 2 * s.component_latent),
        )  # fmt: skip
        self.geco = Geco(s.geco, (3, s.side, s.side))

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.learning_rate)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        """GECO's Lagrangian of error and KL; divergences by the one sample."""
        x = self._seen(batch, step.index)
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
        x = self._seen(images)
        _, z_m = self.masks.encode(x, lambda q: q.mean)
        log_masks = self.masks.decode(z_m)
        z_c = self.components.encode(x, log_masks).mean
        mixture = SlotMixture(self.components.decode(z_c).sigmoid(), log_masks)
        return self.view.restore(mixture, images.shape[2:])

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Ancestral: mask latents slot by slot, appearances given them, both from the priors."""
        z_m = self.mask_prior.sample(count, self.settings.slots, generator)
        z_c = learned_prior(self.component_prior(z_m)).sample(generator)
        mixture = SlotMixture(self.components.decode(z_c).sigmoid(), self.masks.decode(z_m))
        size = (self.settings.size, self.settings.size)
        return to_bytes(self.view.restore(mixture, size).mean)

    def _seen(self, images: Tensor, index: int | None = None) -> Tensor:
        check_size(images, self.settings.size, "GENESIS")
        return self.view(images, index)
