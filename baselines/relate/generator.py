"""RELATE's generator: positions with interactions, objects generated, moved and composed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from baselines.blocks.adain import AdaIn, initialise
from baselines.relate.settings import RelateSettings

PARKED = -2.0  # position of an absent object, far outside the image
HIDDEN = 32  # width of the perceptrons' hidden layers


@dataclass(frozen=True)
class Scene:
    """Latents of B scenes with K objects.

    Args:
        background: z₀, (B, background_latent).
        objects: z, (B, K, object_latent).
        places: positions t, (B, K, 2), horizontal and vertical, in half image sides.
        present: (B, K), bool; absent objects are at `PARKED`.
    """

    background: Tensor
    objects: Tensor
    places: Tensor
    present: Tensor


class RelateGenerator(nn.Module):
    """Γ corrects the positions; objects are generated, moved, composed and rendered."""

    def __init__(self, s: RelateSettings) -> None:
        super().__init__()
        self.side = s.size // 8
        object_side = min(self.side, 2 * max(1, round(self.side * 3 / 16)))
        w, state = s.width, s.object_latent + 4  # with position and velocity, which is 0 here
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
        self.apply(initialise)

    def corrected(
        self, background: Tensor, objects: Tensor, places: Tensor, present: Tensor
    ) -> Tensor:
        """t ← t + c·tanh Γ(z₀, z, t), where Γ of an object sums over the other present objects.

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
        # Absent objects are outside the image, except at scales near 3, where the code shows them.
        here = scene.present.flatten()[:, None, None, None]
        moved = (F.grid_sample(drawn, grid, align_corners=False) * here).unflatten(0, (B, K))
        constant = self.background_constant.expand(B, -1, -1, -1)
        behind = self.background_branch(constant, scene.background)
        composed = torch.maximum(moved.amax(1), behind)
        images: Tensor = self.renderer(composed)
        return images


class Branch(nn.Module):
    """AdaIN, convolution, AdaIN, convolution, AdaIN, each followed by a leaky ReLU.

    Args:
        latent: dimensions of z.
        channels: of the constant, and after each convolution.
        slopes: of the leaky ReLUs after normalisations and after convolutions; 1: no ReLU.
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
    """Linear layers with leaky ReLUs of slope 0.2 between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])
