"""Layers with occlusion: composition and greedy choice against loops and brute force."""

from __future__ import annotations

import itertools

import pytest
import torch

from baselines.blocks.layers import choose_greedily, compose, occlusion_matrix
from baselines.blocks.warps import project


def scene(layers: int, count: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Target, background, candidate colours and masks, occlusion: random, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    occlusion = occlusion_matrix(4 * uniform(2, layers * (layers - 1) // 2) - 2, layers)
    candidates = uniform(2, layers, count, 3, 3, 4), uniform(2, layers, count, 1, 3, 4)
    return uniform(2, 3, 3, 4), uniform(2, 3, 3, 4), *candidates, occlusion


def loop(background, colours, masks, occlusion):
    """Eq. 3 for one image, pixel by pixel; all layers occlude the background."""
    image = torch.zeros_like(background)
    for y, x in itertools.product(*map(range, background.shape[1:])):
        for layer in range(-1, len(colours)):
            colour = background[:, y, x] if layer < 0 else colours[layer, :, y, x]
            weight = 1.0 if layer < 0 else masks[layer, 0, y, x]
            for other in range(len(colours)):
                if other != layer:
                    hides = 1.0 if layer < 0 else occlusion[other, layer]
                    weight = weight * (1 - hides * masks[other, 0, y, x])
            image[:, y, x] += weight * colour
    return image


def test_occlusions_of_a_pair_of_layers_sum_to_one():
    logits = torch.randn(2, 6)
    matrix = occlusion_matrix(logits, 4)
    pairs = list(itertools.combinations(range(4), 2))
    for j, l in pairs:  # noqa: E741
        torch.testing.assert_close(matrix[:, j, l] + matrix[:, l, j], torch.ones(2))
    assert not matrix.diagonal(dim1=1, dim2=2).any()
    torch.testing.assert_close(matrix[:, 1, 0], torch.sigmoid(logits[:, 0]))
    torch.testing.assert_close(matrix[:, 3, 2], torch.sigmoid(logits[:, 5]))


def test_composition_is_the_loop_over_pixels_and_layers():
    _, background, colours, masks, occlusion = scene(layers=3, count=1)
    got = compose(background, colours[:, :, 0], masks[:, :, 0], occlusion)
    for b in range(2):
        expected = loop(background[b], colours[b, :, 0], masks[b, :, 0], occlusion[b])
        torch.testing.assert_close(got[b], expected)


def test_the_front_one_of_opaque_layers_is_visible():
    colours = torch.rand(1, 2, 3, 1, 1)
    opaque, background = torch.ones(1, 2, 1, 1, 1), torch.rand(1, 3, 1, 1)
    for logit, front in ((50.0, 1), (-50.0, 0)):
        order = occlusion_matrix(torch.tensor([[logit]]), 2)
        torch.testing.assert_close(compose(background, colours, opaque, order), colours[:, front])


def picked(colours, masks, combination):
    """Colours and masks of a choice, None for an empty layer, with a batch axis of one."""
    shown, shown_masks = [], []
    for layer, k in enumerate(combination):
        index = 0 if k is None else k
        shown.append(colours[layer, index])
        shown_masks.append(masks[layer, index] * (k is not None))
    return torch.stack(shown)[None], torch.stack(shown_masks)[None]


def error(target, background, colours, masks, occlusion, combination):
    parts = picked(colours, masks, combination)
    image = compose(background[None], *parts, occlusion[None])[0]
    return float((target - image).square().mean())


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.parametrize("passes", [1, 3])
def test_greedy_choice_tries_every_candidate_layer_by_layer(empty: bool, passes: int):
    target, background, colours, masks, occlusion = scene(layers=3, count=2, seed=1)
    cost = 0.01
    got = choose_greedily(
        target, background, colours, masks, occlusion, passes=passes, empty=empty, cost=cost
    )
    for b in range(2):
        rest = (target[b], background[b], colours[b], masks[b], occlusion[b])
        choice: list[int | None] = [None] * 3
        for _ in range(passes):
            for layer in range(3):
                options: list[int | None] = [0, 1, None] if empty else [0, 1]
                tried = [[*choice[:layer], k, *choice[layer + 1 :]] for k in options]
                errors = [error(*rest, t) + cost * (t[layer] is not None) for t in tried]
                choice = tried[errors.index(min(errors))]
        for layer, k in enumerate(choice):
            assert got[b, layer].tolist() == [float(k == 0), float(k == 1)]


def test_greedy_choice_is_optimal_for_disjoint_layers():
    """Every layer has its own column, so that the error is a sum over layers."""
    target, background, colours, masks, occlusion = scene(layers=3, count=2, seed=2)
    for layer in range(3):
        masks[:, layer, ..., [c for c in range(4) if c != layer]] = 0
    got = choose_greedily(
        target, background, colours, masks, occlusion, passes=1, empty=True, cost=0.0
    )
    for b in range(2):
        rest = (target[b], background[b], colours[b], masks[b], occlusion[b])
        best = min(itertools.product((0, 1, None), repeat=3), key=lambda c: error(*rest, c))
        for layer, k in enumerate(best):
            assert got[b, layer].tolist() == [float(k == 0), float(k == 1)]


def test_cost_decides_between_an_invisible_sprite_and_none():
    target, background, colours, masks, occlusion = scene(layers=2, count=1)
    masks = torch.zeros_like(masks)
    for cost, shown in ((1e-4, 0.0), (-1e-4, 1.0)):
        got = choose_greedily(
            target, background, colours, masks, occlusion, passes=2, empty=True, cost=cost
        )
        assert (got == shown).all()


def test_projection_samples_the_source_at_the_homography():
    """Bilinear sampling is exact for an image that is linear in its coordinates."""
    generator = torch.Generator().manual_seed(0)
    size = 9
    axis = (2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    picture = torch.stack((x, y))[None]
    matrix = torch.eye(3, dtype=torch.float64)[None] * 0.6
    matrix = matrix + 0.2 * (torch.rand(1, 3, 3, generator=generator).double() - 0.5)
    matrix[0, 2, 2] = 1.3
    got = project(picture, matrix)
    for row, column in itertools.product(range(size), repeat=2):
        u, v, w = matrix[0] @ torch.stack((axis[column], axis[row], torch.ones(()).double()))
        assert max(abs(u / w), abs(v / w)) < 1 - 1 / size  # between centres of pixels
        torch.testing.assert_close(got[0, :, row, column], torch.stack((u / w, v / w)))


def test_projection_by_the_identity_and_outside_the_image():
    picture = torch.rand(2, 3, 5, 6)
    eye = torch.eye(3).expand(2, 3, 3)
    torch.testing.assert_close(project(picture, eye), picture)
    away = eye.clone()
    away[:, 0, 2] = 5.0
    assert not project(picture, away).any()
    degenerate = torch.zeros(2, 3, 3)
    assert torch.isfinite(project(picture, degenerate)).all()
