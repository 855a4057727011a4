"""q(z | x) of SPAIR: the cells of a grid in raster order, each given its earlier neighbours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.blocks.concrete import kl_bernoulli, relaxed_bernoulli
from baselines.blocks.convolutions import convolution
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior, standard
from baselines.blocks.glimpse import crop
from baselines.blocks.perceptron import perceptron
from baselines.spair.count_prior import CountPrior
from baselines.spair.settings import SpairSettings

BOX = 4  # logits of width, height and of the centre along x and y
LOOK_BACK = ((-1, -1), (-1, 0), (-1, 1), (0, -1))  # offsets (row, column) of the context
SIZE_PRIOR = (-2.197, 0.5)  # mean and standard deviation of the logits of width and height


class Objects(NamedTuple):
    """Latents of all N cells, row by row.

    Args:
        presence: (B, N, 1) in (0, 1).
        boxes: (B, N, 4); see `baselines.blocks.glimpse`.
        depth: (B, N, 1) in (0, 1); smaller is nearer.
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
        """Infer the latents of the cells, row by row.

        Args:
            x: (B, 3, H, W) in [0, 1].
            success: of the geometric prior.
            generator: of all samples; None: means and the probability of presence.
            wheels: stop the gradients of presence, depth and where.
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
        """One cell: its latents as context for later cells, and its entries of `Objects`."""
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
        """Boxes from logits (B, 4) of a cell (row, column), in images of `side` pixels per side.

        Returns:
            two tensors (B, 4): in units of anchor and cell, with sizes in (0, 1) and the centre in
            (-0.5, 1.5) from the cell's corner; and as in `baselines.blocks.glimpse`.
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
