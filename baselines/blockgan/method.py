"""BlockGAN: feature volumes of objects and background, posed in 3D, composed and rendered.

Nguyen-Phuoc, Richardt, Mai, Yang and Mitra, BlockGAN: learning 3d object-aware scene
representations from unlabelled images, NeurIPS 2020. Networks and settings are those of
thunguyenphuoc/BlockGAN, `config_real` (128 × 128 pixels, one object). What differs here: angles
are continuous, not whole degrees, and each object of a batch has a scale of its own; volumes are
rotated about their centre, half a voxel from the source's centre; AdaIN's ε is 1e-5, not 1e-8;
images are not cropped or jittered; the unused estimate of the latents (weight 0) is left out; the
style heads are RELATE's. No configuration for traffic scenes was published:
`config/experiments/blockgan.yaml` has as many objects as that of RELATE, and a fixed camera and
background, as in the data. For smaller images the renderer has fewer doublings, as in the source
at 64 × 64.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.blockgan.generator import BlockganGenerator
from baselines.blockgan.scenes import Scenes, draw_scenes
from baselines.blockgan.settings import BlockganSettings
from baselines.blocks.alternation import Terms
from baselines.blocks.game import Game, discriminator_loss, generator_loss
from baselines.blocks.style_discriminator import StyleDiscriminator
from baselines.blocks.style_game import StyleGame, style_generator_loss, style_loss
from denf.harness.method import Step


class Blockgan(StyleGame):
    """The hinge game; the discriminator's style heads have the cross-entropy game.

    All updates of both players in a step use the same scenes.
    """

    settings: BlockganSettings

    def make_players(self) -> tuple[StyleDiscriminator, BlockganGenerator]:
        s = self.settings
        return StyleDiscriminator(s.size, s.width, guesses=0, spectral=False), BlockganGenerator(s)

    def training_step(self, batch: Tensor, step: Step) -> Mapping[str, Tensor]:
        real = self._signed(batch)
        scenes = self.scenes(len(real), step.generator)
        return self.play(
            lambda: self._discriminator_terms(real, scenes), lambda: self._generator_terms(scenes)
        )

    def discriminator_terms(self, real: Tensor, random: torch.Generator) -> Terms:
        return self._discriminator_terms(real, self.scenes(len(real), random))

    def generator_terms(self, count: int, random: torch.Generator) -> Terms:
        return self._generator_terms(self.scenes(count, random))

    def _discriminator_terms(self, real: Tensor, scenes: Scenes) -> Terms:
        with torch.no_grad():
            fake = self.generator(*scenes)
        judged, forged = self.discriminator(real), self.discriminator(fake)
        game = discriminator_loss(Game.HINGE, judged.real, forged.real)
        styles = style_loss(judged, forged)
        objective = game + self.settings.style * styles
        return {"objective": objective, "discriminator": game, "discriminator_style": styles}

    def _generator_terms(self, scenes: Scenes) -> Terms:
        forged = self.discriminator(self.generator(*scenes))
        game = generator_loss(Game.HINGE, forged.real)
        styles = style_generator_loss(forged)
        terms = {"generator": game, "generator_style": styles}
        return {"objective": self.generator_objective(terms), **terms}

    def generator_objective(self, terms: Terms) -> Tensor:
        return terms["generator"]  # in the source, style heads have weight 0 here

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        images: Tensor = self.generator(*self.scenes(count, random))
        return images

    def scenes(self, count: int, random: torch.Generator) -> Scenes:
        """Latents and poses of `count` scenes; see `draw_scenes`."""
        return draw_scenes(self.settings, count, random, self.device)
