"""Peak signal-to-noise ratio, compared with NumPy image by image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from denf.metrics.psnr import decibels, squared_errors


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), noise=st.floats(0.01, 2.0))
def test_psnr_of_each_image_and_of_all(seed, noise):
    rng = np.random.default_rng(seed)
    target = rng.random((3, 3, 5, 4))
    images = target + noise * rng.standard_normal(target.shape)
    counted = rng.random((3, 5, 4)) < 0.4
    counted[0] = False
    clipped = np.clip(images, 0, 1)
    found = squared_errors(*map(torch.from_numpy, (images, target)))
    some = squared_errors(*map(torch.from_numpy, (images, target, counted)))
    assert some.psnr[0].isnan()
    for b in range(3):
        error = np.mean((clipped[b] - target[b]) ** 2)
        assert float(found.psnr[b]) == pytest.approx(10 * math.log10(1 / error))
        if counted[b].any():
            error = np.mean((clipped[b] - target[b])[:, counted[b]] ** 2)
            assert float(some.psnr[b]) == pytest.approx(10 * math.log10(1 / error))
    pooled = decibels(some.total.sum() / some.count.sum())
    everywhere = np.repeat(counted[:, None], 3, 1)
    if counted.any():
        error = np.mean((clipped - target)[everywhere] ** 2)
        assert float(pooled) == pytest.approx(-10 * math.log10(error))


def test_equal_images_have_no_finite_ratio_and_shapes_must_fit():
    image = torch.rand(1, 3, 4, 4)
    assert squared_errors(image, image).psnr.isinf().all()
    with pytest.raises(ValueError, match=r"images: expected \(1, 3, 4, 4\), got \(1, 3, 4, 3\)"):
        squared_errors(image[..., :3], image)
