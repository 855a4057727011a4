"""A small DeNF away from the identity, in float64, and images for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from denf.model.denf import DeNF
from denf.model.settings import Architecture, DenfSettings


@pytest.fixture
def small_denf() -> Callable[[Architecture], DeNF]:
    def make(architecture: Architecture) -> DeNF:
        torch.manual_seed(0)
        model = DeNF(DenfSettings(architecture=architecture)).double()
        for name, parameter in model.named_parameters():
            if "last" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        return model

    return make


@pytest.fixture
def denf(small_denf) -> DeNF:
    return small_denf(Architecture(features=4))


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(3, 3, 8, 8, generator=generator, dtype=torch.float64)
