"""Spatial broadcast: pixel coordinates, position embedding, and a latent tiled over a grid.

Watters, Matthey, Burgess and Lerchner, "Spatial broadcast decoder: A simple architecture for
learning disentangled representations in VAEs", arXiv:1901.07017, 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from baselines.blocks.images import fastest_layout


def coordinates(
    height: int, width: int, like: Tensor, low: float = -1.0, high: float = 1.0
) -> Tensor:
    """Linear coordinates of a grid's points, the first at `low` and the last at `high`.

    Args:
        height, width: of the grid.
        like: a tensor of the device and dtype of the result.
        low, high: ends of the interval.

    Returns:
        (2, height, width): x, y.
    """
    y = torch.linspace(low, high, height, device=like.device, dtype=like.dtype)
    x = torch.linspace(low, high, width, device=like.device, dtype=like.dtype)
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1])


class PositionEmbedding(nn.Module):
    """h + W (x, y, 1 − x, 1 − y) + b with x, y in [0, 1] (Locatello et al. 2020, appendix E.2).

    Args:
        channels: of h, (B, channels, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4, channels)

    def forward(self, h: Tensor) -> Tensor:
        height, width = h.shape[2:]
        grid = coordinates(height, width, like=h, low=0.0)
        embedded = self.linear(torch.cat((grid, 1 - grid)).movedim(0, -1))  # (H, W, C)
        return h + embedded.movedim(-1, 0)


class BroadcastDecoder(nn.Module):
    """A latent tiled over the image, two coordinates in [−1, 1], convolutions of stride 1.

    Args:
        latent: dimensions of the latent.
        hidden: channels of the 3×3 convolutions, each followed by `activation`.
        out: channels of the last, linear convolution.
        activation: makes a module, such as nn.ReLU.
        padded: pad the 3×3 convolutions with zeros, so that the grid has the size of the image;
            otherwise the grid is larger by one pixel per side and layer, and coordinates −1 and 1
            lie outside the image.
        last_kernel: side of the last convolution's kernel, odd; padded to keep the size.
        norm: makes the normalisation between convolution and activation from the number of
            channels; None: no normalisation.
    """

    def __init__(
        self,
        latent: int,
        hidden: Sequence[int],
        out: int,
        *,
        activation: Callable[[], nn.Module],
        padded: bool,
        last_kernel: int = 1,
        norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.margin = 0 if padded else len(hidden)
        layers: list[nn.Module] = []
        before = latent + 2
        for channels in hidden:
            layers.append(nn.Conv2d(before, channels, 3, padding=int(padded)))
            if norm is not None:
                layers.append(norm(channels))
            layers.append(activation())
            before = channels
        layers.append(nn.Conv2d(before, out, last_kernel, padding=last_kernel // 2))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, out, H, W) from latents (N, latent) for images of (H, W) pixels."""
        height, width = (side + 2 * self.margin for side in size)
        first = self._first(z, coordinates(height, width, like=z)[None])
        decoded: Tensor = self.layers[1:](fastest_layout(first))
        return decoded.contiguous()

    def _first(self, z: Tensor, grid: Tensor) -> Tensor:
        """The first convolution of tiled latents and coordinates, without repeated work.

        A convolution is linear, and its result for the coordinates is the same for all latents.
        """
        conv = self.layers[0]
        assert isinstance(conv, nn.Conv2d)
        of_z, of_grid = conv.weight.split((z.shape[1], 2), 1)
        place = nn.functional.conv2d(grid, of_grid, conv.bias, padding=conv.padding)

        def of_tiled(points: Tensor) -> Tensor:
            return nn.functional.conv2d(points, of_z, padding=conv.padding)

        return place + convolve_tiled(
            z, of_tiled, conv.kernel_size[0], (grid.shape[2], grid.shape[3])
        )


def convolve_tiled(
    z: Tensor, convolve: Callable[[Tensor], Tensor], kernel: int, size: tuple[int, int]
) -> Tensor:
    """A convolution of latents that are tiled over a grid, without repeated work.

    Its result is the same everywhere but at padded borders, so that as many points per side as the
    kernel has suffice for the whole grid.

    Args:
        z: latents (N, C).
        convolve: the convolution, of stride 1.
        kernel: side of its kernel, odd.
        size: height and width of the grid.

    Returns:
        (N, out, H, W) with padding that keeps the size; (N, out, 1, 1), which stands for all
        points, without padding.
    """
    points = [min(kernel, side) for side in size]
    look = convolve(z[:, :, None, None].expand(-1, -1, *points))
    return _stretch(_stretch(look, size[0], 2), size[1], 3)


def _stretch(x: Tensor, size: int, dim: int) -> Tensor:
    """Repeat the middle entry until there are `size`; one entry alone stands for all."""
    border = x.shape[dim] // 2
    if border == 0 or x.shape[dim] == size:
        return x
    first, middle, last = x.split((border, 1, border), dim)
    shape = list(x.shape)
    shape[dim] = size - 2 * border
    return torch.cat((first, middle.expand(shape), last), dim)
