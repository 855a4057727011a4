"""GMAIR's convolutions: the backbone, the heads of its cells, and the decoder of glimpses.

`width` is 64 as published; all numbers of channels are proportional to it.
"""

from __future__ import annotations

from torch import nn

from baselines.blocks.convolutions import convolution, enlargement
from baselines.blocks.heads import resnet18

GLIMPSE = 32  # side in pixels


def backbone(enlargements: int, width: int) -> nn.Sequential:
    """ResNet-18 without its last pooling, and doublings of its grid; `width` features per cell."""
    layers = list(resnet18(width))[:-2]
    before = 8 * width
    for out in (4 * width, 2 * width, width)[-enlargements:]:
        layers += [
            nn.Conv2d(before, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.ConvTranspose2d(out, out, 4, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
        ]  # fmt: skip
        before = out
    return nn.Sequential(*layers)


def head(outputs: int, width: int) -> nn.Sequential:
    """From the features of all cells to `outputs` numbers per cell."""
    layers: list[nn.Module] = []
    hidden = 2 * width
    for channels in (width, hidden, hidden):
        layers += [nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(hidden, outputs, 1))


def glimpse_decoder(what: int, width: int) -> nn.Sequential:
    """(N, what) to logits of colours and alpha (N, 4, GLIMPSE, GLIMPSE)."""
    relu, w = nn.ReLU, width
    many, few = w // 8, w // 16  # groups of the normalisations
    return nn.Sequential(
        nn.Linear(what, 4 * w),
        nn.ReLU(),
        nn.Unflatten(1, (4 * w, 1, 1)),
        enlargement(4 * w, 2 * w, many, activation=relu),
        enlargement(2 * w, 2 * w, many, activation=relu),
        enlargement(2 * w, w, many, activation=relu),
        enlargement(w, w // 2, many, activation=relu),
        convolution(w // 2, w // 2, many, activation=relu),
        enlargement(w // 2, w // 4, few, activation=relu),
        nn.Conv2d(w // 4, 4, 3, padding=1),
    )
