"""Recorded or not, the objective is one function: same terms, same gradients."""

from __future__ import annotations

import pytest
import torch

from denf.model.captured import CapturedObjective, OfTensors
from denf.model.components import BoxTargets
from denf.model.denf import DeNF
from denf.model.objective import Noise, Phase, objective


def gradients(loss: torch.Tensor, model: DeNF) -> list[torch.Tensor | None]:
    model.zero_grad()
    loss.backward()
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("composed", [True, False])
@pytest.mark.parametrize(("warmup", "boxes"), [(True, False), (False, False), (False, True)])
def test_numbers_or_tensors_of_a_phase_make_no_difference(denf, images, warmup, boxes, composed):
    noise = Noise.draw(denf, images, torch.Generator().manual_seed(0))
    given = ()
    if composed:
        cells = noise.u.flatten(1)
        given = (cells[..., None] + torch.tensor([0, 0, 0.1, 0.2]), cells)
    targets = BoxTargets(*given) if composed else None
    loss, terms = objective(denf, images, Phase(0.05, 0.02, warmup, boxes, 0.5), noise, targets)
    expected = gradients(loss, denf)
    recordable = OfTensors(denf, warmup, boxes)
    numbers = (torch.tensor(v, dtype=images.dtype) for v in (0.05, 0.02, 0.5))
    found, *values = recordable(images, *numbers, noise.epsilon, noise.u, *given)
    assert recordable.names == tuple(terms)
    torch.testing.assert_close(values, list(terms.values()))
    torch.testing.assert_close(gradients(found, denf), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_replayed_steps_are_those_launched_one_by_one(denf):
    # In float64, where the order of sums, which a GPU does not keep, makes no difference to see.
    model, captured = denf.cuda(), CapturedObjective()
    for index in range(6):  # each phase recorded once and replayed twice, with other numbers
        generator = torch.Generator("cuda").manual_seed(index)
        x = torch.rand(3, 3, 16, 16, generator=generator, device="cuda").double()
        noise = Noise.draw(model, x, generator)
        at = Phase(0.1 / (index + 1), 0.03 / (index + 1), warmup=index % 2 == 0, boxes=index > 2)
        loss, terms = objective(model, x, at, noise)
        expected = gradients(loss, model)
        found, replayed = captured(model, x, at, noise)
        torch.testing.assert_close(replayed, terms)
        torch.testing.assert_close(gradients(found, model), expected)
