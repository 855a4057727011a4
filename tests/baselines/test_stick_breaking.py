"""Stick breaking against a plain loop of products."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.blocks.stick_breaking import break_stick, stick_breaking

LOGITS = st.lists(st.floats(-8, 8), min_size=1, max_size=6)


@given(LOGITS)
def test_masks_are_shares_of_the_remaining_scope(logits):
    found = stick_breaking(torch.tensor([logits], dtype=torch.float64))[0].exp().tolist()
    scope, expected = 1.0, []
    for logit in logits:
        share = float(torch.sigmoid(torch.tensor(logit, dtype=torch.float64)))
        expected.append(scope * share)
        scope *= 1 - share
    expected.append(scope)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected))
    assert abs(sum(found) - 1) < 1e-9


@given(LOGITS)
def test_single_steps_equal_all_masks_at_once(logits):
    steps = torch.tensor(logits)
    scope, masks = torch.zeros(()), []
    for logit in steps:
        mask, scope = break_stick(scope, logit)
        masks.append(mask)
    torch.testing.assert_close(torch.stack([*masks, scope]), stick_breaking(steps[None])[0])


def test_extreme_shares_stay_finite_with_their_gradients():
    logits = torch.tensor([[200.0, -200.0, 200.0]]).requires_grad_()
    log_masks = stick_breaking(logits)
    log_masks.sum().backward()
    assert torch.isfinite(log_masks).all()
    assert torch.isfinite(logits.grad).all()
