"""RELATE: a generator that composes objects and corrects their positions for one another.

Ehrhardt et al., RELATE: physically plausible multi-object scene synthesis using structured latent
spaces, NeurIPS 2020; static scenes. Settings and networks are those of hyenal/relate,
`cars_real_traffic-train` (128 × 128 pixels). The repository's other configuration for traffic adds
DRAGAN's penalty against failures of the background: `penalty: 1`, `learning_rate: 0.001`, `beta1:
0.5`, one update each, twice the steps. At other sizes the feature maps keep an eighth of the image
side and objects three eighths of that, to the nearest even number: our reading.

Samples keep all objects and draw the background from three quarters of its range, as the
repository's evaluation does; they are rounded to 8 bits, not stretched in contrast and compressed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from baselines.blocks.adain import STD, AdaIn, initialise
from baselines.blocks.adversarial import Adversarial, AdversarialSettings, Terms, Updates
from baselines.blocks.game import Game, discriminator_loss, dragan_penalty, generator_loss
from baselines.blocks.style_discriminator import (
    StyleDiscriminator,
    style_generator_loss,
    style_loss,
)

PARKED = -2.0  # position of an absent object, far outside the image
RANGE = 0.625  # of positions, in half image sides: 5 of the code's units of 1/8
HIDDEN = 32  # width of the multilayer perceptrons
DIMMED = 0.75  # of the background's range, when sampling


@dataclass(frozen=True)
class RelateSettings(AdversarialSettings):
    """Settings; see `AdversarialSettings` for those without a line here.

    Args:
        objects: most in a scene; 1 to that many are present in training.
        object_latent: numbers in an object's z ~ U(-1, 1).
        background_latent: numbers in the background's z₀ ~ U(-1, 1).
        width: channels of the narrowest layers of both networks.
        weight_std: of the initial weights of the generator; the signal of narrow networks dies at
            the published one, for its gain in a layer goes with std · √width.
        correction: largest correction of a position, in half image sides.
        position: weight of the squared error of the estimated position, for both players.
        generator_style: weight of the style heads in the generator's loss; they see the means and
            variances that normalisation hides from the rest. The source's weight is 0.
        penalty: weight of DRAGAN's penalty.
    """

    learning_rate: Annotated[float, Gt(0)] = 1e-4
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.0
    updates: Updates = field(default_factory=lambda: Updates(generator=2))
    objects: Annotated[int, Ge(1)] = 5
    object_latent: Annotated[int, Ge(1)] = 20
    background_latent: Annotated[int, Ge(1)] = 1
    width: Annotated[int, Ge(1)] = 64
    weight_std: Annotated[float, Gt(0)] = STD
    correction: Annotated[float, Ge(0)] = 0.5
    position: Annotated[float, Ge(0)] = 1.0
    generator_style: Annotated[float, Ge(0)] = 0.0
    penalty: Annotated[float, Ge(0)] = 0.0


class Relate(Adversarial):
    """The cross-entropy game; both players also estimate where a single object is."""

    Settings: ClassVar[type] = RelateSettings
    intensity = 0.5
    settings: RelateSettings
    generator: RelateGenerator

    def make_players(self) -> tuple[StyleDiscriminator, RelateGenerator]:
        s = self.settings
        return StyleDiscriminator(s.size, s.width, guesses=2, spectral=True), RelateGenerator(s)

    def discriminator_terms(self, real: Tensor, random: torch.Generator) -> Terms:
        s = self.settings
        with torch.no_grad():
            scene = self._scene(len(real), random)
            fake, single, place = self.generator(scene), *self._single(scene, random)
        judged, forged = self.discriminator(real), self.discriminator(fake)
        game = discriminator_loss(Game.CROSS_ENTROPY, judged.real, forged.real)
        styles = style_loss(judged, forged)
        position = F.mse_loss(self.discriminator(single).guess, place)
        terms = {"discriminator": game, "discriminator_style": styles}
        terms |= {"discriminator_position": position}
        objective = game + styles + s.position * position
        if s.penalty:
            terms["penalty"] = dragan_penalty(lambda x: self.discriminator(x).real, real, random)
            objective = objective + s.penalty * terms["penalty"]
        return {"objective": objective, **terms}

    def generator_terms(self, count: int, random: torch.Generator) -> Terms:
        s = self.settings
        scene = self._scene(count, random)
        single, place = self._single(scene, random)
        forged = self.discriminator(self.generator(scene))
        game = generator_loss(Game.CROSS_ENTROPY, forged.real)
        styles = style_generator_loss(forged)
        position = F.mse_loss(self.discriminator(single).guess, place.detach())
        objective = game + s.generator_style * styles + s.position * position
        terms = {"generator": game, "generator_style": styles, "generator_position": position}
        return {"objective": objective, **terms}

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        present = torch.ones(count, self.settings.objects, dtype=torch.bool, device=self.device)
        images: Tensor = self.generator(self._latents(count, random, present, DIMMED))
        return images

    def _scene(self, count: int, random: torch.Generator) -> Scene:
        """Latents of training scenes: 1 to `objects` objects, any of them, are present."""
        shape = (count, self.settings.objects)
        order = torch.rand(shape, generator=random, device=self.device).argsort(1)
        most = 1 + torch.randint(shape[1], (count, 1), generator=random, device=self.device)
        return self._latents(count, random, order < most, 1.0)

    def _latents(
        self, count: int, random: torch.Generator, present: Tensor, dimmed: float
    ) -> Scene:
        s = self.settings

        def uniform(*shape: int) -> Tensor:
            return 2 * torch.rand(shape, generator=random, device=self.device) - 1

        background = dimmed * uniform(count, s.background_latent)
        objects = uniform(count, s.objects, s.object_latent)
        places = torch.where(present[..., None], RANGE * uniform(count, s.objects, 2), PARKED)
        corrected = self.generator.corrected(background, objects, places, present)
        return Scene(background, objects, corrected, present)

    def _single(self, scene: Scene, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """The image of the background with one of each scene's objects, and where that is."""
        lots = torch.rand(scene.present.shape, generator=random, device=self.device)
        chosen = torch.where(scene.present, lots, -1.0).argmax(1)
        one = torch.arange(len(chosen), device=self.device), chosen
        alone = Scene(
            scene.background,
            scene.objects[one][:, None],
            scene.places[one][:, None],
            scene.present[one][:, None],
        )
        return self.generator(alone), scene.places[one]


@dataclass(frozen=True)
class Scene:
    """Latents of B scenes with K objects.

    Args:
        background: z₀, (B, background_latent).
        objects: z, (B, K, object_latent).
        places: t, (B, K, 2), horizontal and vertical, in half image sides.
        present: (B, K); absent objects are parked outside.
    """

    background: Tensor
    objects: Tensor
    places: Tensor
    present: Tensor


class RelateGenerator(nn.Module):
    """Γ corrects the positions, each object is drawn and moved, all are composed and rendered."""

    def __init__(self, s: RelateSettings) -> None:
        super().__init__()
        self.side = s.size // 8
        object_side = min(self.side, 2 * max(1, round(self.side * 3 / 16)))
        w, state = s.width, s.object_latent + 4  # the code's places have velocities, here zero
        self.correction = s.correction
        self.object_constant = nn.Parameter(0.02 * torch.randn(1, 8 * w, object_side, object_side))
        self.background_constant = nn.Parameter(0.02 * torch.randn(1, 4 * w, self.side, self.side))
        self.object_branch = Branch(s.object_latent, (8 * w, 8 * w, 4 * w), (1.0, 0.2))
        self.background_branch = Branch(s.background_latent, (4 * w, 8 * w, 4 * w), (0.2, 1.0))
        self.scale = mlp(s.background_latent + s.object_latent + 2, HIDDEN, HIDDEN, 1)
        self.interaction = mlp(2 * state, HIDDEN, HIDDEN, HIDDEN)
        self.motion = mlp(HIDDEN + state + s.background_latent, HIDDEN, HIDDEN, 2)
        self.renderer = nn.Sequential(
            *(nn.ConvTranspose2d(4 * w, 2 * w, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
            *(nn.ConvTranspose2d(2 * w, w, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
            *(nn.ConvTranspose2d(w, w, 3, padding=1), nn.LeakyReLU(0.2)),
            *(nn.ConvTranspose2d(w, w, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
            *(nn.ConvTranspose2d(w, 3, 3, padding=1), nn.Tanh()),
        )
        self.apply(partial(initialise, std=s.weight_std))

    def corrected(
        self, background: Tensor, objects: Tensor, places: Tensor, present: Tensor
    ) -> Tensor:
        """t ← t + c·tanh Γ(z₀, z, t), Γ of an object from the sum over the others that are present.

        Args:
            background, objects, places, present: as in `Scene`.

        Returns:
            (B, K, 2) in [-2, 2].
        """
        K = objects.shape[1]
        state = torch.cat((objects, places, torch.zeros_like(places)), 2)
        pairs = torch.cat(
            (state[:, :, None].expand(-1, -1, K, -1), state[:, None].expand(-1, K, -1, -1)), 3
        )
        others = present[:, None, :] & ~torch.eye(K, dtype=torch.bool, device=present.device)
        felt = (self.interaction(pairs) * others[..., None]).sum(2)
        scene = background[:, None].expand(-1, K, -1)
        shift = torch.tanh(self.motion(torch.cat((state, felt, scene), 2)))
        moved = (places + self.correction * shift).clamp(-2, 2)
        return torch.where(present[..., None], moved, PARKED)

    def forward(self, scene: Scene) -> Tensor:
        """Images (B, 3, H, W) in (-1, 1)."""
        B, K = scene.objects.shape[:2]
        z = scene.objects.flatten(0, 1)
        z0 = scene.background.repeat_interleave(K, 0)
        t = scene.places.flatten(0, 1)
        drawn = self.object_branch(self.object_constant.expand(B * K, -1, -1, -1), z)
        border = (self.side - drawn.shape[3]) // 2
        drawn = F.pad(drawn, (border,) * 4)
        scale = 1 + 2 * torch.tanh(self.scale(torch.cat((z0, z, t), 1)))
        theta = torch.cat((scale[..., None] * torch.eye(2, device=t.device), t[..., None]), 2)
        grid = F.affine_grid(theta, list(drawn.shape), align_corners=False)
        # Parked objects are outside but for scales near 3, which the code lets back in.
        here = scene.present.flatten()[:, None, None, None]
        moved = (F.grid_sample(drawn, grid, align_corners=False) * here).unflatten(0, (B, K))
        constant = self.background_constant.expand(B, -1, -1, -1)
        behind = self.background_branch(constant, scene.background)
        composed = torch.maximum(moved.amax(1), behind)
        images: Tensor = self.renderer(composed)
        return images


class Branch(nn.Module):
    """AdaIN, convolution, AdaIN, convolution, AdaIN, with leaky ReLUs between.

    Args:
        latent: numbers in z.
        channels: of the constant, and after each convolution.
        slopes: of the leaky ReLUs after normalisations and after convolutions; 1 is none.
    """

    def __init__(
        self, latent: int, channels: tuple[int, int, int], slopes: tuple[float, float]
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(AdaIn(latent, c) for c in channels)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 3, padding=1) for a, b in pairwise(channels)
        )
        self.slopes = slopes

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """x (B, channels[0], h, w), z (B, latent)."""
        after_norm, after_convolution = self.slopes
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            x = convolution(F.leaky_relu(norm(x, z), after_norm))
            x = F.leaky_relu(x, after_convolution)
        return F.leaky_relu(self.norms[-1](x, z), after_norm)


def mlp(*widths: int) -> nn.Sequential:
    """Linear maps with leaky ReLUs of slope 0.2 between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])
