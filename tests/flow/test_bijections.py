"""Every bijection: inverse, log-determinant against the autograd Jacobian, gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from denf.flow import Bijection, Coupling, HaarSqueeze, Squeeze, Stack, couplings

CASES = {
    "coupling": lambda: Coupling(3, features=4),
    "coupling-swapped": lambda: Coupling(3, swap=True, features=4),
    "coupling-two-channels": lambda: Coupling(2, features=4, clamp=0.5),
    "squeeze": Squeeze,
    "haar-squeeze": HaarSqueeze,
    "block": lambda: couplings(3, features=4),
    "stack": lambda: Stack([couplings(3, count=2, features=4), Squeeze(), Coupling(12)]),
}


@pytest.fixture(params=CASES, ids=str)
def bijection(request) -> Bijection:
    torch.manual_seed(0)
    made = CASES[request.param]().double()
    for parameter in made.parameters():  # away from the identity
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def images(channels: int, batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, 4, 6, generator=generator, dtype=torch.float64)


def channels_of(bijection: Bijection) -> int:
    return sum(bijection.sizes) if isinstance(bijection, Coupling) else 3


def test_inverse_and_ladj_undo_each_other(bijection):
    x = images(channels_of(bijection))
    y, ladj = bijection(x)
    back, inverse_ladj = bijection.inverse(y)
    assert ladj.shape == inverse_ladj.shape == (len(x),)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(ladj + inverse_ladj, torch.zeros_like(ladj), atol=1e-10, rtol=0)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_ladj_is_the_log_determinant_of_the_jacobian(bijection, direction):
    x = images(channels_of(bijection), batch=2)
    if direction == "inverse":
        x = bijection(x)[0].detach()
    map_ = getattr(bijection, direction)
    _, ladj = map_(x)
    for k in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda v: map_(v)[0], x[k : k + 1])
        expected = torch.linalg.slogdet(jacobian.reshape(x[k].numel(), x[k].numel()))[1]
        torch.testing.assert_close(ladj[k], expected)


def test_every_parameter_gets_a_gradient(bijection):
    y, ladj = bijection(images(channels_of(bijection)))
    loss = y.square().sum() + ladj.sum()
    if loss.requires_grad:
        loss.backward()
    for name, parameter in bijection.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_flow_starts_as_the_identity():
    x = images(3)
    y, ladj = couplings(3, features=8).double()(x)
    torch.testing.assert_close(y, x)
    assert ladj.abs().max() == 0


def test_block_transforms_every_channel():
    block = couplings(3, features=4).double()
    torch.manual_seed(0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = images(3)
    assert ((block(x)[0] - x).abs().amax((0, 2, 3)) > 1e-3).all()


def test_reduced_precision_keeps_the_affine_map_in_float32():
    coupling = Coupling(4, features=8, precision=torch.bfloat16)
    torch.nn.init.normal_(coupling.G.last.weight, std=0.05)
    torch.nn.init.normal_(coupling.H.last.weight, std=0.05)
    torch.nn.init.normal_(coupling.F.last.weight, std=0.05)
    x = images(4).float()
    y, ladj = coupling(x)
    assert y.dtype == ladj.dtype == torch.float32
    back, inverse_ladj = coupling.inverse(y)
    # The inverse recomputes the same subnets on inputs that differ by float32 rounding only, and
    # bfloat16 rounds those inputs once more: the round trip is good to bfloat16's step.
    torch.testing.assert_close(back, x, atol=2e-2, rtol=0)
    torch.testing.assert_close(ladj, -inverse_ladj, atol=2e-1, rtol=0)


def test_one_channel_cannot_be_split():
    with pytest.raises(ValueError, match="channels: expected at least 2"):
        Coupling(1)


def test_haar_squeeze_is_orthogonal_and_starts_with_the_mean_of_the_block():
    squeeze = HaarSqueeze().double()
    Q = squeeze.Q[:, :, 0, 0]
    torch.testing.assert_close(Q @ Q.T, torch.eye(12).double(), atol=1e-6, rtol=0)
    x = images(3)
    mean = functional.avg_pool2d(x, 2).mean(1)
    torch.testing.assert_close(squeeze(x)[0][:, 0], mean * 12**0.5, atol=1e-6, rtol=1e-6)
