"""SPACE's foreground: latents of all cells at once, and the decoder of their glimpses.

Layers as in the authors' repository. For image sides other than 128, strides and upsampling change
as in the authors' code for other grids.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.cells import cell_centres
from baselines.blocks.concrete import relaxed_bernoulli
from baselines.blocks.convolutions import convolution, enlargement
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior
from baselines.blocks.glimpse import crop
from baselines.space.compositing import Objects
from baselines.space.settings import SpaceSettings
from denf.errors import DenfError

LOGIT_BOUND = 8.8  # largest absolute value of the logit of presence


class SpaceForeground(nn.Module):
    """q(z_fg | x) of all cells i at once, and the decoder of their glimpses.

    q(z_fg | x) = Π_i q(z_pres,i | x) q(z_where,i | x) q(z_depth,i | x) q(z_what,i | z_where,i, x)
    with where = (scale, shift).

    Args:
        settings: uses `size`, `grid`, `what`, `glimpse` and `width`.

    Raises:
        DenfError: for a grid that no choice of strides yields.
    """

    def __init__(self, settings: SpaceSettings) -> None:
        super().__init__()
        self.grid, self.side = settings.grid, settings.glimpse
        cell = settings.size // self.grid
        if self.grid * cell != settings.size or cell not in (8, 16, 32):
            raise DenfError(
                "settings.grid of space",
                expected=f"{settings.size} // 32, // 16 or // 8 cells a side",
                got=self.grid,
                fix="Correct grid or size.",
            )
        w = settings.width
        self.features = _image_encoder(cell, w)
        out, groups = 8 * w, w
        self.lateral = nn.Sequential(convolution(out, out, groups), convolution(out, out, groups))
        self.joint = convolution(2 * out, out, groups)
        self.heads = nn.ModuleDict(
            {"presence": nn.Conv2d(out, 1, 1), "depth": nn.Conv2d(out, 2, 1),
             "scale": nn.Conv2d(out, 4, 1), "shift": nn.Conv2d(out, 4, 1)}
        )  # fmt: skip
        self.glimpse_encoder = _glimpse_encoder(self.side, settings.what, w)
        self.glimpse_decoder = _glimpse_decoder(self.side, settings.what, w)

    def infer(
        self, x: Tensor, temperature: float, generator: torch.Generator | None
    ) -> tuple[Objects, dict[str, DiagonalGaussian], Tensor]:
        """Latents, their posteriors by name, and the logits of presence (B, N, 1).

        Args:
            x: (B, 3, H, W) in [0, 1].
            temperature: of the relaxed presence.
            generator: of all samples; None: means and the probability of presence.
        """
        features = self.features(x)
        joint = self.joint(torch.cat((features, self.lateral(features)), 1))
        raw = {name: head(joint).flatten(2).mT for name, head in self.heads.items()}
        logits = LOGIT_BOUND * torch.tanh(raw.pop("presence"))
        if generator is None:
            presence = torch.sigmoid(logits)
        else:
            presence = relaxed_bernoulli(logits, temperature, generator)
        posteriors = {name: posterior(value, 0) for name, value in raw.items()}
        scale, shift = (draw(posteriors[name], generator) for name in ("scale", "shift"))
        boxes = self.boxes(scale, shift)
        glimpses = crop(x, boxes, self.side)
        encoded = self.glimpse_encoder(glimpses.flatten(0, 1)).unflatten(0, glimpses.shape[:2])
        posteriors["what"] = posterior(encoded, 0)
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
        return torch.sigmoid(rgb), torch.sigmoid(alpha)


def _image_encoder(cell: int, w: int) -> nn.Sequential:
    """Channels 16, 32, 64, 128, 256, 128 as published, with w = 16."""
    return nn.Sequential(
        convolution(3, w, w // 4, kernel=4, stride=2),
        convolution(w, 2 * w, w // 2, kernel=4, stride=2),
        convolution(2 * w, 4 * w, w // 2, kernel=4, stride=2),
        convolution(4 * w, 8 * w, w, stride=2 if cell == 32 else 1),
        convolution(8 * w, 16 * w, 2 * w, stride=1 if cell == 8 else 2),
        convolution(16 * w, 8 * w, w, kernel=1),
    )


def _glimpse_encoder(side: int, what: int, w: int) -> nn.Sequential:
    """Channels 16, 32, 32, 64, 128, 256 as published, with w = 16."""
    kernel, stride = (4, 2) if side == 32 else (3, 1)
    return nn.Sequential(
        convolution(3, w, w // 4),
        convolution(w, 2 * w, w // 2, kernel=4, stride=2),
        convolution(2 * w, 2 * w, w // 4),
        convolution(2 * w, 4 * w, w // 2, kernel=4, stride=2),
        convolution(4 * w, 8 * w, w // 2, kernel=kernel, stride=stride),
        convolution(8 * w, 16 * w, w, kernel=4, padding=0),
        nn.Flatten(),
        nn.Linear(16 * w, 2 * what),
    )


def _glimpse_decoder(side: int, what: int, w: int) -> nn.Sequential:
    """Channels 256, 128, 128, 64, 32, 16 as published, with w = 16; logits of RGB and alpha."""
    layers: list[nn.Module] = [convolution(what, 16 * w, w, kernel=1)]
    before, reached = 16 * w, 1
    stages = ((8 * w, w), (8 * w, w), (4 * w, w // 2), (2 * w, w // 2), (w, w // 4))
    for out, groups in stages:
        factor = 2 if reached < side else 1
        layers.append(enlargement(before, out, groups, factor=factor))
        layers.append(convolution(out, out, groups))
        before, reached = out, factor * reached
    return nn.Sequential(*layers, nn.Conv2d(before, 4, 3, padding=1))
