"""q(z | x) of GMAIR, all cells at once, and the mixture prior of z_what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from baselines.blocks.cells import cell_centres
from baselines.blocks.concrete import kl_bernoulli
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior, standard
from baselines.blocks.glimpse import crop
from baselines.blocks.perceptron import perceptron
from baselines.gmair.networks import GLIMPSE, backbone, head
from baselines.gmair.settings import GmairSettings

WHERE_SPREAD = 0.5  # standard deviation of the normalised means of z_where (the code's fixed γ)
DEPTHS = 4.0  # depth is in (0, 4)
_HEADS = {"presence": 1, "where": 8, "depth": 2}  # means before raw standard deviations


class Objects(NamedTuple):
    """Latents of all N cells.

    Args:
        presence: (B, N, 1) probability p_i, not sampled.
        boxes: (B, N, 4); see `baselines.blocks.glimpse`.
        depth: (B, N, 1) in (0, 4); larger is nearer.
        what: z_what, (B, N, what).
        kl_presence: (B, N) in nats.
        kl_object: of cluster, where, depth and what, (B, N, ·) in nats, not yet weighted by
            presence.
    """

    presence: Tensor
    boxes: Tensor
    depth: Tensor
    what: Tensor
    kl_presence: Tensor
    kl_object: Mapping[str, Tensor]

    def kl(self) -> dict[str, Tensor]:
        """Per name, KL_pres,i of presence and p_i KL_i of the others, summed over cells, mean over
        images: scalars in nats."""
        weighted = {name: (self.presence * kl).sum(2) for name, kl in self.kl_object.items()}
        kl = {"presence": self.kl_presence, **weighted}
        return {name: value.sum(1).mean() for name, value in kl.items()}


class MixturePrior(nn.Module):
    """p(cluster) uniform and p(z_what | cluster) = N(W c + b, softplus(V c + d)²)."""

    def __init__(self, clusters: int, what: int) -> None:
        super().__init__()
        self.clusters = clusters
        self.mean = nn.Linear(clusters, what)
        self.raw_std = nn.Linear(clusters, what)

    def what(self, cluster: Tensor) -> DiagonalGaussian:
        """p(z_what | cluster) for relaxed clusters (..., clusters)."""
        return DiagonalGaussian(self.mean(cluster), softplus(self.raw_std(cluster)))

    def kl_cluster(self, logits: Tensor) -> Tensor:
        """KL(q ‖ uniform) = Σ q log q + log K of logits (..., K), (...)."""
        log_q = logits.log_softmax(-1)
        return (log_q.exp() * log_q).sum(-1) + math.log(self.clusters)


class GmairInference(nn.Module):
    """q(z | x) of all cells at once."""

    def __init__(self, settings: GmairSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.backbone = backbone(s.enlargements, s.width)
        self.heads = nn.ModuleDict({name: head(n, s.width) for name, n in _HEADS.items()})
        self.where_norm = nn.BatchNorm1d(4 * s.grid**2, affine=False)
        self.where_bias = nn.Parameter(torch.zeros(4 * s.grid**2))
        pixels, hidden = 3 * GLIMPSE**2, (8 * s.width,) * 3
        self.cluster = perceptron(pixels, *hidden, s.clusters)
        self.encoder = perceptron(pixels + s.clusters, *hidden, 2 * s.what)
        self.prior = MixturePrior(s.clusters, s.what)

    def glimpse_parameters(self) -> list[nn.Parameter]:
        """Parameters of the encoders of glimpses."""
        return [*self.cluster.parameters(), *self.encoder.parameters()]

    def forward(
        self,
        x: Tensor,
        presence: float,
        generator: torch.Generator | None,
    ) -> Objects:
        """Latents of all cells.

        Args:
            x: images (B, 3, size, size) in [0, 1].
            presence: prior probability.
            generator: of all samples; None: means and class probabilities.
        """
        s, features = self.settings, self.backbone(x)
        raw = {name: head(features).flatten(2).mT for name, head in self.heads.items()}
        logits = raw["presence"]
        q_where = self._where(raw["where"])
        boxes = self.boxes(draw(q_where, generator))
        glimpses = crop(x, boxes, GLIMPSE, extend=True).flatten(2)
        cluster_logits = self.cluster(glimpses)
        cluster = _relaxed(cluster_logits, s.temperature, generator)
        q_what = posterior(self.encoder(torch.cat((glimpses, cluster), 2)), 0)
        q_depth = posterior(raw["depth"], 0)
        depth = DEPTHS * torch.sigmoid(draw(q_depth, generator))
        p = torch.sigmoid(logits)
        kl_presence = kl_bernoulli(logits, presence)[..., 0]
        kl_object = {
            "cluster": self.prior.kl_cluster(cluster_logits)[..., None],
            "where": q_where.kl(standard(q_where.mean)),
            "depth": q_depth.kl(standard(q_depth.mean)),
            "what": q_what.kl(self.prior.what(cluster)),
        }
        return Objects(p, boxes, depth, draw(q_what, generator), kl_presence, kl_object)

    def boxes(self, where: Tensor) -> Tensor:
        """Boxes from z_where, (B, N, 4) each: σ maps sizes to (0, largest), centres to cells."""
        s = self.settings
        size, centre = torch.sigmoid(where).split(2, 2)
        corners = cell_centres(s.grid, where) - 0.5
        return torch.cat((size * s.largest / s.size, 2 * (corners + centre) / s.grid - 1), 2)

    def _where(self, raw: Tensor) -> DiagonalGaussian:
        """Means are normalised over the batch, so that the divergence cannot make them equal."""
        q = posterior(raw, 0)
        mean = WHERE_SPREAD * self.where_norm(q.mean.flatten(1)) + self.where_bias
        return DiagonalGaussian(mean.view_as(q.mean), q.std)


def _relaxed(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """A Gumbel-softmax sample over the last axis, or the probabilities without a generator."""
    if generator is None:
        return logits.softmax(-1)
    exponential = torch.empty_like(logits).exponential_(generator=generator)
    return ((logits - exponential.clamp(min=1e-20).log()) / temperature).softmax(-1)
