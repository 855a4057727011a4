"""The difference from the background, and the methods whose networks get it as input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from baselines.air.aid_settings import AirAids
from baselines.air.aids import AidedAir
from baselines.air.settings import AirSettings
from baselines.blocks.background_vae import standing_out
from baselines.gmair.aid_settings import GmairAids
from baselines.gmair.aids import AidedGmair
from baselines.gmair.method import cross_entropy
from baselines.gmair.settings import GmairSettings
from denf.harness.method import Method, Step


def small(name: str, *, above_background: bool) -> Method:
    torch.manual_seed(0)
    if name == "air":
        settings = AirSettings(
            steps=2, glimpse=6, overview=4, what=3, hidden=8, head=8, background=4
        )  # fmt: skip
        return AidedAir(settings, AirAids(above_background=above_background))
    sizes = GmairSettings(size=16, largest=9, what=6, clusters=3, width=16, background=4)
    return AidedGmair(sizes, GmairAids(above_background=above_background))


def scenes() -> Tensor:
    return torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(1)).byte()


def test_difference_from_itself_is_zero_and_the_background_gets_no_gradient():
    background = torch.rand(2, 3, 5, 5, requires_grad=True)
    assert not standing_out(background.detach(), background).any()
    x = torch.rand(2, 3, 5, 5, requires_grad=True)
    seen = standing_out(x, background)
    seen.sum().backward()
    assert background.grad is None
    assert x.grad is not None
    assert (x.grad > 1).all()


@pytest.mark.parametrize("name", ["air", "gmair"])
def test_networks_see_the_difference_from_the_background(name):
    """In evaluation, with the background of the same images."""
    method = small(name, above_background=True).eval()
    seen: list[Tensor] = []
    method.inference.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = scenes()
    method.predict(images)
    x = images.float() / 255
    background, _ = method.background(x, None)
    torch.testing.assert_close(seen[0], standing_out(x, background))


@pytest.mark.parametrize("name", ["air", "gmair"])
def test_the_background_has_an_additional_likelihood_of_the_image(name):
    """The gradient of its decoder grows by that of the additional likelihood."""
    gradients = []
    for above in (False, True):
        method = small(name, above_background=above)
        method.optimizers = {"adam": torch.optim.SGD(method.parameters(), 0.0)}
        method.training_step(scenes(), Step(0, 10, torch.Generator().manual_seed(0)))
        weight = method.background.decoder.layers[-1].weight.grad
        assert weight is not None
        gradients.append(weight.norm())
    assert gradients[1] > 1.5 * gradients[0]


def test_cross_entropy_equals_its_formula():
    canvas, x = torch.rand(2, 3, 4, 4).double(), torch.rand(2, 3, 4, 4).double()
    plain = [
        -sum(
            float(v) * math.log(c) + (1 - float(v)) * math.log(1 - c)
            for c, v in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
        )
        for a, b in zip(canvas, x, strict=True)
    ]
    assert float(cross_entropy(canvas, x)) == pytest.approx(sum(plain) / 2)
    assert torch.isfinite(cross_entropy(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)))
