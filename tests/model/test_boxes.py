"""The separable union against a sampler and a plain loop: values, gradients, limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from denf.model.boxes import box_union, cell_boxes, cell_centres, corners, present_around
from denf.model.latents import Latents
from denf.model.settings import BoxUnion

SHAPE = (12, 10)


def sampler_union(p, centres, sizes, shape, edge, kind, agreement=1.0):
    """Eq. 12 with `grid_sample`: a glimpse with soft edges is placed on the map box by box.

    The glimpse holds the profile of an edge in the box's own coordinates, finely sampled; every
    box makes one h × w map, as an inverse spatial transformer does.
    """
    h, w = shape
    rows, columns = cell_centres(h, w, centres)
    reach, fine = 40.0, 4001  # glimpse coordinates in units of the edge softness
    axis = torch.linspace(-reach, reach, fine, dtype=p.dtype)
    batch = []
    for b in range(len(p)):
        total = torch.zeros(h, w, dtype=p.dtype)
        for n in range(p.shape[1]):
            profiles = []
            for k, positions in ((0, rows), (1, columns)):
                glimpse = torch.sigmoid(axis)[None, None, :, None]
                inner = (sizes[b, n, k] / 2 - (positions - centres[b, n, k]).abs()) / edge
                grid = torch.stack((torch.zeros_like(inner), inner / reach), -1)[None, :, None]
                sampled = functional.grid_sample(
                    glimpse, grid, align_corners=True, padding_mode="border"
                )
                profiles.append(sampled[0, 0, :, 0])
            total = total + p[b, n] * profiles[0][:, None] * profiles[1][None, :]
        total = total / agreement
        batch.append(total.clamp(max=1) if kind is BoxUnion.CLAMP else 1 - torch.exp(-total))
    return torch.stack(batch)


def boxes(seed: int = 0, batch: int = 2, count: int = 5):
    g = torch.Generator().manual_seed(seed)
    p = torch.rand(batch, count, generator=g, dtype=torch.float64)
    centres = torch.rand(batch, count, 2, generator=g, dtype=torch.float64)
    sizes = 0.1 + 0.4 * torch.rand(batch, count, 2, generator=g, dtype=torch.float64)
    return [t.requires_grad_() for t in (p, centres, sizes)]


@pytest.mark.parametrize("kind", BoxUnion)
@pytest.mark.parametrize("agreement", [1.0, 3.0])
def test_separable_union_equals_the_sampler_in_values_and_gradients(kind, agreement):
    inputs = boxes()
    ours = box_union(*inputs, SHAPE, 0.05, kind, agreement)
    theirs = sampler_union(*inputs, SHAPE, 0.05, kind, agreement)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    weight = torch.rand(ours.shape, generator=torch.Generator().manual_seed(9)).double()
    for a, b in zip(
        torch.autograd.grad((ours * weight).sum(), inputs),
        torch.autograd.grad((theirs * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=2e-2, rtol=2e-2)


def test_sharp_union_is_the_union_of_rectangles():
    p, centres, sizes = (t.detach() for t in boxes(3))
    union = box_union(torch.ones_like(p), centres, sizes, SHAPE, 1e-6, BoxUnion.CLAMP)
    rows, columns = cell_centres(*SHAPE, centres)
    for b in range(len(p)):
        for i, y in enumerate(rows):
            for j, x in enumerate(columns):
                inside = any(
                    abs(y - c[0]) < s[0] / 2 and abs(x - c[1]) < s[1] / 2
                    for c, s in zip(centres[b], sizes[b], strict=True)
                )
                assert union[b, i, j] == pytest.approx(float(inside), abs=1e-3)


def test_agreement_may_differ_from_cell_to_cell():
    inputs = boxes()
    kappa = 1 + torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(4)).double()
    union = box_union(*inputs, SHAPE, 0.05, BoxUnion.SMOOTH, kappa)
    for i, j in ((0, 0), (5, 3), (11, 9)):
        one = box_union(*inputs, SHAPE, 0.05, BoxUnion.SMOOTH, float(kappa[1, i, j]))
        torch.testing.assert_close(union[1, i, j], one[1, i, j])


@pytest.mark.parametrize(("side", "reach"), [(0.2, 1), (0.5, 3), (0.0, 0)])
def test_present_cells_around_a_cell_against_a_plain_loop(side, reach):
    h, w = 12, 10
    presence = torch.rand(2, h, w, generator=torch.Generator().manual_seed(2)).double()
    found = present_around(presence, side)
    for i in range(h):
        for j in range(w):
            window = presence[
                :, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1
            ]
            torch.testing.assert_close(found[:, i, j], window.sum((1, 2)))


@pytest.mark.parametrize("kind", BoxUnion)
def test_no_presence_gives_an_empty_union(kind):
    p, centres, sizes = boxes()
    assert box_union(0 * p, centres, sizes, SHAPE, 0.05, kind).abs().max() == 0


def test_smooth_union_has_a_gradient_where_the_clamp_has_none():
    p = torch.ones(1, 4, dtype=torch.float64, requires_grad=True)
    centres, sizes = torch.full((1, 4, 2), 0.5).double(), torch.full((1, 4, 2), 0.4).double()
    for kind, alive in ((BoxUnion.SMOOTH, True), (BoxUnion.CLAMP, False)):
        middle = box_union(p, centres, sizes, (9, 9), 0.01, kind)[0, 4, 4]
        (gradient,) = torch.autograd.grad(middle, p)
        assert (gradient.abs().sum() > 0) == alive


def test_a_box_off_the_image_still_has_a_gradient():
    p = torch.ones(1, 1, dtype=torch.float64)
    centres = torch.tensor([[[1.1, 0.5]]], dtype=torch.float64, requires_grad=True)
    sizes = torch.full((1, 1, 2), 0.1, dtype=torch.float64)
    box_union(p, centres, sizes, (8, 8), 0.03, BoxUnion.SMOOTH).sum().backward()
    assert centres.grad[0, 0, 0] < 0  # moving up, into the image, adds to the union


def test_units_of_the_latents():
    h = w = 4
    z = torch.zeros(1, 2, h, w, dtype=torch.float64)
    latents = Latents(z[:, :1], z, z + 0.5, z.clone(), z)
    latents.loc[0, 1, 0, 0] = 0.25  # a quarter of the diagonal to the right
    centres, sizes = cell_boxes(latents)
    assert centres[0, 0].tolist() == pytest.approx([0.125, 0.125 + 0.25 * math.sqrt(2)])
    assert sizes[0, 5].tolist() == pytest.approx([0.5, 0.5], abs=1e-4)
    tiny = Latents(z[:, :1], z, z - 0.5, z, z)
    assert (cell_boxes(tiny)[1] > 0).all()


def test_corners_are_in_torchvision_s_order():
    box = corners(torch.tensor([0.5, 0.25]), torch.tensor([0.2, 0.1]))
    torch.testing.assert_close(box, torch.tensor([0.2, 0.4, 0.3, 0.6]))
