"""Aids of SPACE, one by one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.optim import Adam, RMSprop

from baselines.blocks.annealing import Ramp
from baselines.space.aid_settings import SpaceAids
from baselines.space.aids import AidedSpace
from baselines.space.background import Background
from baselines.space.compositing import Rendering
from baselines.space.method import SpaceMethod
from baselines.space.settings import SpaceSettings
from denf.harness.method import Step

SIZES = {"size": 16, "grid": 2, "components": 2}


def published(**changes) -> SpaceMethod:
    torch.manual_seed(0)
    return SpaceMethod(SpaceSettings(**{**SIZES, **changes}))


def aided(changes: Mapping[str, object] | None = None, **aids) -> AidedSpace:
    torch.manual_seed(0)
    return AidedSpace(SpaceSettings(**{**SIZES, **(changes or {})}), SpaceAids(**aids))


def train(method: SpaceMethod, index: int = 0) -> Mapping[str, Tensor]:
    """The scalars of one step at a 0-based index, always with the same images and noise."""
    g = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=g)
    method.optimizers = method.make_optimizers()
    return method.training_step(images, Step(index, 9, torch.Generator().manual_seed(0)))


def test_what_weight_changes_only_the_loss():
    free, full = (
        train(aided({"boundary_until": 0}, what_weight=Ramp(w, w, first=0, last=0)))
        for w in (0.0, 1.0)
    )
    assert free["kl_what"] == full["kl_what"] > 1
    torch.testing.assert_close(full["loss"] - free["loss"], full["kl_what"], rtol=1e-2, atol=1e-2)


def test_separate_likelihoods_are_a_lower_bound_with_a_gradient_for_the_worse_half():
    """Jensen's inequality; in the mixture, a foreground of large error gets no gradient."""
    stds = {"foreground_std": 0.07, "background_std": 0.07}
    x = torch.full((1, 3, 16, 16), 0.5)
    background = Background(torch.zeros(1, 1, 1, 16, 16), x[:, None].clone(), torch.zeros(1))
    nothing, slopes, bounds = torch.zeros(1, 1, 1, 16, 16), [], []
    for separate in (False, True):
        method = aided({**stds, "fixed_alpha": 0.5, "fixed_alpha_until": 1}, separate=separate)
        foreground = torch.full((1, 3, 16, 16), 0.1, requires_grad=True)
        rendering = Rendering(nothing, foreground, nothing[:, 0])
        bound = method.log_likelihood(x, rendering, background, 0)
        bound.sum().backward()
        bounds.append(float(bound.detach()))
        assert foreground.grad is not None
        slopes.append(float(foreground.grad[0, 0, 0, 0]))
    halves = Normal(torch.tensor([0.1, 0.5]), 0.07).log_prob(torch.tensor(0.5)).mean()
    assert bounds[1] == pytest.approx(768 * float(halves), rel=1e-5)
    assert bounds[1] < bounds[0]
    assert slopes[1] == pytest.approx(0.5 * 0.4 / 0.07**2, rel=1e-4)
    assert slopes[0] < 1e-4 * slopes[1]


def test_likelihoods_are_separate_only_while_alpha_is_fixed():
    settings = {"fixed_alpha_until": 1, "boundary_until": 0}
    fixed, free, fixed_apart, free_apart = (
        float(train(aided(settings, separate=separate), index)["log_likelihood"])
        for separate in (False, True)
        for index in (0, 1)
    )
    assert free == free_apart
    assert fixed_apart < fixed


def test_biases_change_standard_deviations_and_alpha():
    """The aids add constants to the raw values; means do not change."""
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain, biased = published().foreground.eval(), aided(std_bias=-2.0, alpha_bias=2.0)
    biased = biased.foreground.eval()
    for name, q in plain.infer(x, 1.0, None)[1].items():
        other = biased.infer(x, 1.0, None)[1][name]
        torch.testing.assert_close(other.mean, q.mean)
        raw = q.std.expm1().log()  # softplus⁻¹
        torch.testing.assert_close(
            other.std, torch.nn.functional.softplus(raw - 2), atol=1e-5, rtol=1e-3
        )
    z = torch.zeros(1, 4, 32)
    (colour, alpha), (same, moved) = plain.decode(z), biased.decode(z)
    torch.testing.assert_close(same, colour)
    torch.testing.assert_close(moved.logit(), alpha.logit() + 2, atol=1e-4, rtol=1e-4)


def test_a_quiet_decoder_starts_near_grey():
    """Its logits are those of the plain decoder times `quiet`."""
    z = torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(0))
    plain, quiet = (aided(quiet=q).foreground.eval().decode(z)[0].logit() for q in (1.0, 0.1))
    torch.testing.assert_close(quiet, 0.1 * plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("adam", "kind"), [(False, RMSprop), (True, Adam)])
def test_the_foregrounds_optimizer(adam, kind):
    optimizer = aided(foreground_adam=adam).make_optimizers()["foreground"]
    assert isinstance(optimizer, kind)
    assert optimizer.param_groups[0]["lr"] == SpaceSettings().foreground_rate
