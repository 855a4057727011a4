"""SPACE's foreground: latents of all cells at once, and the decoder of their glimpses.

Lin et al., "SPACE: Unsupervised object-oriented scene representation via spatial attention and
decomposition", ICLR 2020; layers as in the authors' repository zhixuan-lin/SPACE. Other image
sides than 128 change strides and enlargements as the authors' code does for other grids.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.blocks.cells import cell_centres
from baselines.blocks.concrete import relaxed_bernoulli
from baselines.blocks.convolutions import convolution, enlargement, quieten
from baselines.blocks.gaussian import DiagonalGaussian, draw, posterior
from baselines.blocks.glimpse import crop
from baselines.blocks.space_compositing import Objects
from denf.errors import DenfError

LOGIT_BOUND = 8.8  # of presence


class SpaceForeground(nn.Module):
    """q(z | x) of all cells at once, and the decoder of their glimpses.

    Args:
        size: side of the images in pixels.
        grid: cells a side, G; one eighth to one 32nd of `size`.
        what: dimensions of z_what.
        glimpse: side of the glimpses in pixels, 16 or 32.
        shrink: divides the channels of all convolutions and the groups of their normalisation.
        quiet: multiplies the initial weights of the decoder's last layer; see `quieten`.
        alpha_bias: added to the logits of alpha.
        std_bias: added to the raw deviations of all posteriors.

    Raises:
        DenfError: for a grid that the strides do not give.
    """

    def __init__(
        self,
        *,
        size: int,
        grid: int,
        what: int,
        glimpse: int,
        shrink: int,
        quiet: float = 1.0,
        alpha_bias: float = 0.0,
        std_bias: float = 0.0,
    ) -> None:
        super().__init__()
        cell = size // grid
        if grid * cell != size or cell not in (8, 16, 32):
            raise DenfError(
                "settings.grid of space",
                expected=f"{size} // 32, // 16 or // 8 cells a side",
                got=grid,
                fix="Correct grid or size.",
            )
        self.grid, self.side = grid, glimpse
        self.alpha_bias, self.std_bias = alpha_bias, std_bias
        n = shrink
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
        kernel, stride = (4, 2) if self.side == 32 else (3, 1)
        self.glimpse_encoder = nn.Sequential(
            convolution(3, 16 // n, 4 // n),
            convolution(16 // n, 32 // n, 8 // n, kernel=4, stride=2),
            convolution(32 // n, 32 // n, 4 // n),
            convolution(32 // n, 64 // n, 8 // n, kernel=4, stride=2),
            convolution(64 // n, 128 // n, 8 // n, kernel=kernel, stride=stride),
            convolution(128 // n, 256 // n, 16 // n, kernel=4, padding=0),
            nn.Flatten(),
            nn.Linear(256 // n, 2 * what),
        )
        layers: list[nn.Module] = [convolution(what, 256 // n, 16 // n, kernel=1)]
        before, side = 256 // n, 1
        for channels, divisions in ((128, 16), (128, 16), (64, 8), (32, 8), (16, 4)):
            out, groups, factor = channels // n, divisions // n, 2 if side < self.side else 1
            layers.append(enlargement(before, out, groups, factor=factor))
            layers.append(convolution(out, out, groups))
            before, side = out, factor * side
        last = quieten(nn.Conv2d(before, 4, 3, padding=1), quiet)
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
