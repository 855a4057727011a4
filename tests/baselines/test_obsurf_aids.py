"""Aids of ObSuRF: initial weights of unit gain, centred images, and the view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.blocks.images import to_unit
from baselines.blocks.mixture import SlotNoise
from baselines.blocks.view_settings import ViewSettings
from baselines.obsurf.aid_settings import ObsurfAids
from baselines.obsurf.aids import EVEN, AidedObsurf
from baselines.obsurf.settings import ObsurfSettings
from denf.harness.experiment import load_experiment
from denf.harness.method import Step
from denf.harness.protocol import read_protocol
from denf.harness.registry import make_method

SMALL = ObsurfSettings(slots=3, channels=32, hidden=32, points=10_000, jitter=0.0)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 12, 16), dtype=torch.uint8, generator=generator)


def method_of(**aids: Any) -> AidedObsurf:
    torch.manual_seed(0)
    return AidedObsurf(SMALL, ObsurfAids(**aids)).eval()


def test_with_unit_gain_masks_depend_on_position_and_image(images):
    """With the published initial weights, the output hardly depends on either."""

    def spreads(**aids: Any) -> tuple[float, float, float]:
        method = method_of(**aids)
        with torch.no_grad():
            found = method.decompose(images)
            slots = method._slots(to_unit(images), SlotNoise.fixed(images.device))
        over_place = float(found.logits.flatten(3).std(3).mean())
        largest = float(found.masks.max() * found.masks.shape[1])  # 1 if all masks are equal
        return over_place, float((slots[0] - slots[1]).abs().mean()), largest

    published, gained = spreads(), spreads(unit_gain=True, centred=True)
    # With unit gain only the weights of the logits start small, for nearly equal masks.
    assert published[0] < 1e-3 < 0.05 < gained[0] / EVEN
    assert gained[1] > 5 * published[1]
    assert gained[2] < 1.5  # no slot has the whole image


@torch.no_grad()
def test_only_the_encoder_sees_centred_images(images):
    plain, centred = method_of(), method_of(centred=True)
    seen: list[Tensor] = []
    for method in (plain, centred):
        method.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        method.decompose(images)
    torch.testing.assert_close(seen[1], 2 * seen[0] - 1)
    assert torch.equal(plain.shown(images), centred.shown(images))  # the target of the loss


def test_predictions_with_a_view_have_the_size_of_the_images(images):
    method = method_of(view=ViewSettings(shrink=2, contrast=3.0, size=16))
    method.optimizers = method.make_optimizers()
    square = images[..., :12].repeat(1, 1, 2, 2)[..., :16, :16]
    method.training_step(square, Step(0, 9, torch.Generator().manual_seed(0)))
    background = method.state_dict()["view.background"]
    torch.testing.assert_close(background, (square / 255).median(0).values)
    found = method.decompose(square)
    assert found.rgb.shape == (2, 3, 3, 16, 16)
    assert method.reconstruct(square).shape == square.shape


def test_the_view_of_the_paper_s_protocol_has_64_pixels():
    root = Path(__file__).parents[2]
    protocol = read_protocol(root / "config/paper.yaml")
    experiment = load_experiment(root / "config/experiments/obsurf.yaml", protocol)
    method = make_method("obsurf", experiment.settings, experiment.aids)
    assert isinstance(method, AidedObsurf)
    seen = method.shown(torch.zeros(1, 3, 128, 128, dtype=torch.uint8))
    assert seen.shape[2:] == (64, 64)
