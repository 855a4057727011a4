"""DeNF's boxes and background behind the contract, compared with loops over cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from denf.harness.checkpoint import build


@pytest.fixture(scope="module")
def denf(small):
    """Weights away from the identity, so that cells differ."""
    method = build(small(), seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    method.image_size.fill_(16)
    return method


@pytest.fixture(scope="module")
def images(scenes):
    return torch.tensor(scenes.images[:5]).permute(0, 3, 1, 2)


@torch.no_grad()
def test_every_present_cell_proposes_its_box(denf, images):
    found = denf.boxes(images)
    latents = denf.model.encode((images.float() + 0.5) / 256).latents
    h, w = latents.presence_logit.shape[1:]
    assert found.present.any()
    assert not found.present.all()
    for b in range(len(images)):
        for n in range(h * w):
            i, j = divmod(n, w)
            assert found.present[b, n] == (latents.presence_logit[b, i, j] > 0)
            anchor = ((j + 0.5) / w, (i + 0.5) / h)
            assert found.anchors[b, n].tolist() == pytest.approx(anchor)
            dy, dx = latents.loc[b, :, i, j].tolist()
            height, width = (
                math.log1p(math.exp(20 * s)) / 20 for s in latents.scale[b, :, i, j].tolist()
            )
            y, x = anchor[1] + math.sqrt(2) * dy, anchor[0] + math.sqrt(2) * dx
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            assert found.boxes[b, n].tolist() == pytest.approx(box, abs=1e-5)
    assert found.count.tolist() == [len(kept) for kept in denf._decompose(images)[1].boxes]


@torch.no_grad()
def test_the_background_is_that_of_the_figures(denf, images):
    drawn = denf.inspect(images)["background"].permute(0, 3, 1, 2).numpy()
    background = denf.without_objects(images)
    levels = np.clip(np.floor(background.numpy() * 256), 0, 255)
    np.testing.assert_array_equal(levels, drawn)
