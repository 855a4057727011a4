"""Subnets as matrix products: against plain convolutions, forward and every gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from denf.flow import couplings
from denf.flow.products import SubnetProducts, gather, scatter
from denf.flow.subnet import Subnet, evaluate

# inputs, outputs, (B, H, W): the halves of 2, 3, 5 and 11 channels, squares or not
SHAPES = [
    (1, 1, (3, 4, 6)),
    (1, 2, (1, 6, 4)),
    (3, 2, (2, 4, 4)),
    (6, 5, (2, 8, 4)),
    (22, 22, (1, 4, 6)),
]


def made(inputs: int, outputs: int, features: int = 8, **settings) -> Subnet:
    subnet = Subnet(inputs, outputs, features, **settings)
    for parameter in subnet.parameters():  # the last layers start at zero
        torch.nn.init.normal_(parameter, std=0.3)
    return subnet


def plain(net: Subnet, x: torch.Tensor) -> torch.Tensor:
    """The definition: the last convolution sees hidden maps and input as one concatenation."""
    h = functional.leaky_relu(
        functional.conv2d(x, net.first.weight, net.first.bias, padding=1), 0.2
    )
    h = functional.leaky_relu(
        functional.conv2d(h, net.second.weight, net.second.bias, padding=1), 0.2
    )
    weight = torch.cat((net.last.weight, net.skip.weight), 1)
    return functional.conv2d(torch.cat((h, x), 1), weight, net.last.bias, padding=1)


def part_of_more_channels(k: int, shape: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
    """A leaf whose memory has gaps, as the half of a split has."""
    B, H, W = shape
    return torch.randn(B, k + 2, H, W, dtype=dtype)[:, 1 : k + 1].detach().requires_grad_()


def off_by(got: torch.Tensor, expected: torch.Tensor) -> float:
    return ((got - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("inputs", "outputs", "shape"), SHAPES)
def test_values_and_gradients_are_those_of_convolutions(
    inputs, outputs, shape, count, dtype, tolerance
):
    torch.manual_seed(0)
    nets = [made(inputs, outputs).to(dtype) for _ in range(count)]
    x = part_of_more_channels(inputs, shape, dtype)
    leaves = [x, *(p for net in nets for p in net.parameters())]
    got, expected = evaluate(nets, x).chunk(count, 1), [plain(net, x) for net in nets]
    weights = [torch.randn_like(y) for y in expected]
    assert len(got) == count
    for ours, reference in zip(got, expected, strict=True):
        assert ours.shape == reference.shape
        assert ours.dtype == dtype
        assert off_by(ours, reference) < tolerance
    gradients = torch.autograd.grad(got, leaves, weights)
    references = torch.autograd.grad(expected, leaves, weights)
    for leaf, ours, reference in zip(leaves, gradients, references, strict=True):
        assert ours.shape == leaf.shape
        assert off_by(ours, reference) < tolerance


def test_gradients_are_the_difference_quotients():
    torch.manual_seed(0)
    nets = [made(2, 1, features=3).double() for _ in range(2)]
    x = part_of_more_channels(2, (2, 4, 4), torch.float64)
    names = ("first.weight", "first.bias", "second.weight", "second.bias")
    names += ("last.weight", "last.bias", "skip.weight")
    parameters = [net.get_parameter(name) for net in nets for name in names]
    assert torch.autograd.gradcheck(SubnetProducts.apply, (x, *parameters))


def test_gather_is_the_unfolding_and_scatter_its_adjoint():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 4, 6, dtype=torch.float64)
    unfolded = functional.unfold(x, 3, padding=1).transpose(0, 1).flatten(1)
    assert torch.equal(gather(x), unfolded)
    with_ones = gather(x, ones=True)
    assert torch.equal(with_ones[:-1], unfolded)
    assert (with_ones[-1] == 1).all()
    columns = torch.randn_like(unfolded)
    product = (unfolded * columns).sum()
    scattered = scatter(columns, (3, 4, 6)).view(2, 3, 4, 6).transpose(0, 1)
    torch.testing.assert_close((x * scattered).sum(), product)


def test_an_input_without_gradient_leaves_the_parameters_theirs():
    torch.manual_seed(0)
    net, x = made(2, 1), torch.randn(2, 2, 4, 4)
    gradients = torch.autograd.grad(net(x).square().sum(), list(net.parameters()))
    references = torch.autograd.grad(plain(net, x).square().sum(), list(net.parameters()))
    for ours, reference in zip(gradients, references, strict=True):
        assert off_by(ours, reference) < 1e-5


def test_channels_last_weights_and_an_empty_batch_are_no_exception():
    torch.manual_seed(0)
    net, x = made(2, 1), torch.randn(2, 2, 4, 6)
    expected = plain(net, x)
    net.to(memory_format=torch.channels_last)
    assert off_by(net(x.contiguous(memory_format=torch.channels_last)), expected) < 1e-5
    assert net(x[:0]).shape == (0, 1, 4, 6)


def test_nothing_is_kept_without_gradients():
    kept = []
    x = torch.rand(2, 3, 4, 4)
    with torch.no_grad(), torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        y, ladj = couplings(3, features=4)(x)
    assert not kept
    assert y.grad_fn is None
    assert ladj.grad_fn is None


def test_reduced_precision_runs_as_convolutions_in_it():
    torch.manual_seed(0)
    net, x = made(1, 2, precision=torch.bfloat16), torch.randn(2, 1, 4, 6)
    y = net(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, net.convolutions(x))
    assert 0 < off_by(y, plain(net, x)) < 3e-2


def test_weights_keep_their_names_and_shapes():
    shapes = {name: tuple(value.shape) for name, value in Subnet(1, 2, 8).state_dict().items()}
    assert shapes == {
        "first.weight": (8, 1, 3, 3),
        "first.bias": (8,),
        "second.weight": (8, 8, 3, 3),
        "second.bias": (8,),
        "last.weight": (2, 8, 3, 3),
        "last.bias": (2,),
        "skip.weight": (2, 1, 3, 3),
    }
