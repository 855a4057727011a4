"""Crop and place against `grid_sample`, in values and gradients, and against each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from baselines.blocks.glimpse import crop, place

B, K, C, SIDE, SHAPE = 2, 3, 2, 5, (12, 10)


def boxes(seed: int) -> torch.Tensor:
    """Boxes, some of which extend beyond the border."""
    u = torch.rand(B, K, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat((0.1 + 0.9 * u[..., :2], 2.4 * u[..., 2:] - 1.2), -1)


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sampled(source, boxes, shape, padding="zeros"):
    """`affine_grid` and `grid_sample` per box: x' = size · x + centre."""
    w, h, x, y = boxes.reshape(-1, 4).unbind(1)
    o = torch.zeros_like(w)
    theta = torch.stack((w, o, x, o, h, y), 1).view(-1, 2, 3)
    grid = functional.affine_grid(theta, [len(theta), 1, *shape], align_corners=False)
    flat = source.reshape(-1, *source.shape[2:])
    out = functional.grid_sample(flat, grid, padding_mode=padding, align_corners=False)
    return out.view(*boxes.shape[:2], *out.shape[1:])


def inverse(boxes):
    return torch.cat((1 / boxes[..., :2], -boxes[..., 2:] / boxes[..., :2]), -1)


@pytest.mark.parametrize("extend", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_crop_equals_the_sampler(extend, seed):
    images, where = random(B, C, *SHAPE, seed=seed), boxes(seed)
    expected = sampled(
        images[:, None].expand(-1, K, -1, -1, -1), where, (SIDE, SIDE),
        "border" if extend else "zeros",
    )  # fmt: skip
    torch.testing.assert_close(crop(images, where, SIDE, extend=extend), expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_place_equals_the_sampler_in_values_and_gradients(seed):
    glimpses = random(B, K, C, SIDE, SIDE, seed=seed).requires_grad_()
    where = boxes(seed).requires_grad_()
    ours = place(glimpses, where, SHAPE)
    theirs = sampled(glimpses, inverse(where), SHAPE)
    torch.testing.assert_close(ours, theirs)
    weight = random(*ours.shape, seed=seed + 1)
    for a, b in zip(
        torch.autograd.grad((ours * weight).sum(), (glimpses, where)),
        torch.autograd.grad((theirs * weight).sum(), (glimpses, where)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_cropping_a_placed_glimpse_returns_it():
    """A box has twice the pixels of the glimpse, so that glimpse pixels lie between two of its."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 8, dtype=torch.float64)] * 2, indexing="ij")
    glimpse = (1 + 0.3 * x - 0.5 * y).expand(1, 1, 1, 8, 8)  # linear: interpolation is exact
    where = torch.tensor([[[0.5, 0.5, 0.25, -0.25]]], dtype=torch.float64)
    canvas = place(glimpse, where, (32, 32))
    torch.testing.assert_close(crop(canvas[:, 0], where, 8)[..., 1:-1, 1:-1],
                               glimpse[..., 1:-1, 1:-1])  # fmt: skip
    # The box covers columns (0.25 ± 0.5 + 1)/2 · 32 = 12..28 and rows 4..20.
    outside = canvas.clone()
    outside[..., 3:21, 11:29] = 0
    assert outside.abs().sum() == 0
    assert canvas[..., 4:20, 12:28].min() > 0


def test_a_box_of_the_whole_image_is_the_identity():
    image = random(1, C, 6, 6, seed=0)
    whole = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(crop(image, whole, 6)[:, 0], image)
    torch.testing.assert_close(place(image[:, None], whole, (6, 6))[:, 0], image)


def test_an_empty_box_stays_finite():
    glimpses = random(1, 1, 1, SIDE, SIDE, seed=0)
    where = torch.zeros(1, 1, 4, dtype=torch.float64, requires_grad=True)
    placed = place(glimpses, where, SHAPE)
    assert torch.isfinite(placed).all()
    assert torch.isfinite(torch.autograd.grad(placed.sum(), where)[0]).all()
