"""Multilayer perceptrons: linear layers with ReLU between them."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def perceptron(*sizes: int) -> nn.Sequential:
    """From sizes[0] inputs through hidden layers to sizes[-1] linear outputs."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def last_layer(network: nn.Sequential) -> nn.Linear:
    """The last linear layer of a perceptron."""
    last = network[-1]
    assert isinstance(last, nn.Linear)
    return last
