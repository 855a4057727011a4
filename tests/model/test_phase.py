"""The phases of a training, and the cost of presence that rises after the warm-up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from denf.model.objective import Noise, objective, phase
from denf.model.settings import Schedule


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 200))
def test_the_cost_of_presence_rises_linearly_after_the_warmup(warmup, rise, step):
    at = phase(Schedule(warmup_steps=warmup, presence_rise=rise), step, 200)
    assert at.warmup == (step < warmup)
    assert at.presence == pytest.approx(min(max(step - warmup, 0) / rise, 1))


def test_without_a_rise_the_cost_is_whole_in_every_step():
    assert {phase(Schedule(), step, 200).presence for step in range(200)} == {1.0}


def test_the_factor_scales_the_cost_of_presence_alone(denf, images):
    noise = Noise.draw(denf, images, torch.Generator().manual_seed(0))
    at = phase(Schedule(warmup_steps=0), 100, 200)
    whole, terms = objective(denf, images, at, noise)
    half, unscaled = objective(denf, images, replace(at, presence=0.5), noise)
    torch.testing.assert_close(
        whole - half, 0.5 * denf.settings.weights.presence * terms["presence"]
    )
    torch.testing.assert_close(unscaled["presence"], terms["presence"])
