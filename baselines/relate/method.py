"""RELATE: a generator that composes objects and corrects their positions by their interactions.

Ehrhardt et al., RELATE: physically plausible multi-object scene synthesis using structured latent
spaces, NeurIPS 2020; static scenes. Settings and networks are those of hyenal/relate,
`cars_real_traffic-train` (128 × 128 pixels). The repository's other configuration for traffic adds
DRAGAN's penalty against failures of the background: `penalty: 1`, `learning_rate: 0.001`, `beta1:
0.5`, one update per player, twice the steps. Our choice for other sizes: feature maps have an
eighth of the image side, and objects three eighths of the feature maps, to the nearest even number.

Samples have all objects, and a background from three quarters of its range, as in the repository's
evaluation. They are rounded to 8 bits, without contrast stretching or compression.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from baselines.blocks.alternation import Terms
from baselines.blocks.game import Game, discriminator_loss, dragan_penalty, generator_loss
from baselines.blocks.style_discriminator import StyleDiscriminator
from baselines.blocks.style_game import StyleGame, style_generator_loss, style_loss
from baselines.relate.generator import PARKED, RelateGenerator, Scene
from baselines.relate.settings import RelateSettings

RANGE = 0.625  # of positions, in half image sides: 5 of the code's units of 1/8
DIMMED = 0.75  # fraction of the range of the background's latent in samples


class Relate(StyleGame):
    """The cross-entropy game; both losses also have the error of a single object's position."""

    settings: RelateSettings
    generator: RelateGenerator
    intensity = 0.5

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
        scene = self._scene(count, random)
        single, place = self._single(scene, random)
        forged = self.discriminator(self.generator(scene))
        game = generator_loss(Game.CROSS_ENTROPY, forged.real)
        styles = style_generator_loss(forged)
        position = F.mse_loss(self.discriminator(single).guess, place.detach())
        terms = {"generator": game, "generator_style": styles, "generator_position": position}
        return {"objective": self.generator_objective(terms), **terms}

    def generator_objective(self, terms: Terms) -> Tensor:
        # In the source, style heads have weight 0 here.
        return terms["generator"] + self.settings.position * terms["generator_position"]

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        present = torch.ones(count, self.settings.objects, dtype=torch.bool, device=self.device)
        images: Tensor = self.generator(self._latents(count, random, present, DIMMED))
        return images

    def _scene(self, count: int, random: torch.Generator) -> Scene:
        """Latents of training scenes, in which a random 1 to `objects` objects are present."""
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
        """Images of each scene's background with one of its objects, and the object's position."""
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
