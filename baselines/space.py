"""SPACE: an object in every cell of a grid, in front of a background of a few components.

Lin, Z., Wu, Y.-F., Peri, S. V., Sun, W., Singh, G., Deng, F., Jiang, J. and Ahn, S., "SPACE:
Unsupervised object-oriented scene representation via spatial attention and decomposition", ICLR
2020. Architecture and losses as in the authors' repository zhixuan-lin/SPACE. It has no settings
for CLEVR; the defaults are those that addtt/object-centric-library trains on CLEVR (Dittadi et
al., ICML 2022): config/model/space.yaml with config/special_cases/space-clevr.yaml on top. The
authors' for 128² rooms differ in: deviation of the pixels (0.15), mean of the scale prior (-1 to
-2), boundary loss (until step 100,000), rate of the foreground (1e-5), batch (12) and steps
(160,000).

That library sets K = 5 background components, but its loop over them never writes a share: its
masks are exactly [1, 0, 0, 0, 0], so that its settings were tuned with one component in effect. The
default here is that one, without the four whose masks are empty and whose latents only cost.

Differences: labels and reconstructions take the means of all latents and the probability of
presence in place of samples; deviations have a floor of 1e-8. Parts: blocks/space_foreground.py,
space_compositing.py and space_background.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import ConfigDict
from torch import Tensor
from torch.optim import Adam, Optimizer, RMSprop

from baselines.blocks.annealing import Ramp
from baselines.blocks.concrete import kl_bernoulli
from baselines.blocks.gaussian import DiagonalGaussian, standard
from baselines.blocks.glimpse_explanation import GLIMPSE_CAPABILITIES, explanation
from baselines.blocks.images import check_size, to_bytes, to_unit
from baselines.blocks.likelihood import gaussian_log_prob, mixture_log_prob
from baselines.blocks.space_background import Background, SpaceBackground
from baselines.blocks.space_compositing import Objects, Rendering, boundary_loss, composite
from baselines.blocks.space_foreground import SpaceForeground
from denf.harness.method import Capability, Explanation, OnePassMethod, Step, descend

_EMPTY = 1e-5  # floor of alpha in the likelihood


@dataclass(frozen=True)
class SpaceSettings:
    """Settings; values of addtt/object-centric-library for CLEVR.

    Args:
        size: side of the images in pixels.
        grid: cells a side, G; one eighth to one 32nd of `size`.
        what: dimensions of z_what.
        components: K of the background, the authors' 5; see above on the one here.
        glimpse: side of the glimpses in pixels.
        shrink: divides the channels of all convolutions and the groups of their normalisation.
        foreground_std: of the pixels around the foreground, image range 1.
        background_std: of the pixels around the background, image range 1.
        presence_prior: probability of a cell to hold an object, by step.
        scale_prior: mean of z_scale, whose sigmoid is the size in image sides, by step.
        scale_prior_std: its standard deviation.
        what_weight: of the divergence of z_what, by step (published: 1 throughout). Below 1 at
            first, the glimpses' latents are in use before they cost.
        temperature: of the relaxed presence, by step.
        boundary_until: step from which the boundary loss is off.
        fixed_alpha: share of the foreground in the likelihood of every pixel, before
            `fixed_alpha_until`. Objects get a gradient from the first step, which otherwise are
            left to a background that learns faster (the authors' Atari: 0.1 for 4,000 steps).
        fixed_alpha_until: step from which the likelihood takes alpha as it is.
        separate: while alpha is fixed, foreground and background explain the image each on its
            own (see `SpaceMethod._log_likelihood`). In the mixture the half that fits worse has
            next to no share of the gradient: the background learns first, glimpses never.
        alpha_bias: added to the logits of the glimpses' alpha (published: 0). Above 0, glimpses
            show their colours, which alpha multiplies, from the first step.
        quiet: multiplies the initial weights of the glimpse decoder's last layer; see
            `convolutions.quieten` (published: 1).
        std_bias: added to the raw deviations of all posteriors (published: 0). Below 0, latents
            say something before the decoder has learned to do without them.
        foreground_optimizer: RMSprop's first steps are tenfold, because its second moment starts
            at 0; at rates for a few hundred steps they leave z_what nothing to say.
        foreground_rate: its learning rate.
        background_rate: Adam's.
        gradient_clip: largest gradient norm.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    size: Literal[16, 32, 64, 128] = 128
    grid: Annotated[int, Ge(1)] = 8
    what: Annotated[int, Ge(1)] = 32
    components: Annotated[int, Ge(1)] = 1
    glimpse: Literal[16, 32] = 32
    shrink: Literal[1, 2, 4] = 1
    foreground_std: Annotated[float, Gt(0)] = 0.05
    background_std: Annotated[float, Gt(0)] = 0.05
    presence_prior: Ramp = field(default_factory=lambda: Ramp(0.1, 0.01, first=4_000, last=10_000))
    scale_prior: Ramp = field(default_factory=lambda: Ramp(0.0, -1.0, first=10_000, last=20_000))
    scale_prior_std: Annotated[float, Gt(0)] = 0.1
    what_weight: Ramp = field(default_factory=lambda: Ramp(1.0, 1.0, first=0, last=0))
    temperature: Ramp = field(default_factory=lambda: Ramp(2.5, 0.5, first=0, last=20_000))
    boundary_until: Annotated[int, Ge(0)] = 20_000
    fixed_alpha: Annotated[float, Gt(0), Lt(1)] = 0.1
    fixed_alpha_until: Annotated[int, Ge(0)] = 0
    separate: bool = False
    alpha_bias: float = 0.0
    quiet: Annotated[float, Gt(0)] = 1.0
    std_bias: float = 0.0
    foreground_optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    foreground_rate: Annotated[float, Gt(0)] = 1e-4
    background_rate: Annotated[float, Gt(0)] = 1e-3
    gradient_clip: Annotated[float, Gt(0)] = 1.0


class SpaceMethod(OnePassMethod):
    """The evidence lower bound and the boundary loss; one optimiser for each half."""

    Settings = SpaceSettings
    capabilities = GLIMPSE_CAPABILITIES | {Capability.SAMPLE}

    def __init__(self, settings: SpaceSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        s = settings
        self.foreground = SpaceForeground(
            size=s.size,
            grid=s.grid,
            what=s.what,
            glimpse=s.glimpse,
            shrink=s.shrink,
            quiet=s.quiet,
            alpha_bias=s.alpha_bias,
            std_bias=s.std_bias,
        )
        self.background = SpaceBackground(s.size, s.components, s.shrink)

    def make_optimizers(self) -> dict[str, Optimizer]:
        s = self.settings
        front = Adam if s.foreground_optimizer == "adam" else RMSprop
        return {
            "foreground": front(self.foreground.parameters(), lr=s.foreground_rate),
            "background": Adam(self.background.parameters(), s.background_rate),
        }

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s = self.settings
        x = self._unit(batch)
        background = self.background(x, step.generator)
        objects, posteriors, logits = self.foreground.infer(
            x, s.temperature.at(step.index), step.generator
        )
        rendering = self._render(objects)
        alpha, fixed = rendering.alpha, step.index < s.fixed_alpha_until
        if fixed:
            alpha = torch.full_like(alpha, s.fixed_alpha)
        likelihood = self._log_likelihood(
            x, alpha, rendering.image, background, separate=fixed and s.separate
        )
        kl = {name: q.kl(standard(q.mean)) for name, q in posteriors.items() if name != "scale"}
        scale = posteriors["scale"]
        kl["scale"] = scale.kl(
            DiagonalGaussian(
                torch.full_like(scale.mean, s.scale_prior.at(step.index)),
                torch.full_like(scale.std, s.scale_prior_std),
            )
        )
        kl["presence"] = kl_bernoulli(logits, s.presence_prior.at(step.index))
        sums = {name: value.flatten(1).sum(1).mean() for name, value in kl.items()}
        weighted = {**sums, "what": s.what_weight.at(step.index) * sums["what"]}
        loss = (
            -likelihood.mean() + background.kl.mean() + torch.stack(list(weighted.values())).sum()
        )
        boundary = boundary_loss(rendering).mean()
        if step.index < s.boundary_until:
            loss = loss + boundary
        self.optimizers["foreground"].zero_grad(set_to_none=True)
        norm = descend(loss, self.optimizers["background"], self, s.gradient_clip)
        self.optimizers["foreground"].step()
        terms = {f"kl_{name}": value.detach() for name, value in sums.items()}
        return {
            "loss": loss.detach(),
            "log_likelihood": likelihood.detach().mean(),
            "kl_background": background.kl.detach().mean(),
            **terms,
            "boundary": boundary.detach(),
            "alpha": rendering.alpha.detach().mean(),
            "objects": objects.presence.detach().sum((1, 2)).mean(),
            "gradient_norm": norm,
        }

    def explain(self, images: Tensor, truth: Tensor | None = None) -> Explanation:
        """The reconstruction is α · foreground + (1 - α) · background, as the authors show it."""
        x = self._unit(images)
        objects, rendering = self._foreground(x)
        background, presence = self.background(x, None).mean, objects.presence[:, :, 0]
        canvas = self._blend(rendering, background)
        return explanation(
            rendering.masks, presence, objects.boxes, canvas=canvas, background=background
        )

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Scenes from the priors at the ends of their schedules."""
        s, n = self.settings, self.settings.grid**2

        def normal(dimensions: int) -> Tensor:
            return torch.randn(count, n, dimensions, generator=generator, device=self.device)

        coins = torch.rand(count, n, 1, generator=generator, device=self.device)
        scale = s.scale_prior.end + s.scale_prior_std * normal(2)
        objects = Objects(
            (coins < s.presence_prior.end).float(),
            normal(1),
            self.foreground.boxes(scale, normal(2)),
            normal(s.what),
        )
        background = self.background.sample(count, generator)
        return to_bytes(self._blend(self._render(objects), background))

    def _foreground(self, x: Tensor) -> tuple[Objects, Rendering]:
        objects, _, _ = self.foreground.infer(x, self.settings.temperature.end, None)
        return objects, self._render(objects)

    def _render(self, objects: Objects) -> Rendering:
        rgb, alpha = self.foreground.decode(objects.what)
        return composite(rgb, alpha, objects, (self.settings.size, self.settings.size))

    def _log_likelihood(
        self,
        x: Tensor,
        alpha: Tensor,
        foreground: Tensor,
        background: Background,
        *,
        separate: bool = False,
    ) -> Tensor:
        """log[α N(x; foreground, σ²) + (1 - α) Σ_k m_k N(x; component_k, τ²)], (B,), nats.

        The mixture is taken per pixel and channel, as in the authors' code. When `separate`, its
        lower bound by Jensen's inequality: α log N(x; foreground, σ²) + (1 - α) log Σ_k …
        """
        s = self.settings
        components = gaussian_log_prob(x[:, None], background.components, s.background_std)
        behind = mixture_log_prob(background.log_masks, components)
        both = torch.stack((gaussian_log_prob(x, foreground, s.foreground_std), behind), 1)
        if separate:
            return (torch.stack((alpha, 1 - alpha), 1) * both).flatten(1).sum(1)
        log_weights = torch.stack(((alpha + _EMPTY).log(), (1 - alpha + _EMPTY).log()), 1)
        return mixture_log_prob(log_weights, both).flatten(1).sum(1)

    @staticmethod
    def _blend(rendering: Rendering, background: Tensor) -> Tensor:
        alpha = rendering.alpha
        return (alpha * rendering.image + (1 - alpha) * background).clamp(0, 1)

    def _unit(self, images: Tensor) -> Tensor:
        check_size(images, self.settings.size, "space")
        return to_unit(images)
