"""AIR: a recurrent network explains one object a step, until it says that none is left.

Eslami, S. M. A., Heess, N., Weber, T., Tassa, Y., Szepesvari, D., Kavukcuoglu, K. and Hinton, G.
E., "Attend, infer, repeat: Fast scene understanding with generative models", NeurIPS 2016.
Networks, latents, gradient estimator and optimiser as in addtt/attend-infer-repeat-pytorch.

No AIR for CLEVR6 is published: the paper and the code draw grey objects on black, at most three.
The adaptation is ours, and a row of a table made with it has no reported value:

- six steps; glimpses of three colours and an alpha channel; a later object covers an earlier one;
- the background of `blocks.background_vae`, a single latent number;
- the two LSTMs see the image averaged to 32² pixels, as many values as the published 50² ones;
  glimpses are cropped from the whole image;
- priors N(4, 1) of the scale and N(0, 2²) of the shift, for boxes of a quarter of the image side
  anywhere in it (published: N(3, 0.2²) and N(0, 1)); both posteriors start at their priors' means,
  and presence at a probability of σ(0.75), as in akosiorek/attend_infer_repeat;
- labels and reconstructions take means and the likelier value of presence in place of samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

import torch
from annotated_types import Ge, Gt
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, logsigmoid
from torch.optim import Adam, Optimizer

from baselines.blocks.annealing import Ramp
from baselines.blocks.background_vae import BackgroundVae, seen
from baselines.blocks.concrete import kl_bernoulli
from baselines.blocks.convolutions import quieten
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior, standard
from baselines.blocks.glimpse import crop, place
from baselines.blocks.glimpse_explanation import GLIMPSE_CAPABILITIES, explanation
from baselines.blocks.images import to_unit
from baselines.blocks.likelihood import gaussian_log_prob
from baselines.blocks.perceptron import perceptron
from denf.harness.method import Explanation, OnePassMethod, Step, descend

WHERE = 3  # scale, shift along x, shift along y
PRESENCE_BIAS = 0.75  # akosiorek/attend_infer_repeat


@dataclass(frozen=True)
class AirSettings:
    """Settings; of addtt/attend-infer-repeat-pytorch but for what the head of the file names.

    Args:
        steps: largest number of objects (published: 3).
        glimpse: side of the glimpses in pixels.
        overview: side in pixels of the image that the recurrent networks see.
        what: dimensions of z_what.
        hidden: units of each LSTM.
        head: units of the hidden layer of all perceptrons.
        presence_prior: probability of one more object, by step (published: 0.01 throughout;
            akosiorek/attend_infer_repeat lets it fall from 1).
        scale_prior_mean: image side over box side.
        scale_prior_std: its standard deviation.
        shift_prior_std: of the centre's distance from the image's middle, in half box sides.
        std: of the pixels around the canvas, image range 1.
        alpha_bias: added to the logits of alpha; -2 is that of the published decoder, whose
            objects are faint at first.
        quiet: multiplies the initial weights of the glimpse decoder's last layer; see
            `convolutions.quieten` (published: 1).
        std_bias: added to the raw deviations of both posteriors (published: 0). Below 0, latents
            say something before the decoder has learned to do without them.
        object_weight: of the divergences of where and what, by step (published: 1 throughout).
        training_wheels: steps at first without REINFORCE: presence follows its prior alone, while
            glimpses and background learn (published: 0).
        above_background: the networks see what stands out from the background
            (`background_vae.standing_out`), which explains the whole image on its own as well;
            otherwise they see the image, as published for objects on black.
        background: channels of the background's decoder.
        rate: Adam's learning rate.
        baseline_rate: that of the baseline.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    steps: Annotated[int, Ge(1)] = 6
    glimpse: Annotated[int, Ge(2)] = 28
    overview: Annotated[int, Ge(1)] = 32
    what: Annotated[int, Ge(1)] = 50
    hidden: Annotated[int, Ge(1)] = 256
    head: Annotated[int, Ge(1)] = 200
    presence_prior: Ramp = field(default_factory=lambda: Ramp(0.01, 0.01, first=0, last=0))
    scale_prior_mean: Annotated[float, Ge(1)] = 4.0
    scale_prior_std: Annotated[float, Gt(0)] = 1.0
    shift_prior_std: Annotated[float, Gt(0)] = 2.0
    std: Annotated[float, Gt(0)] = 0.3
    alpha_bias: float = -2.0
    quiet: Annotated[float, Gt(0)] = 1.0
    std_bias: float = 0.0
    object_weight: Ramp = field(default_factory=lambda: Ramp(1.0, 1.0, first=0, last=0))
    training_wheels: Annotated[int, Ge(0)] = 0
    above_background: bool = False
    background: Annotated[int, Ge(1)] = 32
    rate: Annotated[float, Gt(0)] = 1e-4
    baseline_rate: Annotated[float, Gt(0)] = 0.1


class Trace(NamedTuple):
    """All T steps of inference.

    Args:
        presence: (B, T) of 0 and 1; no 1 after a 0.
        boxes: (B, T, 4); see `glimpse`.
        what: (B, T, what).
        log_q: (B, T) log-probability of each presence, 0 where the step before had none.
        kl: (B, T) divergence of presence, where and what, of what each step decides.
        baseline: (B, T) predicted cost from the step on.
    """

    presence: Tensor
    boxes: Tensor
    what: Tensor
    log_q: Tensor
    kl: Tensor
    baseline: Tensor

    @property
    def deciding(self) -> Tensor:
        """(B, T) 1 where presence was drawn: up to the first 0, that one included."""
        return torch.cat((torch.ones_like(self.presence[:, :1]), self.presence[:, :-1]), 1)


class AirInference(nn.Module):
    """q(z | x) step by step, and the baseline of its gradient, which sees the same inputs."""

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
        """Those of the baseline alone."""
        return [*self.baseline_lstm.parameters(), *self.baseline_head.parameters()]

    def forward(
        self,
        x: Tensor,
        generator: torch.Generator | None,
        success: float,
        object_weight: float = 1.0,
    ) -> Trace:
        """All steps for x (B, 3, H, W) in [0, 1]; without a generator, means and no chance.

        Args:
            x: the images.
            generator: of all draws.
            success: prior probability of one more object.
            object_weight: of the divergences of where and what.
        """
        s, b = self.settings, len(x)
        image = adaptive_avg_pool2d(x, s.overview).flatten(1)
        where, what, presence = (x.new_zeros(b, n) for n in (WHERE, s.what, 1))
        presence = presence + 1
        state = baseline_state = (x.new_zeros(b, s.hidden), x.new_zeros(b, s.hidden))
        prior = self.where_prior(where)
        steps: list[tuple[Tensor, ...]] = []
        for _ in range(s.steps):
            before = presence
            seen = torch.cat((image, where, what, before), 1)
            state = self.lstm(seen, state)
            raw = self.head(state[0])
            logit = raw[:, :1] + PRESENCE_BIAS
            presence = before * _decide(logit, generator)
            offset = posterior(raw[:, 1:], s.std_bias)
            q_where = DiagonalGaussian(prior.mean + offset.mean, offset.std)
            where = draw(q_where, generator)
            boxes = to_boxes(where)
            glimpses = crop(x, boxes[:, None], s.glimpse).flatten(1)
            q_what = posterior(self.encoder(glimpses), s.std_bias)
            what = draw(q_what, generator)
            log_q = before * logsigmoid(torch.where(presence > 0, logit, -logit))
            kl_object = q_where.kl(prior).sum(1, True) + q_what.kl(standard(what)).sum(1, True)
            kl_object = object_weight * kl_object
            kl = before * kl_bernoulli(logit, success) + presence * kl_object
            baseline_state = self.baseline_lstm(seen.detach(), baseline_state)
            baseline = before * self.baseline_head(baseline_state[0])
            steps.append((presence, boxes, what, log_q, kl, baseline))
        presence, boxes, what, log_q, kl, baseline = (
            torch.stack(values, 1) for values in zip(*steps, strict=True)
        )
        return Trace(presence[..., 0], boxes, what, log_q[..., 0], kl[..., 0], baseline[..., 0])

    def where_prior(self, like: Tensor) -> DiagonalGaussian:
        """p(z_where) in the shape of a tensor (B, 3)."""
        s = self.settings
        mean, std = torch.zeros_like(like), torch.full_like(like, s.shift_prior_std)
        mean[:, 0], std[:, 0] = s.scale_prior_mean, s.scale_prior_std
        return DiagonalGaussian(mean, std)


def to_boxes(where: Tensor) -> Tensor:
    """(B, 3) scale, shift x, shift y to (B, 4) boxes: side 1/scale, centre shift/scale.

    A box is at most as large as the image.
    """
    side = 1 / where[:, :1].clamp(min=1)
    return torch.cat((side, side, where[:, 1:] * side), 1)


def over(colour: Tensor, alpha: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Lay objects over the background, a later one over an earlier one.

    canvas = Σ_t colour_t Π_{u>t} (1 - α_u) + background Π_u (1 - α_u).

    Args:
        colour: (B, T, 3, H, W), multiplied by alpha.
        alpha: (B, T, 1, H, W) in [0, 1].
        background: (B, 3, H, W).

    Returns:
        canvas (B, 3, H, W), and shares α_t Π_{u>t} (1 - α_u) of the objects (B, T, 1, H, W).
    """
    free = (1 - alpha).flip(1).cumprod(1).flip(1)  # Π_{u>=t} (1 - α_u)
    in_front = torch.cat((free[:, 1:], torch.ones_like(free[:, :1])), 1)
    return (in_front * colour).sum(1) + free[:, 0] * background, in_front * alpha


def surrogate(trace: Trace, cost: Tensor) -> tuple[Tensor, Tensor]:
    """The term whose gradient is REINFORCE's for presence, and the baseline's loss.

    The cost of a decision at step t is C_t = Σ_{u>=t} KL_u + cost; the first term is
    Σ_t (C_t - baseline_t) log q(z_pres,t), the second Σ_t (C_t - baseline_t)².

    Args:
        trace: of one pass.
        cost: (B,), the negative log-likelihood up to a constant, which a baseline would learn.

    Returns:
        two scalars, means over the batch.
    """
    future = trace.kl.flip(1).cumsum(1).flip(1)
    target = ((future + cost[:, None]) * trace.deciding).detach()
    advantage = target - trace.baseline
    reinforce = (advantage.detach() * trace.log_q).sum(1).mean()
    return reinforce, (advantage.square() * trace.deciding).sum(1).mean()


class AirMethod(OnePassMethod):
    """Reparametrised gradients for where and what, REINFORCE with a baseline for presence."""

    Settings = AirSettings
    capabilities = GLIMPSE_CAPABILITIES

    def __init__(self, settings: AirSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        self.inference = AirInference(settings)
        self.decoder = perceptron(settings.what, settings.head, 4 * settings.glimpse**2)
        quieten(self.decoder[-1], settings.quiet)
        self.background = BackgroundVae(decoder=settings.background)

    def make_optimizers(self) -> dict[str, Optimizer]:
        baseline = self.inference.baseline_parameters()
        known = {id(p) for p in baseline}
        model = [p for p in self.parameters() if id(p) not in known]
        groups = [{"params": model}, {"params": baseline, "lr": self.settings.baseline_rate}]
        return {"adam": Adam(groups, self.settings.rate)}

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s, x = self.settings, to_unit(batch)
        background, kl_background = self.background(x, step.generator)
        success, object_weight = (r.at(step.index) for r in (s.presence_prior, s.object_weight))
        shown = seen(x, background, above_background=s.above_background)
        trace = self.inference(shown, step.generator, success, object_weight)
        canvas, _ = self._render(trace, background)
        log_likelihood = gaussian_log_prob(x, canvas, s.std).flatten(1).sum(1)
        error = ((x - canvas) / s.std).square().flatten(1).sum(1) / 2
        reinforce, baseline_loss = surrogate(trace, error)
        bound = log_likelihood - trace.kl.sum(1) - kl_background
        loss = baseline_loss - bound.mean()
        if s.above_background:
            loss = loss - gaussian_log_prob(x, background, s.std).flatten(1).sum(1).mean()
        if step.index >= s.training_wheels:
            loss = loss + reinforce
        norm = descend(loss, self.optimizers["adam"], self, clip=None)
        return {
            "loss": -bound.detach().mean(),
            "squared_error": (x - canvas).detach().square().mean(),
            "kl": trace.kl.detach().sum(1).mean(),
            "kl_background": kl_background.detach().mean(),
            "objects": trace.presence.sum(1).mean(),
            "baseline_loss": baseline_loss.detach(),
            "gradient_norm": norm,
        }

    def explain(self, images: Tensor, truth: Tensor | None = None) -> Explanation:
        s, x = self.settings, to_unit(images)
        background, _ = self.background(x, None)
        shown = seen(x, background, above_background=s.above_background)
        trace = self.inference(shown, None, s.presence_prior.end)
        canvas, shares = self._render(trace, background)
        return explanation(
            shares, trace.presence, trace.boxes, canvas=canvas, background=background
        )

    def _render(self, trace: Trace, background: Tensor) -> tuple[Tensor, Tensor]:
        """Canvas and shares; see `over`."""
        side = self.settings.glimpse
        rgb, alpha = self.decoder(trace.what).unflatten(2, (4, side, side)).split((3, 1), 2)
        alpha = torch.sigmoid(alpha + self.settings.alpha_bias)
        alpha = alpha * trace.presence[..., None, None, None]
        glimpses = torch.cat((alpha * torch.sigmoid(rgb), alpha), 2)
        placed = place(glimpses, trace.boxes, (background.shape[2], background.shape[3]))
        colour, alpha = placed.split((3, 1), 2)
        return over(colour, alpha, background)


def _decide(logit: Tensor, generator: torch.Generator | None) -> Tensor:
    """A Bernoulli sample, or the likelier value without a generator; 0 or 1, without gradient."""
    if generator is None:
        return (logit > 0).to(logit.dtype)
    u = torch.rand(logit.shape, generator=generator, device=logit.device, dtype=logit.dtype)
    return (u < torch.sigmoid(logit)).to(logit.dtype)
