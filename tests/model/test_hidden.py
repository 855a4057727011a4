"""Hidden cells, and maps interpolated where they are hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from denf.model.hidden import filled, hidden_places
from denf.model.inference import infer, render
from denf.model.settings import Architecture, Background


def some_places(shape, share: float, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1), (32, 20)])
def test_known_places_are_kept_and_others_depend_on_them_alone(size):
    maps = torch.randn(3, 2, *size, generator=torch.Generator().manual_seed(1))
    hidden = some_places((3, *size), 0.5)
    found = filled(maps, hidden)
    known = ~hidden[:, None].expand_as(maps)
    torch.testing.assert_close(found[known], maps[known])
    other = torch.where(known, maps, 1e6)
    torch.testing.assert_close(filled(other, hidden), found)


def test_values_lie_between_the_known_ones():
    maps = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    hidden = some_places((4, 16, 16), 0.9)
    found = filled(maps, hidden)
    for b in range(4):
        known = maps[b, 0][~hidden[b]]
        assert found[b].min() >= known.min() - 1e-6
        assert found[b].max() <= known.max() + 1e-6


def test_a_constant_is_continued_and_a_ramp_nearly():
    hidden = torch.zeros(1, 32, 32, dtype=torch.bool)
    hidden[:, 10:18, 12:20] = True
    constant = torch.full((1, 1, 32, 32), 0.7)
    torch.testing.assert_close(filled(constant, hidden), constant)
    ramp = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    assert (filled(ramp, hidden) - ramp).abs().max() < 0.1


def test_without_a_known_place_everything_is_0():
    maps = torch.randn(2, 1, 6, 6)
    hidden = torch.stack((torch.ones(6, 6), torch.zeros(6, 6))).bool()
    found = filled(maps, hidden)
    assert (found[0] == 0).all()
    torch.testing.assert_close(found[1], maps[1])


def test_hidden_cells_are_those_near_a_present_one():
    presence = torch.zeros(1, 20, 20)
    presence[0, 5, 6] = 0.9
    presence[0, 15, 15] = 0.05  # below the threshold
    hidden = hidden_places(presence, (20, 20), Background(margin=0.1, threshold=0.1))
    expected = torch.zeros(1, 20, 20, dtype=torch.bool)
    expected[0, 3:8, 4:9] = True
    assert torch.equal(hidden, expected)


@pytest.mark.parametrize("squeezes", [1, 2])
def test_the_background_drawn_ignores_z_bg_of_hidden_cells(small_denf, images, squeezes):
    denf = small_denf(Architecture(features=4, squeezes=squeezes))
    latents = denf.encode(images).latents
    presence = torch.full_like(latents.presence, -9.0)
    presence[:, 1] = 9
    presence[:, :, 0, 0] = torch.tensor([9.0, -9.0], dtype=presence.dtype)  # one cell is present
    latents = replace(latents, presence=presence)
    block = 4 // presence.shape[2]
    corner = latents.background.clone()
    corner[:, :, :block, :block] += 1
    other = replace(latents, background=corner)
    torch.testing.assert_close(render(denf, other), render(denf, latents))
    far = latents.background.clone()
    far[:, :, -1, -1] += 1
    assert not torch.equal(
        render(denf, replace(latents, background=far))[1], render(denf, latents)[1]
    )


def test_the_printed_background_is_decoded_from_all_of_z_bg(denf, images):
    denf.settings = denf.settings.changed(background={"fill": "none"})
    latents = denf.encode(images).latents
    presence, x_bg, x_fg = render(denf, latents)
    silence = torch.zeros_like(latents.background)
    expected = denf.reconstructions(latents, presence, silence)
    torch.testing.assert_close((x_bg, x_fg), expected)
    torch.testing.assert_close(infer(denf, images).x_bg, x_bg)
