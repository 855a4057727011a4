"""BlockGAN's generator: posed volumes of features, their maximum, and a renderer."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from baselines.blockgan.settings import BlockganSettings
from baselines.blocks.adain import AdaIn, initialise
from baselines.blocks.volume import Camera, perspective_matrix, resample

SIDE = 16  # voxels of a volume along each axis
TEMPLATE = 4  # voxels of the learned constant along each axis


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
        self.apply(initialise)

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
        """The composed volume in the camera's view, (B, width, 16, 16, 16); see `forward`."""
        volumes = self.object(objects.flatten(0, 1))
        posed = resample(volumes, object_poses.flatten(0, 1), self.view)
        behind = resample(self.background(background), background_poses, self.view)
        return torch.maximum(posed.unflatten(0, objects.shape[:2]).amax(1), behind)


class VolumeBranch(nn.Module):
    """A learned 4³ template, AdaIN by z, two transposed convolutions to 16³.

    Args:
        latent: dimensions of z.
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
