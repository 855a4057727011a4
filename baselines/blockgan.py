"""BlockGAN: volumes of object and background features, posed in space, composed, seen by a camera.

Nguyen-Phuoc, Richardt, Mai, Yang and Mitra, BlockGAN: learning 3d object-aware scene
representations from unlabelled images, NeurIPS 2020. Networks and settings are those of
thunguyenphuoc/BlockGAN, `config_real` (128 × 128 pixels, one object). What differs here: angles
are continuous, not whole degrees, and each object of a batch has a scale of its own; volumes turn
about their middle, half a voxel from the source's centre; AdaIN's ε is 1e-5, not 1e-8; there is no
crop and jitter of the images; the unused estimate of the latents (weight 0) is left out; the style
heads are RELATE's. No configuration for traffic scenes was published: that of
`config/experiments/blockgan.yaml` has as many objects as RELATE's, and a camera and a background
that stand still, as on the street. Smaller images leave out the last doublings of the renderer, as
the source does at 64 × 64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, NamedTuple

import torch
from annotated_types import Ge, Gt
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from baselines.blocks.adain import STD, AdaIn, initialise
from baselines.blocks.adversarial import Adversarial, AdversarialSettings, Terms, Updates
from baselines.blocks.game import Game, discriminator_loss, generator_loss
from baselines.blocks.style_discriminator import (
    StyleDiscriminator,
    style_generator_loss,
    style_loss,
)
from baselines.blocks.volume import Camera, perspective_matrix, pose_matrix, resample
from denf.harness.method import Step

SIDE = 16  # voxels of a volume along each axis
TEMPLATE = 4  # of the learnt constant


@dataclass(frozen=True)
class Poses:
    """Uniform ranges of poses without the camera's elevation; the defaults are those of objects.

    Args:
        azimuth_low, azimuth_high: about the vertical axis, in degrees.
        scale_low, scale_high: factors.
        x_low, x_high: horizontal shift, in voxels of 16 across the volume.
        z_low, z_high: shift away from the camera, in voxels.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    azimuth_low: float = 0.0
    azimuth_high: float = 359.0
    scale_low: Annotated[float, Gt(0)] = 0.5
    scale_high: Annotated[float, Gt(0)] = 0.8
    x_low: float = -3.0
    x_high: float = 4.0
    z_low: float = -5.0
    z_high: float = 6.0

    def draw(self, elevation: Tensor, random: torch.Generator) -> Tensor:
        """Matrices of poses, (B, 4, 4), seen at elevations (B,) in degrees."""
        elevation = elevation * (math.pi / 180)

        def uniform(low: float, high: float) -> Tensor:
            drawn = torch.rand(elevation.shape, generator=random, device=elevation.device)
            return low + (high - low) * drawn

        azimuth = uniform(self.azimuth_low, self.azimuth_high) * (math.pi / 180)
        scale = uniform(self.scale_low, self.scale_high)
        x, z = uniform(self.x_low, self.x_high), uniform(self.z_low, self.z_high)
        return pose_matrix(azimuth, elevation, scale, torch.stack([x, torch.zeros_like(x), z], 1))


@dataclass(frozen=True)
class BlockganSettings(AdversarialSettings):
    """Settings; see `AdversarialSettings` for those without a line here.

    Args:
        objects: in every scene.
        object_latent: numbers in an object's z ~ U(-1, 1).
        background_latent: numbers in the background's z ~ U(-1, 1).
        width: channels of the volumes, and of the first layer of the discriminator.
        weight_std: of the initial weights of the generator; the signal of narrow networks dies at
            the published one, for its gain in a layer goes with std · √width.
        style: weight of the style heads in the discriminator's loss.
        generator_style: weight of the style heads in the generator's loss; they see the means and
            variances that normalisation hides from the rest. The source's weight is 0.
        elevation_low, elevation_high: of the camera above the scene in degrees, uniform; one per
            scene, shared by all objects and the background. At larger ones the far side is seen
            higher in the image (90 minus the source's 90 to 125, whose y points up).
        object_poses, background_poses: see `Poses`.
    """

    learning_rate: Annotated[float, Gt(0)] = 5e-5
    updates: Updates = field(default_factory=lambda: Updates(generator=2))
    objects: Annotated[int, Ge(1)] = 1
    object_latent: Annotated[int, Ge(1)] = 200
    background_latent: Annotated[int, Ge(1)] = 100
    width: Annotated[int, Ge(2)] = 64
    weight_std: Annotated[float, Gt(0)] = STD
    style: Annotated[float, Ge(0)] = 1.0
    generator_style: Annotated[float, Ge(0)] = 0.0
    elevation_low: float = 0.0
    elevation_high: float = 35.0
    object_poses: Poses = field(default_factory=Poses)
    background_poses: Poses = field(
        default_factory=lambda: Poses(scale_low=1.0, scale_high=1.0, z_low=0.0, z_high=0.0)
    )


class Scenes(NamedTuple):
    """What the generator draws images of.

    Args:
        objects: latents (B, K, object_latent).
        object_poses: (B, K, 4, 4).
        background: latents (B, background_latent).
        background_poses: (B, 4, 4).
    """

    objects: Tensor
    object_poses: Tensor
    background: Tensor
    background_poses: Tensor


class Blockgan(Adversarial):
    """The hinge game; the discriminator's style heads play the cross-entropy game.

    All updates of a step, of both players, see the same scenes.
    """

    Settings: ClassVar[type] = BlockganSettings
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
        objective = game + self.settings.generator_style * styles
        return {"objective": objective, "generator": game, "generator_style": styles}

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        images: Tensor = self.generator(*self.scenes(count, random))
        return images

    def scenes(self, count: int, random: torch.Generator) -> Scenes:
        """Latents and poses of so many scenes, each seen at an elevation of its own."""
        s, device = self.settings, self.device

        def uniform(*shape: int) -> Tensor:
            return 2 * torch.rand(shape, generator=random, device=device) - 1

        drawn = torch.rand(count, generator=random, device=device)
        elevation = s.elevation_low + (s.elevation_high - s.elevation_low) * drawn
        poses = s.object_poses.draw(elevation.repeat_interleave(s.objects), random)
        return Scenes(
            objects=uniform(count, s.objects, s.object_latent),
            object_poses=poses.unflatten(0, (count, s.objects)),
            background=uniform(count, s.background_latent),
            background_poses=s.background_poses.draw(elevation, random),
        )


class BlockganGenerator(nn.Module):
    """Volumes of objects and background, their poses, the element-wise maximum, the renderer."""

    view: Tensor

    def __init__(self, s: BlockganSettings) -> None:
        super().__init__()
        w, doublings = s.width, (s.size // SIDE).bit_length() - 1
        self.object = VolumeBranch(s.object_latent, (8 * w, 2 * w, w))
        self.background = VolumeBranch(s.background_latent, (4 * w, 2 * w, w))
        self.register_buffer("view", perspective_matrix(Camera()), persistent=False)
        channels = [4 * w, 2 * w, w, w // 2][: doublings + 1]
        channels += [w // 2] * (doublings + 1 - len(channels))
        layers: list[nn.Module] = [nn.Conv2d(SIDE * w, channels[0], 1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(channels):
            layers += [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        layers += [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(channels[-1], 3, 4), nn.Tanh()]
        self.renderer = nn.Sequential(*layers)
        self.apply(partial(initialise, std=s.weight_std))

    def forward(
        self, objects: Tensor, object_poses: Tensor, background: Tensor, background_poses: Tensor
    ) -> Tensor:
        """Images (B, 3, H, W) in (-1, 1).

        Args:
            objects: latents (B, K, object_latent).
            object_poses: (B, K, 4, 4).
            background: latents (B, background_latent).
            background_poses: (B, 4, 4).
        """
        composed = self.compose(objects, object_poses, background, background_poses)
        images: Tensor = self.renderer(composed.flatten(1, 2))  # depth into channels
        return images

    def compose(
        self, objects: Tensor, object_poses: Tensor, background: Tensor, background_poses: Tensor
    ) -> Tensor:
        """The volume that the camera sees, (B, width, 16, 16, 16); arguments as of `forward`."""
        volumes = self.object(objects.flatten(0, 1))
        posed = resample(volumes, object_poses.flatten(0, 1), self.view)
        behind = resample(self.background(background), background_poses, self.view)
        return torch.maximum(posed.unflatten(0, objects.shape[:2]).amax(1), behind)


class VolumeBranch(nn.Module):
    """A learnt 4³ template, AdaIN by z, two transposed convolutions to 16³.

    Args:
        latent: numbers in z.
        channels: of the template, and after each convolution.
    """

    def __init__(self, latent: int, channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.template = nn.Parameter(0.02 * torch.randn(1, channels[0], *[TEMPLATE] * 3))
        self.norms = nn.ModuleList(AdaIn(latent, c) for c in channels)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose3d(a, b, 3, stride=2, padding=1, output_padding=1)
            for a, b in pairwise(channels)
        )

    def forward(self, z: Tensor) -> Tensor:
        """(B, latent) to (B, channels[-1], 16, 16, 16)."""
        x = self.template.expand(len(z), -1, -1, -1, -1)
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            x = convolution(F.leaky_relu(norm(x, z), 0.2))
        return F.leaky_relu(self.norms[-1](x, z), 0.2)
