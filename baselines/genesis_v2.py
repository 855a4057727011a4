"""GENESIS-V2: pixels clustered around randomly chosen ones, a latent from every cluster.

Engelcke, Parker Jones and Posner, "GENESIS-V2: Inferring unordered object representations without
iterative refinement", NeurIPS 2021 (arXiv:2104.09958).

Architecture, constants, GECO and optimiser as in the authors' public repository
applied-ai-lab/genesis (its flags' defaults, without the auxiliary KL of the masks); seven slots for
CLEVR6. As there, objects are the clusters, not the decoded masks. What differs here: the mixture is
summed by log-sum-exp, and evaluation takes one fixed map of seed scores for all images and the
posteriors' means in place of samples, so that it can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, MultipleOf
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.autoregressive import AutoregressivePrior
from baselines.blocks.broadcast import coordinates
from baselines.blocks.gaussian import DiagonalGaussian, posterior
from baselines.blocks.geco import Geco, GecoSettings
from baselines.blocks.images import check_size, to_bytes, to_unit
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.blocks.stick_breaking import break_stick
from baselines.blocks.unet import UNet, conv_block, group_norm
from denf.harness.method import Capability, Explanation, Segmentation, Step, descend

_DOUBLINGS = 4  # of the decoder's grid
_LEAST, _MOST = 0.01, 0.99  # share of the scope that a cluster may take
_PLACES = 3.0  # spread of places among features whose own is about one
_LEAST_STD = 1e-3  # added to an image's deviation


@dataclass(frozen=True)
class GenesisV2Settings:
    """Settings; defaults of applied-ai-lab/genesis unless said otherwise.

    Args:
        size: side of the images in pixels, a power of two, at least 16.
        slots: K; seven are six objects and the background of CLEVR6.
        features: channels of encoder and decoder and dimensions of a slot's z.
        colours: dimensions of a pixel's embedding, the last two with its position added.
        pixel_std: σ of the pixels, images in [0, 1].
        geco: how the KL is weighted.
        learning_rate: Adam's.
        posterior_shift: raw deviation of every z at first, σ = softplus(posterior_shift); the
            published 0.5 starts σ near one, twenty times what tells images apart in the means,
            and a short training unlearns z before anything comes through.
        gate: of the semi-convolution at first; at the published 0 the image moves the clusters
            only once the gate has grown.
        standardised: the encoder sees an image less its mean colour, in units of its deviation, so
            that objects stand out against the floor and the borders' zeros are the floor's colour.
        positions: a cluster's first and second moments of place take the place of four of its
            features, so that the decoder need not learn places from the features.
        cluster_weight: of a second likelihood with the clusters in place of the decoded masks, 0 as
            published. It is the clusters' only gradient that does not have to wait until the
            decoder draws objects.
        mask_weight: of KL(clusters ‖ decoded masks), summed over pixels, 0 as published; the
            authors' code has it as an option, there without gradients into the decoder.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    size: Annotated[int, Ge(16)] = 128
    slots: Annotated[int, Ge(2)] = 7
    features: Annotated[int, Ge(8), MultipleOf(8)] = 64
    colours: Annotated[int, Ge(2)] = 8
    pixel_std: Annotated[float, Gt(0)] = 0.7
    geco: GecoSettings = field(default_factory=GecoSettings)
    learning_rate: Annotated[float, Gt(0)] = 1e-4
    posterior_shift: float = 0.5
    gate: float = 0.0
    standardised: bool = False
    positions: bool = False
    cluster_weight: Annotated[float, Ge(0)] = 0.0
    mask_weight: Annotated[float, Ge(0)] = 0.0


class SemiConvolution(nn.Module):
    """A gated 1 × 1 convolution plus the pixel's coordinates in [−1, 1] in the last two channels.

    Novotny et al. (2018), "Semi-convolutional operators for instance segmentation". With a
    gate that starts at zero, as published, clusters are discs at first.
    """

    def __init__(self, inputs: int, outputs: int, gate: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)
        self.gate = nn.Parameter(torch.tensor(gate))

    def forward(self, x: Tensor) -> Tensor:
        y = self.gate * self.conv(x)
        grid = coordinates(x.shape[2], x.shape[3], like=y)
        return torch.cat((y[:, :-2], y[:, -2:] + grid), 1)


class SlotDecoder(nn.Sequential):
    """A latent and coordinates on a grid of 1/16 of the image's side, doubled four times."""

    def __init__(self, size: int, features: int) -> None:
        before, layers = features + 2, []
        for _ in range(_DOUBLINGS):
            grow = nn.ConvTranspose2d(before, features, 5, stride=2, padding=2, output_padding=1)
            layers += [grow, group_norm(features), nn.ReLU()]
            before = features
        super().__init__(*layers, nn.Conv2d(features, 4, 1))
        self.cells = size // 2**_DOUBLINGS

    def forward(self, z: Tensor) -> Tensor:
        """(N, 4, size, size): colours and mask logit, linear, from latents (N, features)."""
        tiled = z[:, :, None, None].expand(-1, -1, self.cells, self.cells)
        grid = coordinates(self.cells, self.cells, like=z).expand(len(z), -1, -1, -1)
        return super().forward(torch.cat((tiled, grid), 1))


class GenesisV2(MixtureMethod):
    """Segmentation by the clusters; no slot is known to be the background."""

    Settings = GenesisV2Settings
    fixed_scores: Tensor
    capabilities = MixtureMethod.capabilities | {Capability.SAMPLE}

    def __init__(self, settings: GenesisV2Settings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        s, c = settings, settings.features
        self.encoder = UNet(s.size, 3, c, group_norm)
        self.colour_head = nn.Sequential(
            conv_block(c, c, group_norm), SemiConvolution(c, s.colours, s.gate)
        )
        # s of the kernel exp(−d²/s): clusters of K seeds then cover the square of side 2.
        self.log_scale = nn.Parameter(torch.tensor(-log(s.slots * log(2))))
        self.feature_head = nn.Sequential(conv_block(c, c, group_norm), nn.Conv2d(c, 2 * c, 1))
        self.latent_head = nn.Sequential(
            nn.LayerNorm(2 * c), nn.Linear(2 * c, 2 * c), nn.ReLU(), nn.Linear(2 * c, 2 * c)
        )
        self.decoder = SlotDecoder(s.size, c)
        self.prior = AutoregressivePrior(c, 4 * c)
        self.geco = Geco(s.geco, (3, s.size, s.size))
        scores = torch.rand(1, s.size, s.size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("fixed_scores", scores, persistent=False)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.learning_rate)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        """GECO's Lagrangian of error and KL; the divergence by the one sample."""
        s, x = self.settings, self._unit(batch)
        shape = (len(x), *x.shape[2:])
        scores = torch.rand(shape, generator=step.generator, device=x.device)
        log_masks, q = self.encode(x, scores)
        z = q.sample(step.generator)
        decoded = self.decode(z)
        error = -decoded.log_prob(x, s.pixel_std).mean()
        kl = (q.log_prob(z) - self.prior(z).log_prob(z)).sum((1, 2)).mean()
        beta = self.geco.beta.clone()
        loss = self.geco(error, kl)
        if s.cluster_weight:
            by_clusters = SlotMixture(decoded.rgb, log_masks).log_prob(x, s.pixel_std).mean()
            loss = loss - s.cluster_weight * by_clusters
        if s.mask_weight:
            disagreement = log_masks.exp() * (log_masks - decoded.log_masks)
            loss = loss + s.mask_weight * disagreement.sum((1, 2, 3, 4)).mean()
        norm = descend(loss, self.optimizers["adam"], self, clip=None)
        return {
            "loss": loss.detach(),
            "error": error.detach(),
            "kl": kl.detach(),
            "beta": beta,
            "gradient_norm": norm,
        }

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        """The cluster of the largest mask at each pixel."""
        return _largest(self._infer(images)[0])

    def explain(self, images: Tensor, truth: Tensor | None = None) -> Explanation:
        log_masks, q = self._infer(images)
        return Explanation(_largest(log_masks), self.decode(q.mean).mean.clamp(0, 1))

    def decompose(self, images: Tensor) -> SlotMixture:
        """The slots as they are decoded, blended by their decoded masks."""
        return self.decode(self._infer(images)[1].mean)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Latents slot by slot from the prior, blended by their decoded masks."""
        return to_bytes(self.decode(self.prior.sample(count, self.settings.slots, generator)).mean)

    def encode(self, x: Tensor, scores: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        """Log-masks (B, K, 1, H, W) of the clusters and posteriors (B, K, features).

        Args:
            x: (B, 3, H, W) in [0, 1].
            scores: (B, H, W) in [0, 1): which pixels become seeds, see `cluster`.
        """
        features = self.encoder(standardise(x) if self.settings.standardised else x)
        colours, scale = self.colour_head(features), self.log_scale.exp()
        log_masks = cluster(colours, scale, scores, self.settings.slots)
        seen = self.feature_head(features)
        if self.settings.positions:
            grid = _PLACES * coordinates(x.shape[2], x.shape[3], like=x)
            moments = torch.cat((grid, grid.square())).expand(len(x), -1, -1, -1)
            seen = torch.cat((seen[:, :-4], moments), 1)
        pooled = masked_means(seen, log_masks.exp())
        return log_masks, posterior(self.latent_head(pooled), self.settings.posterior_shift)

    def decode(self, z: Tensor) -> SlotMixture:
        """Colours in [0, 1] and mask logits of latents (B, K, features)."""
        linear = SlotMixture.of(self.decoder(z.flatten(0, 1)), len(z))
        return SlotMixture(linear.rgb.sigmoid(), linear.logits)

    def _infer(self, images: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        return self.encode(self._unit(images), self.fixed_scores.expand(len(images), -1, -1))

    def _unit(self, images: Tensor) -> Tensor:
        check_size(images, self.settings.size, "GENESIS-V2")
        return to_unit(images)


def _largest(log_masks: Tensor) -> Segmentation:
    labels = log_masks[:, :, 0].argmax(1)
    return Segmentation(labels, labels)


def cluster(colours: Tensor, scale: Tensor, scores: Tensor, slots: int) -> Tensor:
    """Instance colouring stick breaking, IC-SBP (Algorithm 1).

    The next seed is the pixel of the largest score times scope; its cluster takes the share
    α = exp(−‖colour − seed's colour‖² / scale) of the scope, clamped without touching gradients.

    Args:
        colours: embeddings (B, D, H, W).
        scale: of squared distances, a positive scalar.
        scores: (B, H, W) in [0, 1), independent and uniform.
        slots: K; the last takes what is left.

    Returns:
        log-masks (B, K, 1, H, W).
    """
    log_scope, log_masks = torch.zeros_like(colours[:, :1]), []
    for _ in range(slots - 1):
        pixel = (scores * log_scope[:, 0].exp()).flatten(1).argmax(1)
        index = pixel[:, None, None].expand(-1, colours.shape[1], 1)
        seed = colours.flatten(2).gather(2, index)[..., None]
        alpha = torch.exp(-(colours - seed).square().sum(1, keepdim=True) / scale)
        alpha = alpha + (alpha.clamp(_LEAST, _MOST) - alpha).detach()
        log_mask, log_scope = break_stick(log_scope, torch.logit(alpha))
        log_masks.append(log_mask)
    return torch.stack((*log_masks, log_scope), 1)


def standardise(x: Tensor) -> Tensor:
    """Images (B, 3, H, W) less their mean colours, divided by their own deviation."""
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + _LEAST_STD)


def masked_means(features: Tensor, masks: Tensor) -> Tensor:
    """Σ m f / (Σ m + 1e-5) over pixels, (B, K, C), of (B, C, H, W) under masks (B, K, 1, H, W)."""
    masks = masks[:, :, 0]
    total = torch.einsum("bkhw,bchw->bkc", masks, features)
    return total / (masks.sum((2, 3))[..., None] + 1e-5)
