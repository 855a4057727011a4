"""A small DeNF away from the identity, in float64, and images for it."""

from __future__ import annotations

import pytest
import torch

from denf.model.denf import DeNF
from denf.model.settings import Architecture, DenfSettings


def small_denf(**changes) -> DeNF:
    torch.manual_seed(0)
    settings = DenfSettings(**{"architecture": Architecture(features=4), **changes})
    model = DeNF(settings).double()
    for name, parameter in model.named_parameters():
        if "last" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture
def denf() -> DeNF:
    return small_denf()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(3, 3, 8, 8, generator=generator, dtype=torch.float64)
