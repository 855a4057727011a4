"""Subnets side by side: every kind of evaluation is the function of the layers one by one."""

from __future__ import annotations

import pytest
import torch

from denf.flow import couplings, side_by_side, side_by_side_inverse
from denf.flow.subnet import Subnet, chosen, evaluate
from denf.model.settings import SubnetKind

KINDS = [SubnetKind.CONVOLUTIONS, SubnetKind.PRODUCTS, SubnetKind.PADDED]


def randomized(module: torch.nn.Module) -> torch.nn.Module:
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("groups", "shared"), [(1, 1), (1, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 2), (6, 5)])
def test_values_and_gradients_in_groups(inputs, outputs, groups, shared, kind):
    torch.manual_seed(0)
    nets = [randomized(Subnet(inputs, outputs, 4, kind=kind)) for _ in range(groups * shared)]
    x = torch.randn(2, groups * inputs, 4, 6, dtype=torch.float64, requires_grad=True)
    leaves = [x, *(p for net in nets for p in net.parameters())]
    inputs_of = [part for part in x.chunk(groups, 1) for _ in range(shared)]
    expected = torch.cat([n.convolutions(p) for n, p in zip(nets, inputs_of, strict=True)], 1)
    got = evaluate(nets, x, groups)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad(got, leaves, weights)
    references = torch.autograd.grad(expected, leaves, weights)
    torch.testing.assert_close(gradients, references, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [2, 3])
def test_stacks_side_by_side_are_the_stacks_one_by_one(channels, kind):
    torch.manual_seed(0)
    stacks = [randomized(couplings(channels, features=4, kind=kind)) for _ in range(3)]
    x = torch.randn(2, 3 * channels, 4, 6, dtype=torch.float64)
    parts = [stack(part) for stack, part in zip(stacks, x.chunk(3, 1), strict=True)]
    y, ladj = side_by_side(stacks, x)
    torch.testing.assert_close(y, torch.cat([part for part, _ in parts], 1), rtol=0, atol=1e-12)
    torch.testing.assert_close(ladj, sum(ladj for _, ladj in parts), rtol=1e-12, atol=1e-12)
    back, inverse_ladj = side_by_side_inverse(stacks, y)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_reduced_precision(kind):
    torch.manual_seed(0)
    net = Subnet(2, 3, 8, torch.bfloat16, kind)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 2, 4, 6)
    got = net(x)
    net.precision = torch.float32
    expected = net.convolutions(x)
    assert got.dtype == torch.float32
    off = (got - expected).abs().max() / expected.abs().max()
    assert 0 < off < 5e-2


def test_the_default_of_a_cpu():
    x = torch.zeros(1, 1, 4, 4)
    assert chosen(Subnet(1, 1, 4), x) is SubnetKind.PRODUCTS
    assert chosen(Subnet(1, 1, 4, torch.bfloat16), x) is SubnetKind.CONVOLUTIONS
    assert chosen(Subnet(1, 1, 4, kind=SubnetKind.PADDED), x) is SubnetKind.PADDED
