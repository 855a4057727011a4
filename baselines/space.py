"""SPACE: an object in every cell of a grid, in front of a background of a few components.

Lin, Z., Wu, Y.-F., Peri, S. V., Sun, W., Singh, G., Deng, F., Jiang, J. and Ahn, S., "SPACE:
Unsupervised object-oriented scene representation via spatial attention and decomposition", ICLR
2020. Architecture and losses as in the authors' repository zhixuan-lin/SPACE. It has no settings
for CLEVR; the defaults are those that addtt/object-centric-library trains on CLEVR (Dittadi et
al., ICML 2022). They differ from the authors' for 128² rooms in: presence prior (0.1 to 0.01),
mean of the scale prior (-1 to -2), temperature (2.5 to 0.5 by step 20,000), boundary loss (until
step 100,000), rate of the foreground (1e-5), batch (12) and steps (160,000).

Differences: labels and reconstructions take the means of all latents and the probability of
presence in place of samples; deviations have a floor of 1e-8; other image sides than 128 change
strides and enlargements as the authors' code does for other grids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from baselines.blocks.annealing import Ramp
from baselines.blocks.cells import cell_centres, label_maps
from baselines.blocks.concrete import kl_bernoulli, relaxed_bernoulli
from baselines.blocks.convolutions import convolution, enlargement, quieten
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior, standard
from baselines.blocks.glimpse import crop, place
from baselines.blocks.images import check_size, to_bytes, to_unit
from baselines.blocks.likelihood import gaussian_log_prob, mixture_log_prob
from baselines.blocks.space_background import Background, SpaceBackground
from denf.errors import DenfError
from denf.harness.method import Capability, Method, Segmentation, Step, descend

RIM = 3 / 16  # width in glimpses of the frame that the boundary loss keeps free
LOGIT_BOUND = 8.8  # of presence
_EMPTY = 1e-5  # floor of alpha in the likelihood


@dataclass(frozen=True)
class SpaceSettings:
    """Settings; values of addtt/object-centric-library for CLEVR.

    Args:
        size: side of the images in pixels.
        grid: cells a side, G; one eighth to one 32nd of `size`.
        what: dimensions of z_what.
        components: K of the background.
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
    components: Annotated[int, Ge(1)] = 5
    glimpse: Literal[16, 32] = 32
    shrink: Literal[1, 2, 4] = 1
    foreground_std: Annotated[float, Gt(0)] = 0.15
    background_std: Annotated[float, Gt(0)] = 0.15
    presence_prior: Ramp = field(default_factory=lambda: Ramp(0.5, 0.05, first=4_000, last=10_000))
    scale_prior: Ramp = field(default_factory=lambda: Ramp(0.0, -1.0, first=10_000, last=20_000))
    scale_prior_std: Annotated[float, Gt(0)] = 0.1
    what_weight: Ramp = field(default_factory=lambda: Ramp(1.0, 1.0, first=0, last=0))
    temperature: Ramp = field(default_factory=lambda: Ramp(2.5, 0.5, first=0, last=50_000))
    boundary_until: Annotated[int, Ge(0)] = 20_000
    fixed_alpha: Annotated[float, Gt(0), Lt(1)] = 0.1
    fixed_alpha_until: Annotated[int, Ge(0)] = 0
    separate: bool = False
    alpha_bias: float = 0.0
    quiet: Annotated[float, Gt(0)] = 1.0
    std_bias: float = 0.0
    foreground_optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    foreground_rate: Annotated[float, Gt(0)] = 3e-5
    background_rate: Annotated[float, Gt(0)] = 1e-3
    gradient_clip: Annotated[float, Gt(0)] = 1.0


@dataclass(frozen=True)
class Objects:
    """Latents of all cells, N = grid².

    Args:
        presence: (B, N, 1) in (0, 1).
        depth: (B, N, 1); larger is further away.
        boxes: (B, N, 4); see `glimpse`.
        what: (B, N, what).
    """

    presence: Tensor
    depth: Tensor
    boxes: Tensor
    what: Tensor


@dataclass(frozen=True)
class Rendering:
    """The foreground in pixels.

    Args:
        masks: (B, N, 1, H, W), each object's share of a pixel; their sum is alpha.
        image: (B, 3, H, W), colours times shares.
        rims: (B, 1, H, W), sum of the placed frames of the boundary loss.
    """

    masks: Tensor
    image: Tensor
    rims: Tensor

    @property
    def alpha(self) -> Tensor:
        """(B, 1, H, W), the share of all objects."""
        return self.masks.sum(1)


def composite(rgb: Tensor, alpha: Tensor, objects: Objects, shape: tuple[int, int]) -> Rendering:
    """Place glimpses and weigh them by a softmax over cells of 100 · alpha · σ(-depth).

    Args:
        rgb: (B, N, 3, side, side) in [0, 1].
        alpha: (B, N, 1, side, side) in [0, 1], presence not yet in it.
        objects: of the same cells.
        shape: height and width of the image in pixels.
    """
    present = objects.presence[..., None, None]
    seen = alpha * present
    importance = 100 * seen * torch.sigmoid(-objects.depth)[..., None, None]
    glimpses = torch.cat((seen * rgb, seen, importance, present * _rim(alpha)), 2)
    colour, seen, importance, rims = place(glimpses, objects.boxes, shape).split((3, 1, 1, 1), 2)
    weights = torch.softmax(importance, 1)
    return Rendering(weights * seen, (weights * colour).sum(1), rims.sum(1))


def boundary_loss(rendering: Rendering) -> Tensor:
    """-log N(1000 · rims · alpha; 0, 0.7²), (B,): objects stay inside their boxes' frames."""
    overlap = 1000 * rendering.rims * rendering.alpha
    return -gaussian_log_prob(overlap, torch.zeros_like(overlap), 0.7).flatten(1).sum(1)


def _rim(like: Tensor) -> Tensor:
    """(side, side) frame, a share RIM of the side wide, with the value 1/32²; 0 inside."""
    side = like.shape[-1]
    width = round(RIM * side)
    rim = like.new_full((side, side), 1 / 32**2)
    rim[width:-width, width:-width] = 0
    return rim.expand(*like.shape[:2], 1, -1, -1)


class SpaceForeground(nn.Module):
    """q(z | x) of all cells at once, and the decoder of their glimpses."""

    def __init__(self, settings: SpaceSettings) -> None:
        super().__init__()
        self.grid = settings.grid
        cell = settings.size // settings.grid
        if settings.grid * cell != settings.size or cell not in (8, 16, 32):
            raise DenfError(
                "settings.grid of space",
                expected=f"{settings.size} // 32, // 16 or // 8 cells a side",
                got=settings.grid,
                fix="Correct grid or size.",
            )
        n = settings.shrink
        self.features = nn.Sequential(
            convolution(3, 16 // n, 4 // n, kernel=4, stride=2),
            convolution(16 // n, 32 // n, 8 // n, kernel=4, stride=2),
            convolution(32 // n, 64 // n, 8 // n, kernel=4, stride=2),
            convolution(64 // n, 128 // n, 16 // n, stride=2 if cell == 32 else 1),
            convolution(128 // n, 256 // n, 32 // n, stride=1 if cell == 8 else 2),
            convolution(256 // n, 128 // n, 16 // n, kernel=1),
        )
        out, groups = 128 // n, 16 // n
        self.lateral = nn.Sequential(convolution(out, out, groups), convolution(out, out, groups))
        self.joint = convolution(2 * out, out, groups)
        self.heads = nn.ModuleDict(
            {"presence": nn.Conv2d(out, 1, 1), "depth": nn.Conv2d(out, 2, 1),
             "scale": nn.Conv2d(out, 4, 1), "shift": nn.Conv2d(out, 4, 1)}
        )  # fmt: skip
        self.side = settings.glimpse
        self.alpha_bias, self.std_bias = settings.alpha_bias, settings.std_bias
        kernel, stride = (4, 2) if self.side == 32 else (3, 1)
        self.glimpse_encoder = nn.Sequential(
            convolution(3, 16 // n, 4 // n),
            convolution(16 // n, 32 // n, 8 // n, kernel=4, stride=2),
            convolution(32 // n, 32 // n, 4 // n),
            convolution(32 // n, 64 // n, 8 // n, kernel=4, stride=2),
            convolution(64 // n, 128 // n, 8 // n, kernel=kernel, stride=stride),
            convolution(128 // n, 256 // n, 16 // n, kernel=4, padding=0),
            nn.Flatten(),
            nn.Linear(256 // n, 2 * settings.what),
        )
        layers: list[nn.Module] = [convolution(settings.what, 256 // n, 16 // n, kernel=1)]
        before, side = 256 // n, 1
        for channels, divisions in ((128, 16), (128, 16), (64, 8), (32, 8), (16, 4)):
            out, groups, factor = channels // n, divisions // n, 2 if side < self.side else 1
            layers.append(enlargement(before, out, groups, factor=factor))
            layers.append(convolution(out, out, groups))
            before, side = out, factor * side
        last = quieten(nn.Conv2d(before, 4, 3, padding=1), settings.quiet)
        self.glimpse_decoder = nn.Sequential(*layers, last)

    def infer(
        self, x: Tensor, temperature: float, generator: torch.Generator | None
    ) -> tuple[Objects, dict[str, DiagonalGaussian], Tensor]:
        """Latents, their posteriors by name, and the logits of presence (B, N, 1).

        Args:
            x: (B, 3, H, W) in [0, 1].
            temperature: of the relaxed presence.
            generator: None for means and the probability of presence.
        """
        features = self.features(x)
        joint = self.joint(torch.cat((features, self.lateral(features)), 1))
        raw = {name: head(joint).flatten(2).mT for name, head in self.heads.items()}
        logits = LOGIT_BOUND * torch.tanh(raw.pop("presence"))
        if generator is None:
            presence = torch.sigmoid(logits)
        else:
            presence = relaxed_bernoulli(logits, temperature, generator)
        posteriors = {name: posterior(value, self.std_bias) for name, value in raw.items()}
        scale, shift = (draw(posteriors[name], generator) for name in ("scale", "shift"))
        boxes = self.boxes(scale, shift)
        glimpses = crop(x, boxes, self.side)
        encoded = self.glimpse_encoder(glimpses.flatten(0, 1)).unflatten(0, glimpses.shape[:2])
        posteriors["what"] = posterior(encoded, self.std_bias)
        depth, what = (draw(posteriors[name], generator) for name in ("depth", "what"))
        return Objects(presence, depth, boxes, what), posteriors, logits

    def boxes(self, scale: Tensor, shift: Tensor) -> Tensor:
        """(σ(scale), 2 (centre + tanh(shift)) / G - 1) from (B, N, 2) each."""
        centres = cell_centres(self.grid, scale)
        return torch.cat((scale.sigmoid(), 2 * (centres + shift.tanh()) / self.grid - 1), -1)

    def decode(self, what: Tensor) -> tuple[Tensor, Tensor]:
        """RGB (B, N, 3, side, side) and alpha (B, N, 1, side, side) of glimpses, in [0, 1]."""
        logits = self.glimpse_decoder(what.flatten(0, 1)[:, :, None, None])
        rgb, alpha = logits.unflatten(0, what.shape[:2]).split((3, 1), 2)
        return torch.sigmoid(rgb), torch.sigmoid(alpha + self.alpha_bias)


class SpaceMethod(Method):
    """The evidence lower bound and the boundary loss; one optimiser for each half."""

    Settings = SpaceSettings
    capabilities = frozenset({Capability.SEGMENT, Capability.RECONSTRUCT, Capability.SAMPLE})

    def __init__(self, settings: SpaceSettings, precision: torch.dtype = torch.float32) -> None:
        super().__init__(settings, precision)
        self.foreground = SpaceForeground(settings)
        self.background = SpaceBackground(settings.size, settings.components, settings.shrink)

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

    def segment(self, images: Tensor, truth: Tensor | None = None) -> Segmentation:
        objects, rendering = self._foreground(self._unit(images))
        return label_maps(rendering.masks[:, :, 0], objects.presence[:, :, 0])

    def reconstruct(self, images: Tensor) -> Tensor:
        """α · foreground + (1 - α) · background, as the authors' code shows it."""
        return self.explain(images)[1]

    def explain(self, images: Tensor, truth: Tensor | None = None) -> tuple[Segmentation, Tensor]:
        x = self._unit(images)
        objects, rendering = self._foreground(x)
        found = label_maps(rendering.masks[:, :, 0], objects.presence[:, :, 0])
        return found, self._blend(rendering, self.background(x, None).mean)

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
