"""ObSuRF in two dimensions: position code and decoder against loops, size, likelihood, points."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.blocks.images import to_unit
from baselines.blocks.mixture import SlotNoise
from baselines.obsurf.decoder import PointDecoder, position_code
from baselines.obsurf.method import Obsurf
from baselines.obsurf.settings import ObsurfSettings
from denf.harness.method import Step

SMALL = ObsurfSettings(slots=3, channels=8, hidden=8, points=10_000, jitter=0.0)


@pytest.fixture(scope="module")
def small() -> Obsurf:
    torch.manual_seed(0)
    return Obsurf(SMALL).eval()


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 12, 16), dtype=torch.uint8, generator=generator)


def test_published_size():
    assert sum(p.numel() for p in Obsurf(ObsurfSettings()).parameters()) == 411_656  # 0.412 M


def test_position_code_has_eight_octaves_of_each_coordinate():
    point = torch.tensor([0.3, -0.4], dtype=torch.float64)
    code = position_code(point, 8)
    angles = [2**i * math.pi * c for c in (0.3, -0.4) for i in range(8)]
    expected = [0.3, -0.4, *map(math.sin, angles), *map(math.cos, angles)]
    torch.testing.assert_close(code, torch.tensor(expected, dtype=torch.float64))


def test_decoder_shifts_and_scales_before_every_layer_but_the_last():
    decoder = PointDecoder(6, 5, layers=4, frequencies=2).double()
    points, slots = torch.rand(2, 7, 2).double() - 0.5, torch.randn(2, 3, 6).double()
    got = decoder(points, slots)
    assert got.shape == (2, 3, 7, 4)
    for b, k, p in ((0, 0, 0), (1, 2, 6), (1, 0, 3)):
        h = position_code(points[b, p], 2)
        for condition, layer in zip(decoder.conditions, decoder.layers, strict=True):
            both = condition(slots[b, k])
            h = torch.relu(layer((h + both[: len(h)]) * both[len(h) :]))
        torch.testing.assert_close(got[b, k, p], decoder.last(h))


def test_pixels_are_decoded_independently_at_their_positions(small, images):
    """The image equals the decoder's outputs at single points, with x along columns."""
    with torch.no_grad():
        slots = small._slots(to_unit(images), SlotNoise.fixed(images.device))
        mixture = small.decompose(images)
        for row, column in ((0, 0), (11, 15), (3, 9)):
            point = torch.tensor([column / 15 - 0.5, row / 11 - 0.5])
            decoded = small.decoder(point.expand(2, 1, 2), slots)[:, :, 0]
            torch.testing.assert_close(mixture.rgb[..., row, column], decoded[..., :3])
            torch.testing.assert_close(mixture.logits[..., row, column], decoded[..., 3:])


def test_loss_is_half_the_squared_error_plus_a_constant(small, images):
    method = Obsurf(SMALL)
    method.load_state_dict(small.state_dict())
    method.optimizers = method.make_optimizers()
    with torch.no_grad():
        slots = small._slots(to_unit(images), SlotNoise.of(torch.Generator().manual_seed(3)))
        points = torch.stack(
            [torch.tensor([c / 15 - 0.5, r / 11 - 0.5]) for r in range(12) for c in range(16)]
        )
        mean = small._decode(slots, points.expand(2, -1, -1), (12, 16)).mean
    error = (mean - images / 255).square().sum(1).mean()
    scalars = method.training_step(images, Step(0, 9, torch.Generator().manual_seed(3)))
    expected = error / 2 + 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(scalars["loss"], expected)
    torch.testing.assert_close(scalars["mse"], error / 3)


def test_rate_halves_after_the_warm_up(images):
    method = Obsurf(SMALL.changed(warmup_steps=4, half_life=10))
    method.optimizers = method.make_optimizers()
    for index, factor in ((0, 0.25), (3, 1.0), (14, 0.5)):
        method.training_step(images, Step(index, 20, torch.Generator().manual_seed(0)))
        assert method.optimizers["adam"].param_groups[0]["lr"] == pytest.approx(4e-4 * factor)
