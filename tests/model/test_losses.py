"""Each loss against a plain loop written from its equation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torchvision.ops import generalized_box_iou_loss

from denf.model import losses
from denf.model.boxes import cell_boxes, corners
from denf.model.components import BoxTargets
from denf.model.latents import Latents
from denf.model.priors import sample_latents, sample_presence
from denf.model.settings import AbsentDensity, Priors, WhatPrior

PRIORS = Priors()


def normal(x, mean, std):
    return -0.5 * ((x - mean) / std) ** 2 - math.log(std * math.sqrt(2 * math.pi))


@pytest.fixture
def latents() -> Latents:
    g = torch.Generator().manual_seed(0)

    def draw(channels):
        return torch.randn(2, channels, 3, 4, generator=g, dtype=torch.float64)

    return Latents(draw(1), draw(2), draw(2), draw(2), draw(5))


@pytest.fixture
def p() -> torch.Tensor:
    return torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_background_forward_is_eq_4(latents):
    ladj = torch.tensor([3.0, -1.0]).double()
    for b, value in enumerate(losses.background_forward(latents.background, ladj)):
        expected = -sum(normal(float(z), 0, 1) for z in latents.background[b].flatten()) - ladj[b]
        assert float(value) == pytest.approx(float(expected))


def test_background_backward_is_eq_5():
    g = torch.Generator().manual_seed(2)
    x, x_bg = (torch.rand(4, 3, 5, 6, generator=g, dtype=torch.float64) for _ in range(2))
    values = losses.background_backward(x, x_bg)
    for b in range(4):
        total = 0.0
        for i in range(5):
            for j in range(6):
                total += min(
                    float((x[k, :, i, j] - x_bg[b, :, i, j]).square().sum()) for k in range(4)
                )
        assert float(values[b]) == pytest.approx(total / 30)


@pytest.mark.parametrize("emphasis", [1.0, 4.0])
def test_background_backward_leaves_the_own_image_out_where_it_is_hidden(emphasis):
    g = torch.Generator().manual_seed(3)
    x, x_bg = (torch.rand(3, 3, 4, 5, generator=g, dtype=torch.float64) for _ in range(2))
    hidden = torch.rand(3, 4, 5, generator=g) < 0.5
    values = losses.background_backward(x, x_bg, hidden, emphasis=emphasis)
    for b in range(3):
        total = 0.0
        for i in range(4):
            for j in range(5):
                others = [k for k in range(3) if k != b or not hidden[b, i, j]]
                nearest = min(
                    float((x[k, :, i, j] - x_bg[b, :, i, j]).square().sum()) for k in others
                )
                total += emphasis * nearest if hidden[b, i, j] else nearest
        assert float(values[b]) == pytest.approx(total / 20)
    alone = losses.background_backward(x[:1], x_bg[:1], torch.ones(1, 4, 5, dtype=torch.bool))
    assert alone.tolist() == [0]  # no image says what stands there


def test_matched_light_forgives_a_brighter_image_and_a_tinted_one():
    g = torch.Generator().manual_seed(4)
    scene = 0.2 + 0.2 * torch.rand(3, 8, 8, generator=g, dtype=torch.float64)
    tint = torch.tensor([1.5, 1.2, 0.8], dtype=torch.float64)[:, None, None]
    x = torch.stack((scene, scene * tint))
    hidden = torch.ones(2, 8, 8, dtype=torch.bool)  # each learns from the other alone
    assert (losses.background_backward(x, x, hidden) > 1e-3).all()
    matched = losses.background_backward(x, x, hidden, matched_light=True)
    torch.testing.assert_close(matched, torch.zeros(2).double())
    black = torch.stack((torch.zeros_like(scene), scene))
    assert torch.isfinite(losses.background_backward(black, x, hidden, matched_light=True)).all()
    dark = x * 0.01  # medians below the bound of the gain
    own = losses.background_backward(dark, dark, ~hidden, matched_light=True)
    assert own.tolist() == [0, 0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_repeated_is_the_distance_to_the_nearest_other_images(count):
    g = torch.Generator().manual_seed(5)
    x = torch.rand(4, 3, 6, 5, generator=g, dtype=torch.float64)
    found = losses.repeated(x, count)
    for b in range(4):
        for i in range(6):
            for j in range(5):
                others = [k for k in range(4) if k != b]
                errors = sorted(float(((x[b] - x[k])[:, i, j] ** 2).sum()) for k in others)
                assert float(found[b, i, j]) == pytest.approx(errors[count - 1])


def test_too_few_images_repeat_nothing_and_light_may_be_matched():
    g = torch.Generator().manual_seed(6)
    scene = 0.2 + 0.2 * torch.rand(3, 8, 8, generator=g, dtype=torch.float64)
    x = torch.stack((scene, 1.5 * scene))
    assert losses.repeated(x, 2).isinf().all()
    assert losses.repeated(x[:1], 1).isinf().all()
    assert (losses.repeated(x, 1) > 1e-3).all()
    assert losses.repeated(x, 1, matched_light=True).max() < 1e-12


@pytest.mark.parametrize("what", WhatPrior)
@pytest.mark.parametrize("absent", AbsentDensity)
def test_foreground_forward_is_eqs_8_and_9(latents, p, what, absent):
    priors = Priors(what=what)
    ladj = torch.tensor([0.5, 2.0]).double()
    values = losses.foreground_forward(latents, p, ladj, priors, absent)
    for b in range(2):
        total = 0.0
        for i in range(3):
            for j in range(4):
                q = float(p[b, i, j])
                one, two = (float(v) for v in latents.presence[b, :, i, j])
                shifted = one - two - math.log(priors.presence / (1 - priors.presence))
                total += -shifted - 2 * math.log1p(math.exp(-shifted))  # logistic density
                total += normal((one + two) / 2, 0, 1)
                for c in range(2):
                    scale, loc = (float(v[b, c, i, j]) for v in (latents.scale, latents.loc))
                    total += q * normal(scale, 0.20, 0.1) + q * normal(loc, 0, priors.loc_std)
                    if absent is AbsentDensity.STANDARD:
                        total += (1 - q) * (normal(scale, 0, 1) + normal(loc, 0, 1))
                for c in range(5):
                    z = float(latents.what[b, c, i, j])
                    total += q * normal(z, 1, 0.1)
                    if what is WhatPrior.BIMODAL:
                        total += (1 - q) * normal(z, 0, 0.1)
        assert float(values[b]) == pytest.approx(-total - float(ladj[b]))


def test_absent_cells_pay_for_stretching_only_with_a_density_of_their_own(latents):
    """Without one, Eq. 8 lets z_scale grow freely while the log-determinant rewards it."""
    nothing = torch.zeros(2, 3, 4).double()
    stretched = Latents(
        latents.background, latents.presence, 10 * latents.scale, latents.loc, latents.what
    )
    zero = torch.zeros(2).double()
    for absent, pays in ((AbsentDensity.STANDARD, True), (AbsentDensity.NONE, False)):
        before = losses.foreground_forward(latents, nothing, zero, PRIORS, absent)
        after = losses.foreground_forward(stretched, nothing, zero, PRIORS, absent)
        assert bool((after > before).all()) == pays


def test_mixture_and_squared_error_are_eq_10(p):
    g = torch.Generator().manual_seed(3)
    x, fg, bg = (torch.rand(2, 3, 3, 4, generator=g, dtype=torch.float64) for _ in range(3))
    mixed = losses.mixture(p, fg, bg)
    errors = losses.squared_error(x, mixed)
    for b in range(2):
        total = 0.0
        for i in range(3):
            for j in range(4):
                q = float(p[b, i, j])
                for c in range(3):
                    value = q * float(fg[b, c, i, j]) + (1 - q) * float(bg[b, c, i, j])
                    assert float(mixed[b, c, i, j]) == pytest.approx(value)
                    total += (float(x[b, c, i, j]) - value) ** 2
        assert float(errors[b]) == pytest.approx(total / 12)


def test_conservation_at_the_limits_of_presence():
    g = torch.Generator().manual_seed(4)
    x, fg, bg = (torch.rand(2, 3, 3, 4, generator=g, dtype=torch.float64) for _ in range(3))
    ones = torch.ones(2, 3, 4).double()
    for presence, only in ((ones, fg), (0 * ones, bg)):
        torch.testing.assert_close(losses.mixture(presence, fg, bg), only)
        torch.testing.assert_close(
            losses.expected_error(x, fg, bg, presence), losses.squared_error(x, only)
        )


def test_expected_error_is_the_mean_over_binary_presence(p):
    g = torch.Generator().manual_seed(5)
    x, fg, bg = (torch.rand(2, 3, 3, 4, generator=g, dtype=torch.float64) for _ in range(3))
    draws = (torch.rand(20000, 2, 3, 4, generator=g, dtype=torch.float64) < p).double()
    error_fg, error_bg = (x - fg).square().sum(1), (x - bg).square().sum(1)
    sampled = (draws * error_fg + (1 - draws) * error_bg).mean((0, 2, 3))
    torch.testing.assert_close(losses.expected_error(x, fg, bg, p), sampled, atol=5e-3, rtol=0)


def test_expected_error_counts_no_more_of_the_background_than_asked(p):
    x, fg, bg = torch.rand(3, 2, 3, 3, 4, generator=torch.Generator().manual_seed(7)).double()
    full = losses.expected_error(x, fg, bg, p)
    most = torch.full_like(p, torch.inf)
    torch.testing.assert_close(losses.expected_error(x, fg, bg, p, most), full)
    none = losses.expected_error(x, fg, bg, p, torch.zeros_like(p))
    torch.testing.assert_close(none, losses.expected_error(x, fg, x, p))


def test_compatibility_is_eq_12(p):
    union = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    for b, value in enumerate(losses.compatibility(union, p)):
        over = sum((float(u) - float(z)) ** 2 for u, z in zip(
            union[b].flatten(), p[b].flatten(), strict=True))  # fmt: skip
        under = float(union[b].sum() + p[b].sum())
        assert float(value) == pytest.approx(over / under)
    torch.testing.assert_close(losses.compatibility(p, p), torch.zeros(2).double())
    assert losses.compatibility(0 * p, 0 * p).tolist() == [0, 0]  # an empty scene agrees


def test_box_compares_each_cell_with_its_target(latents):
    g = torch.Generator().manual_seed(9)
    low = torch.rand(2, 12, 2, generator=g, dtype=torch.float64) * 0.5
    high = low + 0.05 + 0.4 * torch.rand(2, 12, 2, generator=g, dtype=torch.float64)
    weight = torch.rand(2, 12, generator=g, dtype=torch.float64) * (torch.arange(12) % 3 > 0)
    targets = BoxTargets(torch.cat((low, high), -1), weight)
    boxes = corners(*cell_boxes(latents))
    giou = -generalized_box_iou_loss(boxes.flatten(0, 1), targets.boxes.flatten(0, 1)) + 1
    total = 0.0
    for n, (b, i) in enumerate((b, i) for b in range(2) for i in range(12)):
        off = sum(abs(float(boxes[b, i, k] - targets.boxes[b, i, k])) for k in range(4)) / 4
        total += float(weight[b, i]) * (1 - float(giou[n]) + off / 0.1)
    assert float(losses.box(latents, targets)) == pytest.approx(total / float(weight.sum()))
    nothing = BoxTargets(targets.boxes, 0 * weight)
    assert float(losses.box(latents, nothing)) == 0
    with_area = replace(latents, scale=latents.scale.abs() + 0.1)
    perfect = BoxTargets(corners(*cell_boxes(with_area)), weight)
    assert float(losses.box(with_area, perfect)) == pytest.approx(0, abs=1e-9)


def test_geometry_averages_over_present_cells(latents):
    p = torch.zeros(2, 3, 4).double()
    p[:, 1, 2] = p[:, 0, 0] = 1
    for b, value in enumerate(losses.geometry(latents, p, PRIORS)):
        total = 0.0
        for i, j in ((1, 2), (0, 0)):
            for c in range(2):
                total -= normal(float(latents.scale[b, c, i, j]), 0.2, 0.1)
                total -= normal(float(latents.loc[b, c, i, j]), 0, PRIORS.loc_std)
        assert float(value) == pytest.approx(total / 2)
    assert losses.geometry(latents, 0 * p, PRIORS).tolist() == [0, 0]


def test_concrete_presence_is_eq_14_and_tends_to_bernoulli():
    u = torch.rand(100000, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    logit = torch.full_like(u, 0.7)
    z = sample_presence(logit, 0.5, u)
    k = 123
    noise = math.log(u[k]) - math.log(1 - u[k])
    assert float(z[k]) == pytest.approx(1 / (1 + math.exp(-(0.7 + noise) / 0.5)))
    hard = sample_presence(logit, 1e-3, u)
    assert float(hard.mean()) == pytest.approx(1 / (1 + math.exp(-0.7)), abs=5e-3)
    assert float(((hard > 0.01) & (hard < 0.99)).double().mean()) < 0.01


def test_samples_of_the_priors_have_their_moments():
    shapes = {
        "background": (1, 32, 32), "presence": (2, 32, 32), "scale": (2, 32, 32),
        "loc": (2, 32, 32), "what": (5, 32, 32),
    }  # fmt: skip
    priors = Priors(presence=0.3)
    z = sample_latents(shapes, 40, priors, torch.Generator().manual_seed(8))
    present = z.presence_logit > 0
    assert float(present.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(z.background.std()) == pytest.approx(1, abs=0.02)
    scale = z.scale.permute(0, 2, 3, 1)[present]
    assert float(scale.mean()) == pytest.approx(0.2, abs=0.005)
    assert float(scale.std()) == pytest.approx(0.1, abs=0.005)
    what = z.what.permute(0, 2, 3, 1)
    assert float(what[present].mean()) == pytest.approx(1, abs=0.01)
    assert float(what[~present].mean()) == pytest.approx(0, abs=0.01)
