"""q(z | x) of AIR (Eq. 2), one object per step, and the baseline of its gradient."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, linear, logsigmoid

from baselines.air.settings import AirSettings
from baselines.blocks.concrete import kl_bernoulli
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior, standard
from baselines.blocks.glimpse import crop
from baselines.blocks.perceptron import perceptron

WHERE = 3  # scale, shift along x, shift along y
PRESENCE_BIAS = 0.75  # as in akosiorek/attend_infer_repeat


class Trace(NamedTuple):
    """All T steps of inference.

    Args:
        presence: z_pres, (B, T) of 0 and 1; no 1 after a 0.
        boxes: (B, T, 4); see `baselines.blocks.glimpse`.
        what: z_what, (B, T, what).
        log_q: (B, T) log-probability of each presence, 0 after the first absent object.
        kl_presence: (B, T) divergence of each presence that was drawn, in nats.
        kl_object: (B, T) divergence of z_where and z_what of present objects, in nats.
        baseline: (B, T) predicted cost of this and all later steps.
    """

    presence: Tensor
    boxes: Tensor
    what: Tensor
    log_q: Tensor
    kl_presence: Tensor
    kl_object: Tensor
    baseline: Tensor

    @property
    def kl(self) -> Tensor:
        """(B, T) divergence of all latents of each step."""
        return self.kl_presence + self.kl_object

    @property
    def deciding(self) -> Tensor:
        """(B, T), 1 where presence was drawn: up to and including the first 0."""
        return torch.cat((torch.ones_like(self.presence[:, :1]), self.presence[:, :-1]), 1)


class AirInference(nn.Module):
    """q(z | x) step by step (Eq. 2), and the baseline of its gradient, with the same inputs."""

    def __init__(self, settings: AirSettings) -> None:
        super().__init__()
        self.settings = s = settings
        inputs = 3 * s.overview**2 + WHERE + s.what + 1
        self.lstm = nn.LSTMCell(inputs, s.hidden)
        self.head = perceptron(s.hidden, s.head, 1 + 2 * WHERE)
        self.encoder = perceptron(3 * s.glimpse**2, s.head, 2 * s.what)
        self.baseline_lstm = nn.LSTMCell(inputs, s.hidden)
        self.baseline_head = perceptron(s.hidden, s.head, 1)

    def baseline_parameters(self) -> list[nn.Parameter]:
        """Parameters of the baseline only."""
        return [*self.baseline_lstm.parameters(), *self.baseline_head.parameters()]

    def forward(self, x: Tensor, generator: torch.Generator | None, success: float) -> Trace:
        """All steps of inference.

        Args:
            x: images (B, 3, H, W) in [0, 1].
            generator: of all samples; None: means of Gaussians, likelier values of presence.
            success: prior probability of one more object.
        """
        s, b = self.settings, len(x)
        image = adaptive_avg_pool2d(x, s.overview).flatten(1)
        seen = of_image(self.lstm, image)
        baseline_seen = of_image(self.baseline_lstm, image.detach())
        where, what, presence = (x.new_zeros(b, n) for n in (WHERE, s.what, 1))
        presence = presence + 1
        state = baseline_state = (x.new_zeros(b, s.hidden), x.new_zeros(b, s.hidden))
        prior = self.where_prior(where)
        steps: list[tuple[Tensor, ...]] = []
        for _ in range(s.steps):
            before = presence
            known = torch.cat((where, what, before), 1)
            state = recur(self.lstm, seen, known, state)
            raw = self.head(state[0])
            logit = raw[:, :1] + PRESENCE_BIAS
            presence = before * _decide(logit, generator)
            offset = posterior(raw[:, 1:], 0)
            q_where = DiagonalGaussian(prior.mean + offset.mean, offset.std)
            where = draw(q_where, generator)
            boxes = to_boxes(where)
            glimpses = crop(x, boxes[:, None], s.glimpse).flatten(1)
            q_what = posterior(self.encoder(glimpses), 0)
            what = draw(q_what, generator)
            log_q = before * logsigmoid(torch.where(presence > 0, logit, -logit))
            kl_presence = before * kl_bernoulli(logit, success)
            kl_object = q_where.kl(prior).sum(1, True) + q_what.kl(standard(what)).sum(1, True)
            baseline_state = recur(
                self.baseline_lstm, baseline_seen, known.detach(), baseline_state
            )
            baseline = before * self.baseline_head(baseline_state[0])
            steps.append(
                (presence, boxes, what, log_q, kl_presence, presence * kl_object, baseline)
            )
        presence, boxes, what, *scalars = (
            torch.stack(values, 1) for values in zip(*steps, strict=True)
        )
        return Trace(presence[..., 0], boxes, what, *(value[..., 0] for value in scalars))

    def where_prior(self, like: Tensor) -> DiagonalGaussian:
        """p(z_where), in the shape of `like` (B, 3)."""
        s = self.settings
        mean, std = torch.zeros_like(like), torch.full_like(like, s.shift_prior_std)
        mean[:, 0], std[:, 0] = s.scale_prior_mean, s.scale_prior_std
        return DiagonalGaussian(mean, std)


def of_image(cell: nn.LSTMCell, image: Tensor) -> Tensor:
    """W_image · image + b, the image's part of the gates, which is the same in every step: (B, 4H).

    Args:
        cell: an LSTM whose inputs begin with the image.
        image: (B, pixels).
    """
    return linear(image, cell.weight_ih[:, : image.shape[1]], cell.bias_ih)


def recur(
    cell: nn.LSTMCell, seen: Tensor, known: Tensor, state: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """One step (h, c) of an LSTM: c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c').

    Args:
        cell: the LSTM.
        seen: the image's part of the gates (B, 4H); see `of_image`.
        known: the other inputs (B, n).
        state: h and c before, (B, H) each.
    """
    h, c = state
    of_known = linear(known, cell.weight_ih[:, -known.shape[1] :])
    i, f, g, o = (seen + of_known + linear(h, cell.weight_hh, cell.bias_hh)).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def to_boxes(where: Tensor) -> Tensor:
    """(B, 3) scale, shift x, shift y to (B, 4) boxes: side 1/scale, centre shift/scale.

    A box is at most as large as the image.
    """
    side = 1 / where[:, :1].clamp(min=1)
    return torch.cat((side, side, where[:, 1:] * side), 1)


def _decide(logit: Tensor, generator: torch.Generator | None) -> Tensor:
    """A Bernoulli sample, or the likelier value without a generator; 0 or 1, without gradient."""
    if generator is None:
        return (logit > 0).to(logit.dtype)
    u = torch.rand(logit.shape, generator=generator, device=logit.device, dtype=logit.dtype)
    return (u < torch.sigmoid(logit)).to(logit.dtype)
