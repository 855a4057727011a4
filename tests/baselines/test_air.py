"""AIR: the stop rule, REINFORCE against the exact gradient, boxes, and composition of layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import logsigmoid

from baselines.air.aid_settings import AirAids
from baselines.air.aids import AidedAir
from baselines.air.inference import Trace, of_image, recur, to_boxes
from baselines.air.method import AirMethod, over, surrogate
from baselines.air.settings import AirSettings
from baselines.blocks.annealing import Ramp
from baselines.blocks.glimpse import crop, place
from denf.harness.method import Step

T = 4


def small(**changes) -> AirMethod:
    torch.manual_seed(0)
    shrunk = {"overview": 4, "glimpse": 6, "hidden": 8, "head": 8}
    return AirMethod(AirSettings(**{**shrunk, **changes}))


def aided(std: float = 0.3, **aids) -> AidedAir:
    torch.manual_seed(0)
    settings = AirSettings(overview=4, glimpse=6, hidden=8, head=8, std=std)
    return AidedAir(settings, AirAids(**aids))


def losses(method: AirMethod, count: int = 2) -> list[torch.Tensor]:
    method.optimizers = method.make_optimizers()
    steps = (Step(k, 9, torch.Generator().manual_seed(k)) for k in range(count))
    return [method.training_step(images(4), step)["loss"] for step in steps]


def images(count: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 16, 16), generator=g, dtype=torch.uint8)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_no_object_follows_the_first_absent_one(seed):
    method, x = small(), images(16) / 255
    trace = method.inference(x, torch.Generator().manual_seed(seed), 0.01)
    presence = trace.presence
    assert ((presence == 0) | (presence == 1)).all()
    assert (presence[:, 1:] <= presence[:, :-1]).all()
    undecided = trace.deciding == 0
    for value in (trace.log_q, trace.kl, trace.baseline):
        assert (value[undecided] == 0).all()
    assert (trace.log_q[~undecided] < 0).all()
    # One absent object is drawn and has a divergence; its z_where and z_what have none.
    assert (trace.deciding.sum(1) == (presence.sum(1) + 1).clamp(max=method.settings.steps)).all()


def test_number_of_objects_is_geometric():
    """Scenes of n objects have probability p^n (1 - p) when every step has the same p."""
    method = small(steps=3)
    torch.nn.init.zeros_(method.inference.head[2].weight)
    torch.nn.init.zeros_(method.inference.head[2].bias)
    count = 4000
    x = torch.zeros(count, 3, 16, 16)
    found = method.inference(x, torch.Generator().manual_seed(0), 0.01).presence.sum(1)
    p = float(torch.sigmoid(torch.tensor(0.75)))
    for n, expected in enumerate((1 - p, p * (1 - p), p**2 * (1 - p), p**3)):
        assert float((found == n).float().mean()) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("baseline", [0.0, -3.0])
def test_reinforce_equals_the_gradient_of_the_exact_expectation(baseline):
    """All outcomes of 0 to T objects are enumerated; a baseline does not change the expectation."""
    g = torch.Generator().manual_seed(1)
    logits = torch.randn(T, generator=g, dtype=torch.float64, requires_grad=True)
    cost = torch.randn(T + 1, generator=g, dtype=torch.float64)
    absent_kl, present_kl = torch.rand(2, T, generator=g, dtype=torch.float64)
    exact, estimate = torch.zeros(()), torch.zeros(())
    for n in range(T + 1):
        presence = (torch.arange(T) < n).double()
        before = torch.cat((torch.ones(1, dtype=torch.float64), presence[:-1]))
        log_q = before * logsigmoid(torch.where(presence > 0, logits, -logits))
        kl = before * absent_kl + presence * present_kl
        probability = log_q.sum().exp()
        empty = torch.zeros(1, T, 1)
        trace = Trace(presence[None], empty, empty, log_q[None], kl[None],
                      torch.zeros(1, T), (baseline * before)[None])  # fmt: skip
        exact = exact + probability * (kl.sum() + cost[n])
        estimate = estimate + probability.detach() * surrogate(trace, cost[n : n + 1])[0]
    torch.testing.assert_close(
        torch.autograd.grad(estimate, logits, retain_graph=True)[0],
        torch.autograd.grad(exact, logits)[0],
    )


def test_the_baseline_is_fitted_to_the_cost_of_this_and_later_steps():
    kl = torch.tensor([[1.0, 2.0, 4.0]])
    presence = torch.tensor([[1.0, 0.0, 0.0]])
    baseline = torch.tensor([[0.0, 1.0, 0.0]])
    empty = torch.zeros(1, 3, 1)
    decided = kl * torch.tensor([[1, 1, 0]])
    none = torch.zeros(1, 3)
    trace = Trace(presence, empty, empty, none, decided, none, baseline)
    _, loss = surrogate(trace, torch.tensor([10.0]))
    # Presence is not drawn at the third step.
    assert float(loss) == (1 + 2 + 10) ** 2 + (2 + 10 - 1) ** 2


def test_the_loss_of_the_baseline_trains_only_the_baseline():
    method = small()
    trace = method.inference(images(4) / 255, torch.Generator().manual_seed(0), 0.01)
    surrogate(trace, torch.ones(4))[1].backward()
    mine = {id(p) for p in method.inference.baseline_parameters()}
    with_gradient = {id(p) for p in method.parameters() if p.grad is not None}
    assert with_gradient == mine


def test_cropping_a_placed_glimpse_returns_it():
    """scale 2 and shift (1, -0.5): half the side, centre (0.5, -0.25)."""
    boxes = to_boxes(torch.tensor([[2.0, 1.0, -0.5]]))
    assert boxes.tolist() == [[0.5, 0.5, 0.5, -0.25]]
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 8)] * 2, indexing="ij")
    glimpse = (1 + 0.3 * x - 0.5 * y).expand(1, 1, 1, 8, 8)
    back = crop(place(glimpse, boxes[:, None], (32, 32))[:, 0], boxes[:, None], 8)
    torch.testing.assert_close(back[..., 1:-1, 1:-1], glimpse[..., 1:-1, 1:-1])
    assert to_boxes(torch.tensor([[-5.0, 0.0, 0.0]]))[0, 0] == 1  # never larger than the image


def test_layers_equal_sequential_alpha_blending():
    g = torch.Generator().manual_seed(0)
    rgb, alpha, background = (
        torch.rand(shape, generator=g) for shape in ((2, T, 3, 4, 5), (2, T, 1, 4, 5), (2, 3, 4, 5))
    )
    canvas, shares = over(rgb * alpha, alpha, background)
    painted = background
    for t in range(T):
        painted = (1 - alpha[:, t]) * painted + alpha[:, t] * rgb[:, t]
    torch.testing.assert_close(canvas, painted)
    rest = 1 - shares.sum(1)
    torch.testing.assert_close((shares * rgb).sum(1) + rest * background, canvas)


def test_published_parameter_count():
    """3072 + 3 + 50 + 1 inputs to two LSTMs of 256; perceptrons of 200; 28² glimpses."""
    method = AirMethod(AirSettings())
    lstm = 4 * 256 * (3126 + 256) + 2 * 4 * 256
    heads = (256 * 200 + 200 + 200 * 7 + 7) + (256 * 200 + 200 + 200 + 1)
    glimpses = (3 * 784 * 200 + 200 + 200 * 100 + 100) + (50 * 200 + 200 + 200 * 3136 + 3136)
    background = sum(p.numel() for p in method.background.parameters())
    count = sum(p.numel() for p in method.parameters())
    assert count == 2 * lstm + heads + glimpses + background


def test_with_training_wheels_presence_is_trained_by_its_prior_only():
    """The gradient of presence is that of its divergence and does not depend on the likelihood."""

    def slope(wheels: int, std: float) -> torch.Tensor:
        method = aided(training_wheels=wheels, std=std)
        losses(method, 1)
        grad = method.inference.head[2].bias.grad
        assert grad is not None
        return grad[0]  # of the logit of presence

    torch.testing.assert_close(slope(1, 0.1), slope(1, 0.3), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(slope(0, 0.1), slope(0, 0.3), rtol=1e-2)


def test_default_aids_change_nothing():
    assert losses(aided()) == losses(small())


def test_object_weight_multiplies_the_divergence_of_objects():
    """In training only; the divergence of presence and evaluation do not change."""
    x = images(4) / 255
    step = Step(5, 9, torch.Generator())

    def trace(weight: float, at: Step | None = step) -> Trace:
        ramp = Ramp(1.0, weight, first=0, last=5)
        step.generator.manual_seed(0)
        return aided(object_weight=ramp).trace(x, x, at)

    full, half = trace(1.0), trace(0.5)
    assert full.kl_object.sum() > 1
    torch.testing.assert_close(2 * half.kl_object, full.kl_object)
    torch.testing.assert_close(half.kl_presence, full.kl_presence)
    torch.testing.assert_close(trace(0.5, None).kl, trace(1.0, None).kl)


def test_divergence_of_presence_depends_on_its_prior():
    x = images(4) / 255
    rare, even = (
        small().inference(x, torch.Generator().manual_seed(0), p).kl_presence for p in (0.01, 0.5)
    )
    assert rare.sum() > even.sum()


def test_initial_biases_of_alpha_and_standard_deviations():
    """The aids add constants to the logits and raw standard deviations."""
    plain, method = small(), aided(alpha_bias=3, std_bias=-2, quiet=0.5)
    what = torch.randn(5, plain.settings.what)
    colour, alpha = method.decoder(what).view(5, 4, 36).split((3, 1), 1)
    expected = 0.5 * plain.decoder(what).view(5, 4, 36)
    torch.testing.assert_close(colour, expected[:, :3])
    torch.testing.assert_close(alpha, expected[:, 3:] + 3)
    shift = method.inference.head[-1].bias - plain.inference.head[-1].bias
    torch.testing.assert_close(shift, torch.tensor([0.0, 0, 0, 0, -2, -2, -2]))
    shift = method.inference.encoder[-1].bias - plain.inference.encoder[-1].bias
    torch.testing.assert_close(shift, torch.tensor([0.0] * 50 + [-2.0] * 50))


def test_the_networks_see_the_difference_from_the_background():
    """If a scene equals its background, their input is black."""
    x = images(4) / 255
    shown = aided(above_background=True)
    torch.testing.assert_close(shown.trace(x, x, None), shown.inference(0 * x, None, 0.01))


def test_recurrence_is_the_lstm_on_image_and_known_inputs():
    cell = nn.LSTMCell(7, 5).double()
    image, known, h, c = (torch.randn(3, n, dtype=torch.float64) for n in (4, 3, 5, 5))
    found = recur(cell, of_image(cell, image), known, (h, c))
    torch.testing.assert_close(found, cell(torch.cat((image, known), 1), (h, c)))
