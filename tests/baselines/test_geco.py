"""GECO's multiplier against a plain loop in Python numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.blocks.geco import Geco
from baselines.blocks.geco_settings import GecoSettings

SHAPE = (3, 8, 16)
SETTINGS = GecoSettings(
    goal=0.5, step_size=1e-3, speedup=10, smoothing=0.9, beta=2.0, beta_min=0.05, beta_max=20.0
)


@given(st.lists(st.floats(-300, 900), min_size=1, max_size=20))
def test_multiplier_equals_a_plain_loop(errors):
    geco = Geco(SETTINGS, SHAPE)
    goal, eta = 0.5 * 3 * 8 * 16, 1e-3 * 64**2 / (8 * 16)
    beta, average = 2.0, None
    for error in errors:
        loss = geco(torch.tensor(error), torch.tensor(3.0))
        assert float(loss) == pytest.approx(error + beta * 3.0, rel=1e-3, abs=1e-2)
        average = error if average is None else 0.9 * average + 0.1 * error
        slack = goal - average
        rate = 10 * eta if slack > 0 else eta
        beta = min(max(beta * math.exp(min(rate * slack, 50)), 0.05), 20.0)
        assert float(geco.beta) == pytest.approx(beta, rel=1e-2)


def test_below_the_goal_the_weight_of_the_kl_grows_and_above_it_falls():
    # The goal is 192 nats; errors are near it, so that β does not reach its bounds.
    for error, comparison in ((191.0, torch.gt), (210.0, torch.lt)):
        geco = Geco(SETTINGS, SHAPE)
        for _ in range(3):
            before = geco.beta.clone()
            geco(torch.tensor(error), torch.tensor(1.0))
            assert comparison(geco.beta, before)


def test_gradients_are_weighted_by_the_multiplier_before_its_update():
    geco = Geco(SETTINGS, SHAPE)
    error, kl = torch.tensor(10.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    geco(error, kl).backward()
    assert (error.grad.item(), kl.grad.item()) == (1.0, 2.0)
    assert geco.beta.item() != 2.0


def test_state_is_saved_with_the_weights():
    geco, again = Geco(SETTINGS, SHAPE), Geco(SETTINGS, SHAPE)
    for error in (100.0, 250.0):
        geco(torch.tensor(error), torch.tensor(1.0))
    again.load_state_dict(geco.state_dict())
    for x in (geco, again):
        x(torch.tensor(150.0), torch.tensor(1.0))
    assert geco.beta == again.beta
    assert geco.average == again.average
