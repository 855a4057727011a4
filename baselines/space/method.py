"""SPACE: an object in every cell of a grid, in front of a background of a few components.

Lin, Z., Wu, Y.-F., Peri, S. V., Sun, W., Singh, G., Deng, F., Jiang, J. and Ahn, S., "SPACE:
Unsupervised object-oriented scene representation via spatial attention and decomposition", ICLR
2020. Architecture and losses as in the authors' repository zhixuan-lin/SPACE. It has no settings
for CLEVR; the defaults are those that addtt/object-centric-library trains on CLEVR (Dittadi et
al., ICML 2022): config/model/space.yaml with config/special_cases/space-clevr.yaml on top. The
authors' settings for rooms at 128² differ in: standard deviation of the pixels (0.15), mean of the
scale prior (-1 to -2), boundary loss (until step 100,000), learning rate of the foreground (1e-5),
batch size (12) and steps (160,000).

That library sets K = 5 background components, but its loop over them never sets a mask: its masks
are exactly [1, 0, 0, 0, 0], so that its settings were tuned with effectively one component. The
default here is one component, without the four whose masks are empty and whose latents only add to
the divergence.

What differs here: labels and reconstructions use the means of all latents and the probability of
presence instead of samples; standard deviations have a floor of 1e-8.

In the paper's order:

- `SpaceMethod.log_likelihood`: p(x | z_fg, z_bg) = α p(x | z_fg) + (1 - α) Σ_k π_k p(x | z_bg,k);
- `compositing`: α and the foreground from the glimpses of all cells, weighted by depth;
- `prior`: p(z_fg), divergences from it and samples;
- `background`: p(z_bg) = Π_k p(z_c,k | z_m,k) p(z_m,k | z_m,<k), π_k, and q(z_bg | x);
- `foreground`: q(z_fg | x), the parallel inference of all cells, and the decoder of glimpses;
- `SpaceMethod.training_step`: the evidence lower bound
  log p(x | z_fg, z_bg) - KL(q(z_fg | x) ‖ p(z_fg)) - KL(q(z_bg | x) ‖ p(z_bg));
- `compositing.boundary_loss`: the penalty on objects that are split over several boxes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer, RMSprop

from baselines.blocks.glimpse_prediction import GLIMPSE_CAPABILITIES, prediction
from baselines.blocks.images import check_size, to_bytes, to_unit
from baselines.blocks.likelihood import gaussian_log_prob, mixture_log_prob
from baselines.space.background import Background, SpaceBackground
from baselines.space.compositing import Objects, Rendering, boundary_loss, composite
from baselines.space.foreground import SpaceForeground
from baselines.space.prior import divergences, draw_objects
from baselines.space.settings import SpaceSettings
from denf.harness.method import Capability, OnePassMethod, Prediction, Step, descend

_EMPTY = 1e-5  # floor of alpha in the likelihood


class SpaceMethod(OnePassMethod):
    """The evidence lower bound and the boundary loss; foreground and background have one optimiser
    each."""

    settings: SpaceSettings
    capabilities = GLIMPSE_CAPABILITIES | {Capability.SAMPLE}

    def __init__(self, settings: SpaceSettings) -> None:
        super().__init__(settings)
        self.foreground = SpaceForeground(settings)
        self.background = SpaceBackground(settings)

    def make_optimizers(self) -> dict[str, Optimizer]:
        s = self.settings
        return {
            "foreground": RMSprop(self.foreground.parameters(), lr=s.foreground_rate),
            "background": Adam(self.background.parameters(), s.background_rate, fused=True),
        }

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        s = self.settings
        x = self._unit(batch)
        background = self.background(x, step.generator)
        objects, posteriors, logits = self.foreground.infer(
            x, s.temperature.at(step.index), step.generator
        )
        rendering = self._render(objects)
        likelihood = self.log_likelihood(x, rendering, background, step.index)
        kl = divergences(posteriors, logits, s, step.index)
        loss = -likelihood.mean() + background.kl.mean() + self.divergence(kl, step.index)
        boundary = boundary_loss(rendering).mean()
        if step.index < s.boundary_until:
            loss = loss + boundary
        self.optimizers["foreground"].zero_grad(set_to_none=True)
        norm = descend(loss, self.optimizers["background"], self, s.gradient_clip)
        self.optimizers["foreground"].step()
        terms = {f"kl_{name}": value.detach() for name, value in kl.items()}
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

    def log_likelihood(
        self, x: Tensor, rendering: Rendering, background: Background, index: int
    ) -> Tensor:
        """log[α N(x; foreground, σ_fg²) + (1 - α) Σ_k π_k N(x; component_k, σ_bg²)], (B,), nats.

        The mixture is taken per pixel and channel, as in the authors' code.

        Args:
            x: (B, 3, H, W) in [0, 1].
            rendering: the foreground.
            background: components and π_k.
            index: 0-based step.
        """
        alpha = self.alpha(rendering, index)
        log_weights = torch.stack(((alpha + _EMPTY).log(), (1 - alpha + _EMPTY).log()), 1)
        halves = self.halves(x, rendering, background)
        return mixture_log_prob(log_weights, halves).flatten(1).sum(1)

    def alpha(self, rendering: Rendering, index: int) -> Tensor:
        """α (B, 1, H, W) of the likelihood at a 0-based step; at first it is `fixed_alpha`."""
        if index < self.settings.fixed_alpha_until:
            return torch.full_like(rendering.alpha, self.settings.fixed_alpha)
        return rendering.alpha

    def halves(self, x: Tensor, rendering: Rendering, background: Background) -> Tensor:
        """log N(x; foreground, σ_fg²) and log Σ_k π_k N(x; component_k, σ_bg²), (B, 2, 3, H, W)."""
        s = self.settings
        components = gaussian_log_prob(x[:, None], background.components, s.background_std)
        behind = mixture_log_prob(background.log_masks, components)
        return torch.stack((gaussian_log_prob(x, rendering.image, s.foreground_std), behind), 1)

    def divergence(self, kl: Mapping[str, Tensor], index: int) -> Tensor:
        """KL(q(z_fg | x) ‖ p(z_fg)) at a 0-based step, the sum over its latents."""
        return torch.stack(list(kl.values())).sum()

    def predict(self, images: Tensor, truth: Tensor | None = None) -> Prediction:
        """The reconstruction is α · foreground + (1 - α) · background, as in the authors' code."""
        x = self._unit(images)
        objects, rendering = self._foreground(x)
        background, presence = self.background(x, None).mean, objects.presence[:, :, 0]
        canvas = _blend(rendering, background)
        return prediction(
            rendering.masks, presence, objects.boxes, canvas=canvas, background=background
        )

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Scenes from the priors at the ends of their schedules."""
        objects = draw_objects(self.foreground, self.settings, count, generator)
        background = self.background.sample(count, generator)
        return to_bytes(_blend(self._render(objects), background))

    def _foreground(self, x: Tensor) -> tuple[Objects, Rendering]:
        objects, _, _ = self.foreground.infer(x, self.settings.temperature.end, None)
        return objects, self._render(objects)

    def _render(self, objects: Objects) -> Rendering:
        rgb, alpha = self.foreground.decode(objects.what)
        return composite(rgb, alpha, objects, (self.settings.size, self.settings.size))

    def _unit(self, images: Tensor) -> Tensor:
        check_size(images, self.settings.size, "space")
        return to_unit(images)


def _blend(rendering: Rendering, background: Tensor) -> Tensor:
    alpha = rendering.alpha
    return (alpha * rendering.image + (1 - alpha) * background).clamp(0, 1)
