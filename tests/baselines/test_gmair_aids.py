"""Aids of GMAIR, one by one; `above_background` is tested in test_background_vae.py."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from baselines.blocks.annealing import Ramp
from baselines.gmair.aid_settings import GmairAids
from baselines.gmair.aids import AidedGmair
from baselines.gmair.inference import GmairInference
from baselines.gmair.method import GmairMethod
from baselines.gmair.settings import GmairSettings
from denf.harness.method import Step

SIZES = {"size": 16, "largest": 9, "what": 6, "clusters": 3, "width": 16}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def aided(changes: Mapping[str, float] | None = None, **aids) -> AidedGmair:
    torch.manual_seed(0)
    return AidedGmair(GmairSettings(**{**SIZES, **(changes or {})}), GmairAids(**aids))


def train(method: GmairMethod) -> Mapping[str, Tensor]:
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=generator())
    method.optimizers = method.make_optimizers()
    return method.training_step(images, Step(0, 9, generator()))


def slope_of_presence(method: GmairMethod) -> Tensor:
    train(method)
    head = method.inference.heads["presence"]
    assert isinstance(head, torch.nn.Sequential)
    grad = head[-1].bias.grad
    assert isinstance(grad, Tensor)
    return grad


def test_with_training_wheels_presence_is_trained_by_its_prior_only():
    """Presence gets the gradient of its own divergence only: not that of the likelihood, nor that
    of the divergences that it weights, which would drive it to 0."""

    def slope(wheels: int, reconstruction: float = 8.0, weight: float = 1.0) -> Tensor:
        ramp = Ramp(weight, weight, first=0, last=0)
        settings = {"reconstruction": reconstruction}
        return slope_of_presence(aided(settings, training_wheels=wheels, what_weight=ramp))

    torch.testing.assert_close(slope(1, 1.0), slope(1, 64.0))
    assert not torch.allclose(slope(0, 1.0), slope(0, 64.0))
    torch.testing.assert_close(slope(1, weight=0.0), slope(1, weight=8.0))
    assert slope(0, weight=0.0) < slope(0, weight=8.0)


def test_what_weight_changes_only_the_loss():
    free, full = (train(aided(what_weight=Ramp(w, w, first=0, last=0))) for w in (0.0, 1.0))
    cost = full["kl_what"] + full["kl_cluster"]
    assert cost > 1
    torch.testing.assert_close(full["loss"] - free["loss"], cost, rtol=1e-2, atol=1e-2)


def test_the_prior_of_presence_is_held_at_its_ceiling():
    method = aided({"presence_decay": 0.5}, presence_hold=10, presence_ceiling=0.9)
    assert method.presence_prior(0) == method.presence_prior(10) == 0.9
    assert method.presence_prior(14) == pytest.approx(math.exp(-2))


def test_initial_standard_deviations_and_weights_of_the_decoder():
    """The aid adds a constant to the raw standard deviations; means do not change."""
    plain, method = aided(), aided(std_bias=-2, quiet=0.5)

    def bias(inference: GmairInference, name: str) -> Tensor:
        network = inference.encoder if name == "what" else inference.heads[name]
        assert isinstance(network, torch.nn.Sequential)
        last = network[-1].bias
        assert isinstance(last, Tensor)
        return last

    for name, means in (("where", 4), ("depth", 1), ("what", SIZES["what"])):
        shift = bias(method.inference, name) - bias(plain.inference, name)
        torch.testing.assert_close(shift, torch.tensor([0.0] * means + [-2.0] * means))
    what = torch.randn(5, SIZES["what"], generator=generator())
    torch.testing.assert_close(method.decoder(what), 0.5 * plain.decoder(what))
