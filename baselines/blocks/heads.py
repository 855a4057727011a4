"""One encoder and many small networks on its features, for images made of sprites.

Monnier, Vincent, Ponce and Aubry, "Unsupervised layered image decomposition into object
prototypes", ICCV 2021.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

POOL = 2  # side of the encoder's pooled features


class Heads(nn.Module):
    """Networks of equal shape on one input: two hidden layers; the last starts at or near zero.

    Args:
        count: number of networks.
        features, hidden, out: widths.
        spread: standard deviation of the last layer's initial weights.
    """

    def __init__(
        self, count: int, features: int, hidden: int, out: int, *, spread: float = 0.0
    ) -> None:
        super().__init__()
        widths = (features, hidden, hidden, out)
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(torch.zeros(count, a, b) for a, b in pairs)
        self.biases = nn.ParameterList(torch.zeros(count, 1, b) for _, b in pairs)
        for (before, _), weight, bias in zip(pairs[:-1], self.weights, self.biases, strict=False):
            limit = before**-0.5  # as nn.Linear
            nn.init.uniform_(weight, -limit, limit)
            nn.init.uniform_(bias, -limit, limit)
        nn.init.normal_(self.weights[-1], std=spread)

    def forward(self, features: Tensor) -> Tensor:
        """(B, count, out) from (B, features)."""
        x = features.expand(len(self.weights[0]), -1, -1)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x.relu() if index else x, weight)
        return x.transpose(0, 1)


def resnet18(width: int) -> nn.Sequential:
    """ResNet-18 without its classifier, pooled to 2 × 2 and flattened: (B, 8 · width · 4)."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    before = width
    for channels, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
        shortcut = None
        if stride > 1:
            convolution = nn.Conv2d(before, channels, 1, stride, bias=False)
            shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))
        layers += [BasicBlock(before, channels, stride, shortcut), BasicBlock(channels, channels)]
        before = channels
    encoder = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(POOL), nn.Flatten())
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return encoder
