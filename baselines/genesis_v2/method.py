"""GENESIS-V2: pixels clustered around random seed pixels, one latent per cluster.

Engelcke, Parker Jones and Posner, "GENESIS-V2: Inferring unordered object representations without
iterative refinement", NeurIPS 2021 (arXiv:2104.09958).

Architecture, constants, GECO and optimiser as in the authors' public repository
applied-ai-lab/genesis (its flags' defaults, without the auxiliary KL of the masks); seven slots for
CLEVR6. As there, segmentation uses the clusters, not the decoded masks. What differs here: the
mixture is summed by log-sum-exp, and evaluation uses one fixed map of seed scores for all images
and the posteriors' means instead of samples, so that it is repeatable.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.autoregressive import AutoregressivePrior
from baselines.blocks.gaussian import DiagonalGaussian, posterior
from baselines.blocks.geco import Geco
from baselines.blocks.images import check_size
from baselines.blocks.mixture import MixtureMethod, SlotMixture
from baselines.blocks.unet import UNet, conv_block, group_norm
from baselines.genesis_v2.clustering import SemiConvolution, cluster, masked_means
from baselines.genesis_v2.decoder import SlotDecoder
from baselines.genesis_v2.settings import GenesisV2Settings
from denf.harness.method import Capability, Prediction, Segmentation, Step, descend


class Terms(NamedTuple):
    """Terms of the loss, and the tensors from which they are computed.

    Args:
        error: negative log-likelihood, mean over the batch, in nats per image.
        kl: divergence of the latents, mean over the batch, in nats per image.
        x: images (B, 3, H, W) in [0, 1].
        log_masks: of the clusters, (B, K, 1, H, W).
        decoded: the decoded slots.
    """

    error: Tensor
    kl: Tensor
    x: Tensor
    log_masks: Tensor
    decoded: SlotMixture


class GenesisV2(MixtureMethod):
    """Segmentation by the clusters; no slot is known to be the background."""

    settings: GenesisV2Settings
    fixed_scores: Tensor
    capabilities = MixtureMethod.capabilities | {Capability.SAMPLE}

    def __init__(self, settings: GenesisV2Settings) -> None:
        super().__init__(settings)
        s, c = settings, settings.features
        self.encoder = UNet(s.size, 3, c, group_norm)
        self.colour_head = nn.Sequential(
            conv_block(c, c, group_norm), SemiConvolution(c, s.colours)
        )
        # s of the kernel exp(−d²/s), such that the clusters of K seeds cover the square of side 2.
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
        return {"adam": Adam(self.parameters(), self.settings.learning_rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        """GECO's Lagrangian of error and KL; the divergence is estimated from one sample."""
        x = self.shown(batch, step)
        check_size(x, self.settings.size, "GENESIS-V2")
        shape = (len(x), *x.shape[2:])
        scores = torch.rand(shape, generator=step.generator, device=x.device)
        log_masks, q = self.encode(x, scores)
        z = q.sample(step.generator)
        decoded = self.decode(z)
        error = -decoded.log_prob(x, self.settings.pixel_std).mean()
        kl = (q.log_prob(z) - self.prior(z).log_prob(z)).sum((1, 2)).mean()
        beta = self.geco.beta.clone()
        loss = self.loss(Terms(error, kl, x, log_masks, decoded))
        norm = descend(loss, self.optimizers["adam"], self, clip=None)
        return {
            "loss": loss.detach(),
            "error": error.detach(),
            "kl": kl.detach(),
            "beta": beta,
            "gradient_norm": norm,
        }

    def loss(self, terms: Terms) -> Tensor:
        """The scalar that is minimised."""
        return self.geco(terms.error, terms.kl)

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        """The cluster of the largest mask at each pixel."""
        return _largest(self._infer(images)[0])

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        log_masks, q = self._infer(images)
        return Prediction(_largest(log_masks), self.decode(q.mean).mean.clamp(0, 1))

    def decompose(self, images: Tensor) -> SlotMixture:
        """The decoded slots with their decoded masks."""
        return self.decode(self._infer(images)[1].mean)

    def generate(self, count: int, generator: torch.Generator) -> SlotMixture:
        """Decoded slots of latents drawn slot by slot from the prior."""
        return self.decode(self.prior.sample(count, self.settings.slots, generator))

    def encode(self, x: Tensor, scores: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        """Log-masks (B, K, 1, H, W) of the clusters and posteriors (B, K, features).

        Args:
            x: (B, 3, H, W) in [0, 1].
            scores: (B, H, W) in [0, 1), which choose the seeds; see `cluster`.
        """
        features = self.encoder(x)
        colours, scale = self.colour_head(features), self.log_scale.exp()
        log_masks = cluster(colours, scale, scores, self.settings.slots)
        pooled = masked_means(self.pixel_features(features), log_masks.exp())
        return log_masks, posterior(self.latent_head(pooled))

    def pixel_features(self, features: Tensor) -> Tensor:
        """Features that clusters average, (B, 2 · features, H, W), from the encoder's output."""
        return self.feature_head(features)

    def decode(self, z: Tensor) -> SlotMixture:
        """Colours in [0, 1] and mask logits of latents (B, K, features)."""
        linear = SlotMixture.of(self.decoder(z.flatten(0, 1)), len(z))
        return SlotMixture(linear.rgb.sigmoid(), linear.logits)

    def _infer(self, images: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        x = self.shown(images)
        check_size(x, self.settings.size, "GENESIS-V2")
        return self.encode(x, self.fixed_scores.expand(len(x), -1, -1))


def _largest(log_masks: Tensor) -> Segmentation:
    labels = log_masks[:, :, 0].argmax(1)
    return Segmentation(labels, labels)
