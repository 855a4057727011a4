"""The structured latents: what the flow maps an image to."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Latents:
    """The partition of z (Figure 2, Table 4).

    Args:
        background: z_bg (B, 1, H/2, W/2).
        presence: two channels (B, 2, h, w); the logit of z_pres is their difference.
        scale: z_scale (B, 2, h, w), height and width as fractions of the image side.
        loc: z_loc (B, 2, h, w), from the cell to its object's centre, rows then columns, in
            image diagonals.
        what: z_what (B, 5, h, w), or 38 channels with two squeezes.
    """

    background: Tensor
    presence: Tensor
    scale: Tensor
    loc: Tensor
    what: Tensor

    @property
    def presence_logit(self) -> Tensor:
        """log α of Eq. 14, (B, h, w); a cell is present where it is positive."""
        return self.presence[:, 0] - self.presence[:, 1]
