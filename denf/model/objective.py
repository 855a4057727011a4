"""The training objective: Eq. 13 with the weights and the schedule that make it train."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from denf.model import losses
from denf.model.components import BoxTargets, box_targets, find_components
from denf.model.denf import DeNF
from denf.model.hidden import hidden_places
from denf.model.priors import sample_presence
from denf.model.settings import (
    Background,
    BackgroundGradient,
    CompatibilityGradient,
    DenfSettings,
    OwnImage,
    PresenceGradient,
    Schedule,
)


@dataclass(frozen=True)
class Phase:
    """The scheduled quantities of one training step.

    Args:
        temperature: λ of Eq. 14, a number or a scalar tensor.
        edge: τ of the box edges, fraction of the image side, a number or a scalar tensor.
        warmup: whether the losses still send no gradient into presence.
        boxes: whether cells' boxes are compared with components of presence.
        presence: factor on the cost of presence, a number or a tensor of one.
        learning_rate: factor on the learning rate.
    """

    temperature: float | Tensor
    edge: float | Tensor
    warmup: bool
    boxes: bool = True
    presence: float | Tensor = 1.0
    learning_rate: float = 1.0


@dataclass(frozen=True)
class Noise:
    """All random numbers of one step.

    Args:
        epsilon: standard normal, like z_bg (Eq. 5).
        u: uniform in (0, 1), a number per cell (Eq. 14).
    """

    epsilon: Tensor
    u: Tensor

    @staticmethod
    def draw(model: DeNF, x: Tensor, generator: torch.Generator) -> Noise:
        """Noise for the images x (B, 3, H, W)."""
        shapes = model.latent_shapes(x.shape[2])
        epsilon = torch.randn((len(x), *shapes["background"]), generator=generator, device=x.device)
        u = torch.rand((len(x), *shapes["presence"][1:]), generator=generator, device=x.device)
        return Noise(epsilon, u)


def phase(schedule: Schedule, step: int, steps: int) -> Phase:
    """The phase at `step` of `steps` (0-based): linear λ from `temperature_from`, linear τ."""
    done = step / max(1, steps)
    start = schedule.temperature_from
    cooled = min(1.0, max(0.0, (done - start) / (1 - start))) if start < 1 else 0.0

    def mix(a: float, b: float, t: float) -> float:
        return a + (b - a) * t

    return Phase(
        temperature=mix(schedule.temperature_start, schedule.temperature_end, cooled),
        edge=mix(schedule.edge_start, schedule.edge_end, done),
        warmup=step < schedule.warmup_steps,
        boxes=step >= schedule.boxes_from,
        presence=_presence(schedule, step),
        learning_rate=_learning_rate(schedule, step, done),
    )


def _presence(schedule: Schedule, step: int) -> float:
    since = step - schedule.warmup_steps
    return min(1.0, max(0.0, since / schedule.presence_rise)) if schedule.presence_rise else 1.0


def _learning_rate(schedule: Schedule, step: int, done: float) -> float:
    rising = min(1.0, (step + 1) / (schedule.learning_rate_rise + 1))
    end = schedule.learning_rate_end
    return rising * (end + (1 - end) * 0.5 * (1 + math.cos(math.pi * done)))


def objective(
    model: DeNF, x: Tensor, at: Phase, noise: Noise, targets: BoxTargets | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Total loss (Eq. 13) and its terms, batch means.

    Args:
        model: DeNF.
        x: dequantised images (B, 3, H, W) in [0, 1].
        at: see `phase`.
        noise: ε of Eq. 5 and U of Eq. 14.
        targets: of the cells' boxes, where composites define them; None: they are computed from
            the presence map.

    Returns:
        the loss (a scalar) and detached scalars to log.
    """
    s, w = model.settings, model.settings.weights
    encoding = model.encode(x)
    latents = encoding.latents
    sample = sample_presence(latents.presence_logit, at.temperature, noise.u)
    presence = sample
    if s.presence_gradient is PresenceGradient.EXPECTED:
        presence = torch.sigmoid(latents.presence_logit)
    if at.warmup:
        presence, sample = presence.detach(), sample.detach()
    boxes_only = s.compatibility_gradient is CompatibilityGradient.BOXES
    target = presence.detach() if boxes_only else presence
    x_bg, x_fg = model.reconstructions(
        latents, sample, s.priors.noise * noise.epsilon, encoding.given
    )

    terms = {
        "background_forward": losses.background_forward(latents.background, encoding.ladj1),
        "foreground_forward": losses.foreground_forward(
            latents, presence, encoding.ladj2, s.priors, s.absent
        ),
        "background_backward": losses.background_backward(
            x,
            x_bg,
            _hidden(presence, x, at, s.background),
            matched_light=s.background.matched_light,
            emphasis=1.0 if at.warmup else s.background.emphasis,
        ),
        "foreground_backward": _reconstruction(x, x_fg, x_bg, presence, at, s),
        "compatibility": losses.compatibility(model.union(latents, target, at.edge), target),
        "geometry": losses.geometry(latents, presence, s.priors),
        "presence": presence.mean((1, 2)),
    }
    if w.box:
        if targets is None and at.boxes:
            found = find_components(latents.presence_logit > 0, s.components)
            targets = box_targets(found, s.components.stray)
        terms["box"] = (
            latents.scale.new_zeros(()) if targets is None else losses.box(latents, targets)
        )
    terms = {name: term.mean() for name, term in terms.items()}
    density = terms["background_forward"] + terms["foreground_forward"]
    reconstruction = terms["foreground_backward"]
    if w.as_printed:
        reconstruction = reconstruction * x[0, 0].numel()
    else:
        density = density / x[0].numel()
    loss = (
        w.density * density
        + w.background * terms["background_backward"]
        + w.reconstruction * reconstruction
        + w.presence * at.presence * terms["presence"]
        + w.compatibility * terms["compatibility"]
        + w.geometry * terms["geometry"]
    )
    if w.box:
        loss = loss + w.box * terms["box"]
    return loss, {"loss": loss.detach(), **{k: v.detach() for k, v in terms.items()}}


def _reconstruction(
    x: Tensor, x_fg: Tensor, x_bg: Tensor, presence: Tensor, at: Phase, settings: DenfSettings
) -> Tensor:
    """Eq. 10, (B,); during warm-up, the error over the whole image of each flow it trains."""
    both = settings.background.gradient is BackgroundGradient.BOTH
    if at.warmup:  # presence does not choose between the flows yet
        error = losses.squared_error(x, x_fg)
        return (error + losses.squared_error(x, x_bg)) / 2 if both else error
    x_bg = x_bg if both else x_bg.detach()
    if settings.presence_gradient is PresenceGradient.CONCRETE:
        return losses.squared_error(x, losses.mixture(presence, x_fg, x_bg))
    shown = settings.background.repeated_in
    light = settings.background.matched_light
    most = losses.repeated(x, shown, matched_light=light) if shown else None
    return losses.expected_error(x, x_fg, x_bg, presence, most)


def _hidden(presence: Tensor, x: Tensor, at: Phase, settings: Background) -> Tensor | None:
    """Pixels where an image is not a candidate for its own background (Eq. 5): bool (B, H, W)."""
    if settings.own_image is OwnImage.ALWAYS:
        return None
    if at.warmup:  # presence is not informative yet
        return torch.ones_like(x[:, 0], dtype=torch.bool)
    return hidden_places(presence.detach(), (x.shape[2], x.shape[3]), settings)
