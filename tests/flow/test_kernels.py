"""Fused kernels against plain convolutions, under Triton's interpreter where there is no GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":  # read when Triton is first imported
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton")

from denf.flow import Coupling  # noqa: E402
from denf.flow.kernels.packing import Packing  # noqa: E402
from denf.flow.subnet import Subnet, chosen, evaluate  # noqa: E402
from denf.model.settings import SubnetKind  # noqa: E402


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def made(
    inputs: int,
    outputs: int,
    features: int,
    precision: torch.dtype = torch.float32,
    kind: SubnetKind = SubnetKind.TRITON,
) -> Subnet:
    subnet = Subnet(inputs, outputs, features, precision, kind)
    for parameter in subnet.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return subnet.to(DEVICE, memory_format=torch.channels_last)


def off_by(got: torch.Tensor, expected: torch.Tensor) -> float:
    return ((got - expected).abs().max() / expected.abs().max()).item()


def references(nets: list[Subnet], x: torch.Tensor, groups: int) -> torch.Tensor:
    shared = len(nets) // groups
    inputs = x.chunk(groups, 1)
    return torch.cat([net.convolutions(inputs[i // shared]) for i, net in enumerate(nets)], 1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "features", "groups", "shared", "shape"),
    [
        (1, 2, 16, 1, 1, (2, 4, 6)),
        (2, 1, 8, 2, 1, (1, 4, 6)),  # heads side by side: F
        (1, 1, 8, 2, 2, (1, 6, 6)),  # and G with H
        (6, 5, 64, 1, 1, (1, 12, 12)),  # more pixels than one tile has
    ],
)
def test_values_and_gradients_are_those_of_convolutions(
    inputs, outputs, features, groups, shared, shape
):
    torch.manual_seed(0)
    B, H, W = shape
    nets = [made(inputs, outputs, features) for _ in range(groups * shared)]
    whole = torch.randn(B, groups * inputs + 1, H, W, device=DEVICE)
    x = whole[:, 1:].detach().requires_grad_()  # its memory has gaps, as the half of a split has
    assert chosen(nets[0], x) is SubnetKind.TRITON
    leaves = [x, *(p for net in nets for p in net.parameters())]
    got, expected = evaluate(nets, x, groups), references(nets, x, groups)
    assert got.dtype == torch.float32
    assert off_by(got, expected) < 1e-3
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad(got, leaves, weights)
    for leaf, ours, reference in zip(
        leaves, gradients, torch.autograd.grad(expected, leaves, weights), strict=True
    ):
        assert ours.shape == leaf.shape
        assert off_by(ours, reference) < 1e-3


def test_a_coupling_keeps_its_log_determinant_and_its_inverse():
    torch.manual_seed(0)
    coupling = Coupling(3, features=8, kind=SubnetKind.TRITON).to(DEVICE)
    for parameter in coupling.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2, 3, 4, 6, device=DEVICE)
    with torch.no_grad():
        y, ladj = coupling(x)
        back, ladj_inverse = coupling.inverse(y)
        for net in (coupling.F, coupling.G, coupling.H):
            net.kind = SubnetKind.CONVOLUTIONS
        expected, ladj_expected = coupling(x)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ladj, ladj_expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ladj_inverse, -ladj, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(back, x, rtol=1e-4, atol=1e-4)


def test_hidden_maps_in_half_precision():
    """Float16 on the interpreter, whose products of bfloat16 are wrong."""
    torch.manual_seed(0)
    net = made(2, 3, 16, torch.float16 if DEVICE == "cpu" else torch.bfloat16)
    x = torch.randn(1, 2, 8, 8, device=DEVICE)
    got = net(x)
    assert got.dtype == torch.float32
    net.precision = torch.float32
    assert 0 < off_by(got, net.convolutions(x)) < 3e-2


def test_packing_and_back():
    packing = Packing(2, 3, 4)
    parameters = [torch.randn(shape) for _ in range(2) for shape in packing.shapes]
    packed = packing.pack(parameters, torch.float32)
    assert packed.shape == (2, packing.starts[-1])
    for found, parameter in zip(packing.unpack(packed), parameters, strict=True):
        assert torch.equal(found, parameter)
    w, at = parameters[2], packing.weights[1]
    place = at.at + 3 * at.outer + 5 * at.tap + 1 * at.inner
    assert packed[0, place] == w[3, 1, 5 // 3, 5 % 3]


def test_where_kernels_cannot_run_the_default_of_the_device_does():
    net = made(1, 2, 4)
    x = torch.randn(1, 1, 4, 4, device=DEVICE)
    default = SubnetKind.PRODUCTS if DEVICE == "cpu" else SubnetKind.CONVOLUTIONS
    assert chosen(net.double(), x.double()) is default
    assert net.float()(x[:0]).shape == (0, 2, 4, 4)


def test_kernels_compile_for_a_gpu_that_is_not_there():
    """Down to Triton's typed form: the interpreter lets pass what the compiler refuses."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 10  # three kernels a direction, four sums
