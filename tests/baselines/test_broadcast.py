"""Coordinates, position embedding and the broadcast decoder against plain loops."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from baselines.blocks.broadcast import BroadcastDecoder, PositionEmbedding, coordinates


def test_coordinates_run_along_their_axes_from_end_to_end():
    grid = coordinates(3, 5, torch.zeros(1, dtype=torch.float64), low=-0.5, high=1.5)
    assert grid.dtype == torch.float64
    for row in range(3):
        for column in range(5):
            x, y = -0.5 + 2 * column / 4, -0.5 + 2 * row / 2
            torch.testing.assert_close(grid[:, row, column], grid.new_tensor([x, y]))


def test_position_embedding_adds_a_linear_map_of_the_four_distances():
    embed, h = PositionEmbedding(5), torch.randn(2, 5, 3, 4)
    out = embed(h)
    for row in range(3):
        for column in range(4):
            x, y = column / 3, row / 2
            added = embed.linear(torch.tensor([x, y, 1 - x, 1 - y]))
            torch.testing.assert_close(out[:, :, row, column], h[:, :, row, column] + added)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("last_kernel", [1, 3])
def test_broadcast_decoder_keeps_the_size_and_counts_its_parameters(padded: bool, last_kernel: int):
    decoder = BroadcastDecoder(
        6, (8, 8, 4), 4, activation=nn.ELU, padded=padded, last_kernel=last_kernel
    )
    assert decoder(torch.randn(2, 6), (7, 5)).shape == (2, 4, 7, 5)
    expected = (8 * 9 + 1) * 8 + (8 * 9 + 1) * 8 + (8 * 9 + 1) * 4 + (4 * last_kernel**2 + 1) * 4
    assert sum(p.numel() for p in decoder.parameters()) == expected


def test_without_padding_there_are_no_border_effects():
    """A linear decoder with constant weights is linear in the coordinates up to the border."""
    decoder = BroadcastDecoder(1, (1, 1), 1, activation=nn.Identity, padded=False)
    with torch.no_grad():
        for p in decoder.parameters():
            p.fill_(1.0)
        image = decoder(torch.zeros(1, 1), (6, 6))[0, 0]
    torch.testing.assert_close(image.diff(dim=1), image.diff(dim=1)[:1, :1].expand(6, 5))
    torch.testing.assert_close(image.diff(dim=0), image.diff(dim=0)[:1, :1].expand(5, 6))


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("size", [(7, 5), (2, 3), (1, 4)])
def test_broadcast_decoder_equals_its_layers_on_tiled_latents(padded: bool, size: tuple[int, int]):
    decoder = BroadcastDecoder(4, (5, 3), 2, activation=nn.ELU, padded=padded).double()
    height, width = (side + 2 * decoder.margin for side in size)
    z = torch.randn(3, 4, dtype=torch.float64)
    tiled = z[:, :, None, None].expand(3, 4, height, width)
    grid = coordinates(height, width, z).expand(3, 2, height, width)
    expected = decoder.layers(torch.cat((tiled, grid), 1))
    torch.testing.assert_close(decoder(z, size), expected)


def test_broadcast_decoder_has_the_same_values_and_gradients_in_float32():
    torch.manual_seed(0)
    decoder = BroadcastDecoder(4, (5, 3), 2, activation=nn.ELU, padded=False)
    z, weights = torch.randn(3, 4), torch.randn(3, 2, 7, 5)
    exact = deepcopy(decoder).double()
    (decoder(z, (7, 5)) * weights).sum().backward()
    (exact(z.double(), (7, 5)) * weights).sum().backward()
    torch.testing.assert_close(decoder(z, (7, 5)), exact(z.double(), (7, 5)).float())
    for found, expected in zip(decoder.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad.float(), rtol=1e-5, atol=1e-4)


def test_norm_comes_between_convolution_and_activation():
    decoder = BroadcastDecoder(
        2, (3, 3), 1, activation=nn.ReLU, padded=True, norm=lambda c: nn.GroupNorm(1, c)
    )
    kinds = [type(layer) for layer in decoder.layers]
    assert kinds == [nn.Conv2d, nn.GroupNorm, nn.ReLU] * 2 + [nn.Conv2d]
