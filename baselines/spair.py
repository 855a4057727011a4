"""SPAIR: the cells of a grid look for objects one after another, each knowing its neighbours.

Crawford, E. and Pineau, J., "Spatially invariant unsupervised object detection with convolutional
neural networks", AAAI 2019. The networks and settings are those that karazijal/clevrtex trains on
CLEVR at 128² (Karazija et al., "ClevrTex", NeurIPS Datasets and Benchmarks 2021), which adjust the
original (e2crawfo/auto_yolo) in these points: a deeper backbone with cells of 32 pixels, glimpses
of 24², a broadcast decoder, a background of one latent number, a Bernoulli divergence of presence
with weight 2.7 on all divergences of objects, and a depth that divides: less is nearer.

Differences: a constant learning rate in place of one that falls on a plateau of the validation
loss; the four neighbours visited before alone are the context (the code adds the trained vector
for cells outside the grid a fifth time); labels and reconstructions take means and the probability
of presence in place of samples. No score on CLEVR6 is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt, MultipleOf
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from baselines.blocks.annealing import Ramp
from baselines.blocks.background_vae import BackgroundVae
from baselines.blocks.broadcast import BroadcastDecoder
from baselines.blocks.concrete import kl_bernoulli, relaxed_bernoulli
from baselines.blocks.convolutions import convolution
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior, standard
from baselines.blocks.glimpse import crop, place
from baselines.blocks.glimpse_explanation import GLIMPSE_CAPABILITIES, explanation
from baselines.blocks.images import check_multiple, to_unit
from baselines.blocks.likelihood import gaussian_log_prob
from baselines.blocks.perceptron import perceptron
from denf.harness.method import Explanation, OnePassMethod, Step, descend

BOX = 4  # logits of width, height and of the centre along x and y
LOOK_BACK = ((-1, -1), (-1, 0), (-1, 1), (0, -1))  # rows and columns of the context
SIZE_PRIOR = (-2.197, 0.5)  # mean and deviation of the logits of width and height
_EDGE = 1e-6  # of the prior probability of presence
_LEAST_WEIGHT = 0.01  # of a cell in a pixel


@dataclass(frozen=True)
class SpairSettings:
    """Settings; values of karazijal/clevrtex for CLEVR.

    Args:
        cell: side of the grid's cells in pixels.
        anchor: side of the largest box in pixels.
        glimpse: side of the glimpses in pixels.
        what: dimensions of z_what.
        features: of the backbone in each cell; ten groups are normalised.
        hidden: units of both hidden layers of the heads of box, depth and presence.
        passed: features that a head passes on to the next, after a ReLU.
        success: of the geometric prior of the number of objects, by step.
        temperature: of the relaxed presence.
        beta: weight of the objects' divergences, by step (published: 2.7 throughout).
        std: of the pixels around the canvas, image range 1.
        training_wheels: steps at first in which no gradient reaches presence, depth and where,
            while glimpses and background learn (1,000 in e2crawfo/auto_yolo).
        alpha_scale: factor of the logits of alpha (0.1 in e2crawfo/auto_yolo, 1 in its settings for
            CLEVR).
        alpha_bias: added to them (0 in e2crawfo/auto_yolo, 1 in its settings for CLEVR).
        decoder: channels of the convolutions that decode glimpses and background.
        rate: Adam's learning rate.
        gradient_clip: largest gradient norm.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    cell: Literal[8, 16, 32] = 32
    anchor: Annotated[float, Gt(0)] = 48.0
    glimpse: Annotated[int, Ge(2)] = 24
    what: Annotated[int, Ge(1)] = 64
    features: Annotated[int, Ge(10), MultipleOf(10)] = 100
    hidden: Annotated[int, Ge(1)] = 100
    passed: Annotated[int, Ge(1)] = 100
    success: Ramp = field(default_factory=lambda: Ramp(1e-4, 0.99, first=0, last=10_000))
    temperature: Annotated[float, Gt(0)] = 1.0
    beta: Ramp = field(default_factory=lambda: Ramp(2.7, 2.7, first=0, last=0))
    std: Annotated[float, Gt(0)] = 0.15
    training_wheels: Annotated[int, Ge(0)] = 0
    alpha_scale: Annotated[float, Gt(0)] = 1.0
    alpha_bias: float = 0.0
    decoder: Annotated[int, Ge(1)] = 32
    rate: Annotated[float, Gt(0)] = 1e-4
    gradient_clip: Annotated[float, Gt(0)] = 1.0


class Objects(NamedTuple):
    """Latents of all N cells, row by row.

    Args:
        presence: (B, N, 1) in (0, 1).
        boxes: (B, N, 4); see `glimpse`.
        depth: (B, N, 1) in (0, 1); less is nearer.
        what: (B, N, what).
        kl_presence, kl_where, kl_depth, kl_what: (B, N) in nats.
    """

    presence: Tensor
    boxes: Tensor
    depth: Tensor
    what: Tensor
    kl_presence: Tensor
    kl_where: Tensor
    kl_depth: Tensor
    kl_what: Tensor


class CountPrior:
    """p(z_pres,i | z_pres,<i) when the number C of objects is geometric and every subset of C
    cells is as likely (section 3.3 of the paper).

    p(z_i = 1 | z_<i) = Σ_C p(C | z_<i) max(C - n_i, 0) / (N - i), n_i objects in the cells before.

    Args:
        cells: N.
        success: s of p(C) ∝ s^C, C = 0, …, N.
        like: gives batch, device and dtype.
    """

    def __init__(self, cells: int, success: float, like: Tensor) -> None:
        self.cells = cells
        self.counts = torch.arange(cells + 1, dtype=like.dtype, device=like.device)
        powers = success**self.counts
        self.belief = (powers / powers.sum()).expand(len(like), -1)  # (B, N + 1)
        self.found = like.new_zeros(len(like), 1)

    def probability(self, cell: int) -> Tensor:
        """(B, 1) of presence in the 0-based cell that comes next."""
        return (self.belief * self._given_count(cell)).sum(1, keepdim=True).clamp(_EDGE, 1 - _EDGE)

    def observe(self, presence: Tensor, cell: int) -> None:
        """Bayes' rule for the rounded presence (B, 1) of this cell; no gradient."""
        seen = presence.detach().round()
        p = self._given_count(cell)
        belief = self.belief * (seen * p + (1 - seen) * (1 - p))
        self.belief = belief / belief.sum(1, keepdim=True).clamp(min=_EDGE)
        self.found = self.found + seen

    def _given_count(self, cell: int) -> Tensor:
        return ((self.counts - self.found).clamp(min=0) / (self.cells - cell)).clamp(max=1)


class SpairInference(nn.Module):
    """q(z | x), cell by cell."""

    def __init__(self, settings: SpairSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.backbone = nn.Sequential(
            convolution(3, 16, 4, stride=2),
            convolution(16, 32, 8, stride=2),
            convolution(32, 64, 8, stride=2),
            convolution(64, 128, 16, stride=1 if s.cell == 8 else 2),
            convolution(128, 256, 32, stride=2 if s.cell == 32 else 1),
            convolution(256, s.features, 10, kernel=1),
        )
        latents = 1 + BOX + 1 + s.what
        self.outside = nn.Parameter(torch.zeros(latents))
        seen = s.features + len(LOOK_BACK) * latents
        hidden = (s.hidden, s.hidden)
        self.box_head = perceptron(seen, *hidden, 2 * BOX + s.passed)
        described = seen + BOX + s.what + s.passed
        self.depth_head = perceptron(described, *hidden, 2 + s.passed)
        self.presence_head = perceptron(described + 1, *hidden, 1)
        self.encoder = perceptron(s.features + BOX + 3 * s.glimpse**2, 256, 128, 2 * s.what)

    def forward(
        self,
        x: Tensor,
        success: float,
        generator: torch.Generator | None,
        *,
        wheels: bool = False,
    ) -> Objects:
        """Visit the cells row by row.

        Args:
            x: (B, 3, H, W) in [0, 1].
            success: of the geometric prior.
            generator: None for means.
            wheels: cut the gradients of presence, depth and where.
        """
        features = self.backbone(x)
        rows, columns = features.shape[2:]
        outside = self.outside.expand(len(x), -1)
        prior = CountPrior(rows * columns, success, x)
        visited: dict[tuple[int, int], Tensor] = {}
        found: list[tuple[Tensor, ...]] = []
        for index in range(rows * columns):
            i, j = divmod(index, columns)
            around = [visited.get((i + di, j + dj), outside) for di, dj in LOOK_BACK]
            state, latents = self._cell(
                x, features[:, :, i, j], around, (i, j), prior, generator, wheels=wheels
            )
            visited[i, j] = state
            found.append(latents)
        return Objects(*(torch.stack(values, 1) for values in zip(*found, strict=True)))

    def _cell(
        self,
        x: Tensor,
        features: Tensor,
        around: list[Tensor],
        cell: tuple[int, int],
        prior: CountPrior,
        generator: torch.Generator | None,
        *,
        wheels: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One cell: its state for the neighbours, and its entries of `Objects`."""
        s = self.settings
        seen = torch.cat((features, *around), 1)
        raw, passed = self.box_head(seen).split((2 * BOX, s.passed), 1)
        passed = torch.relu(passed)
        q_where = posterior(raw.detach() if wheels else raw, 0)
        where = draw(q_where, generator)
        local, box = self.boxes(where, cell, x.shape[3])
        glimpse = crop(x, box[:, None], s.glimpse).flatten(1)
        q_what = posterior(self.encoder(torch.cat((features, local, glimpse), 1)), 0)
        what = draw(q_what, generator)
        described = torch.cat((seen, local, what), 1)
        raw, passed = self.depth_head(torch.cat((described, passed), 1)).split((2, s.passed), 1)
        passed = torch.relu(passed)
        q_depth = posterior(raw.detach() if wheels else raw, 0)
        depth = torch.sigmoid(draw(q_depth, generator).clamp(-10, 10))
        logit = self.presence_head(torch.cat((described, depth, passed), 1))
        logit = logit.detach() if wheels else logit
        if generator is None:
            presence = torch.sigmoid(logit)
        else:
            presence = relaxed_bernoulli(logit, s.temperature, generator)
        index = cell[0] * (x.shape[3] // s.cell) + cell[1]
        kl_presence = kl_bernoulli(logit, prior.probability(index)).sum(1)
        prior.observe(presence, index)
        divergences = (
            kl_presence,
            q_where.kl(_where_prior(where)).sum(1),
            q_depth.kl(standard(depth)).sum(1),
            q_what.kl(standard(what)).sum(1),
        )
        state = torch.cat((presence, where, depth, what), 1)
        return state, (presence, box, depth, what, *divergences)

    def boxes(self, where: Tensor, cell: tuple[int, int], side: int) -> tuple[Tensor, Tensor]:
        """Boxes from logits (B, 4) in a cell (row, column) of images of so many pixels a side.

        Returns:
            in units of anchor and cell: sizes in (0, 1), centre in (-0.5, 1.5) from the cell's
            corner; and as `glimpse` takes them. (B, 4) each.
        """
        s = self.settings
        size, centre = torch.sigmoid(where).split(2, 1)
        centre = 2 * centre - 0.5
        x, y = ((centre[:, k] + cell[1 - k]) * s.cell / side for k in (0, 1))
        middle = torch.stack((x, y), 1) * 2 - 1
        return torch.cat((size, centre), 1), torch.cat((size * s.anchor / side, middle), 1)


def _where_prior(like: Tensor) -> DiagonalGaussian:
    mean, std = torch.zeros_like(like), torch.ones_like(like)
    mean[:, :2], std[:, :2] = SIZE_PRIOR
    return DiagonalGaussian(mean, std)


def blend(rgb: Tensor, masks: Tensor, depth: Tensor, background: Tensor) -> Tensor:
    """Σ_n w_n (m_n rgb_n + (1 - m_n) background) / Σ_n w_n with w_n = max(m_n / depth_n, 0.01).

    Args:
        rgb: (B, N, 3, H, W).
        masks: m, (B, N, 1, H, W), presence times alpha.
        depth: (B, N, 1) in (0, 1).
        background: (B, 3, H, W).

    Returns:
        (B, 3, H, W).
    """
    weights = (masks / depth[..., None, None]).clamp(min=_LEAST_WEIGHT)
    layers = masks * rgb + (1 - masks) * background[:, None]
    return (weights * layers).sum(1) / weights.sum(1)


class SpairMethod(OnePassMethod):
    """A weighted evidence lower bound; presence is relaxed, so that all gradients go through."""

    Settings = SpairSettings
    capabilities = GLIMPSE_CAPABILITIES

    def __init__(self, settings: SpairSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        self.inference = SpairInference(settings)
        self.decoder = BroadcastDecoder(
            settings.what, (settings.decoder,) * 4, 4, activation=nn.ReLU, padded=False
        )
        self.background = BackgroundVae(decoder=settings.decoder)

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"adam": Adam(self.parameters(), self.settings.rate, fused=True)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, x = self.settings, self._unit(batch)
        objects = self.inference(
            x, s.success.at(step.index), step.generator, wheels=step.index < s.training_wheels
        )
        background, kl_background = self.background(x, step.generator)
        canvas, _ = self._render(objects, background)
        log_likelihood = gaussian_log_prob(x, canvas, s.std).flatten(1).sum(1).mean()
        kl = {
            name: getattr(objects, name).sum(1).mean()
            for name in ("kl_presence", "kl_where", "kl_depth", "kl_what")
        }
        kl_objects = torch.stack(list(kl.values())).sum()
        loss = -log_likelihood + s.beta.at(step.index) * kl_objects + kl_background.mean()
        norm = descend(loss, self.optimizers["adam"], self, s.gradient_clip)
        return {
            "loss": loss.detach(),
            "log_likelihood": log_likelihood.detach(),
            **{name: value.detach() for name, value in kl.items()},
            "kl_background": kl_background.detach().mean(),
            "objects": objects.presence.detach().sum((1, 2)).mean(),
            "gradient_norm": norm,
        }

    def explain(self, images: Tensor, truth: Tensor | None = None) -> Explanation:
        x = self._unit(images)
        objects = self.inference(x, self.settings.success.end, None)
        background, _ = self.background(x, None)
        canvas, masks = self._render(objects, background)
        presence = objects.presence[:, :, 0]
        return explanation(masks, presence, objects.boxes, canvas=canvas, background=background)

    def _render(self, objects: Objects, background: Tensor) -> tuple[Tensor, Tensor]:
        """Canvas (B, 3, H, W) and masks (B, N, 1, H, W)."""
        side = self.settings.glimpse
        logits = self.decoder(objects.what.flatten(0, 1), (side, side))
        rgb, alpha = logits.unflatten(0, objects.what.shape[:2]).split((3, 1), 2)
        alpha = self.settings.alpha_scale * alpha + self.settings.alpha_bias
        glimpses = torch.sigmoid(torch.cat((rgb, alpha), 2))
        shape = (background.shape[2], background.shape[3])
        rgb, alpha = place(glimpses, objects.boxes, shape).split((3, 1), 2)
        masks = alpha * objects.presence[..., None, None]
        return blend(rgb, masks, objects.depth, background), masks

    def _unit(self, images: Tensor) -> Tensor:
        check_multiple(images, self.settings.cell, "spair")
        return to_unit(images)
