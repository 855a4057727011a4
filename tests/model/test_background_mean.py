"""The mean of z_bg over images, and backgrounds that are filled from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from denf.harness.method import Step
from denf.method import DenfMethod
from denf.model.background_mean import BackgroundMean
from denf.model.hidden import filled_background, hidden_in_background
from denf.model.latents import Latents
from denf.model.settings import Background, DenfSettings

CAMERA = Background(fill="mean", margin=0.0)


def latents(count: int, side: int, seed: int) -> Latents:
    """One structure plus a brightness of each image; a quarter of the cells are present."""
    rng = torch.Generator().manual_seed(seed)
    structure = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    light = torch.randn(count, 1, 1, 1, generator=rng)
    present = torch.rand(count, side, side, generator=rng) < 0.25
    logit = torch.where(present, 9.0, -9.0)
    background = structure + light
    background[present[:, None]] = 7.0  # what an object leaves in z_bg
    two = torch.stack((logit, torch.zeros_like(logit)), 1)
    return Latents(background, two, two, two, two)


@pytest.mark.parametrize("side", [32, 48, 64, 128])
def test_the_mean_is_that_of_absent_cells(side):
    mean = BackgroundMean()
    batches = [latents(3, side, seed) for seed in (1, 2)]
    for batch in batches:
        mean.add(batch, CAMERA)
    values = torch.cat([b.background[:, 0] for b in batches]).numpy()
    hidden = torch.cat([hidden_in_background(b, CAMERA) for b in batches])
    expected = np.ma.masked_array(values, hidden.numpy()).mean(0)
    seen = ~expected.mask
    np.testing.assert_allclose(mean.at((side, side))[0, 0].numpy()[seen], expected[seen], atol=1e-5)


def test_a_structure_is_continued_under_objects_in_the_light_of_the_image():
    mean = BackgroundMean()
    for seed in range(20):
        mean.add(latents(8, 32, seed), CAMERA)
    new = latents(4, 32, 99)
    found = filled_background(new, CAMERA, mean.at((32, 32)))
    hidden = hidden_in_background(new, CAMERA)
    truth = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    light = torch.stack(
        [(b - truth[0, 0])[~h].mean() for b, h in zip(new.background[:, 0], hidden, strict=True)]
    )
    assert (found - (truth + light.view(4, 1, 1, 1))).abs().mean() < 0.1
    around = filled_background(new, CAMERA)  # without the mean
    assert (around - (truth + light.view(4, 1, 1, 1)))[hidden[:, None]].abs().mean() > 0.5


def test_a_training_observes_its_last_images_alone():
    settings = DenfSettings(
        architecture={"features": 2, "couplings": 1},
        background={"fill": "mean"},
        schedule={"warmup_steps": 0, "boxes_from": 100},
    )
    torch.manual_seed(0)
    method = DenfMethod(settings)
    method.background_mean.count += 1  # of an earlier training
    method.optimizers = method.make_optimizers()
    batch = torch.randint(256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(1)).byte()
    for index in range(3):
        method.training_step(batch, Step(index, 3, torch.Generator().manual_seed(index)))
    assert method.background_mean.count.max() <= 6
    assert set(method.state_dict()) >= {"background_mean.total", "background_mean.count"}
    assert DenfMethod(DenfSettings()).background_mean is None
