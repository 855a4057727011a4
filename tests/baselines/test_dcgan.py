"""DCGAN and DRAGAN: published sizes, initial weights, dependence of discriminators on the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.dcgan.method import Dcgan
from baselines.dcgan.networks import stages
from baselines.dcgan.settings import DcganSettings
from baselines.dragan.method import Dragan
from baselines.dragan.settings import DraganSettings
from denf.errors import DenfError


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("kind", "settings"), [(Dcgan, DcganSettings), (Dragan, DraganSettings)])
@pytest.mark.parametrize(
    ("size", "generator", "discriminator"), [(64, 3.58, 2.77), (128, 12.79, 11.16)]
)
def test_parameters_at_the_published_widths(kind, settings, size, generator, discriminator):
    with torch.device("meta"):
        method = kind(settings(size=size))
    assert count(method.generator) / 1e6 == pytest.approx(generator, abs=0.005)
    assert count(method.discriminator) / 1e6 == pytest.approx(discriminator, abs=0.005)


@pytest.mark.parametrize(
    ("size", "channels"), [(16, [3, 6]), (64, [3, 6, 12, 24]), (128, [3, 6, 12, 24, 48])]
)
def test_stages(size, channels):
    assert stages(size, 3) == channels


@pytest.mark.parametrize("size", [20, 48, 100])
def test_sizes_that_do_not_halve_to_four_are_refused(size):
    with pytest.raises(DenfError, match="4 times a power of two, got"):
        Dcgan(DcganSettings(size=size))


def test_initial_weights():
    torch.manual_seed(0)
    method = Dcgan(DcganSettings(size=32, width=32))
    for module in method.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.bias is None
            assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        if isinstance(module, nn.BatchNorm2d):
            assert float(module.weight.detach().mean()) == pytest.approx(1, abs=0.02)
            assert (module.bias == 0).all()


def test_only_the_discriminator_of_dragan_is_independent_of_the_batch():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 16, 16)
    for kind, settings, alone in ((Dcgan, DcganSettings, False), (Dragan, DraganSettings, True)):
        critic = kind(settings(size=16, width=4)).discriminator
        same = torch.allclose(critic(x)[:2], critic(x[:2]), rtol=1e-4, atol=1e-6)
        assert same == alone
