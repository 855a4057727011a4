"""Algorithm 1 against a plain loop; the method's size, symmetry and determinism."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.blocks.images import to_unit
from baselines.blocks.mixture import SlotNoise
from baselines.blocks.slot_attention import SlotAttention, initialise_as_keras
from baselines.slot_attention.decoder import SlotDecoder
from baselines.slot_attention.method import SlotAttentionMethod
from baselines.slot_attention.settings import SlotAttentionSettings
from denf.errors import DenfError
from denf.harness.method import Step


@pytest.fixture
def attend() -> SlotAttention:
    torch.manual_seed(0)
    return SlotAttention(5, 6, 7, iterations=2).double()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture
def slots() -> torch.Tensor:
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2)).double()


def test_slot_attention_is_the_loop_of_algorithm_1(attend, inputs, slots):
    got, attention = attend(inputs, slots)
    for b in range(2):
        normed = [attend.norm_inputs(x) for x in inputs[b]]
        state = list(slots[b])
        for _ in range(2):
            queries = [attend.to_q(attend.norm_slots(s)) for s in state]
            scores = torch.zeros(9, 4).double()
            for n, x in enumerate(normed):
                logits = torch.stack([attend.to_k(x) @ q / 6**0.5 for q in queries])
                scores[n] = torch.softmax(logits, 0)
            new = []
            for k, s in enumerate(state):
                weight = scores[:, k] + 1e-8
                values = torch.stack([attend.to_v(x) for x in normed])
                mean = (weight[:, None] * values).sum(0) / weight.sum()
                s = attend.gru(mean[None], s[None])[0]
                new.append(s + attend.mlp(attend.norm_mlp(s)))
            state = new
        torch.testing.assert_close(got[b], torch.stack(state))
        torch.testing.assert_close(attention[b], scores.T)


def test_attention_is_a_distribution_over_slots(attend, inputs, slots):
    _, attention = attend(inputs, slots)
    torch.testing.assert_close(attention.sum(1), torch.ones(2, 9).double())
    assert not torch.allclose(attention.sum(2), torch.ones(2, 4).double())


def test_updates_are_means_over_positions(attend, inputs, slots):
    """Duplicating every position does not change weighted means, nor therefore the slots."""
    once, _ = attend(inputs, slots)
    twice, _ = attend(torch.cat((inputs, inputs), 1), slots)
    torch.testing.assert_close(once, twice, rtol=1e-6, atol=1e-6)  # 1e-8 is added per position


def test_permuted_slots_and_positions(attend, inputs, slots):
    got, attention = attend(inputs, slots)
    order, places = torch.tensor([2, 0, 3, 1]), torch.randperm(9)
    moved, moved_attention = attend(inputs[:, places], slots[:, order])
    torch.testing.assert_close(moved, got[:, order])
    torch.testing.assert_close(moved_attention, attention[:, order][:, :, places])


def test_initialisation_is_keras_s():
    cell = nn.GRUCell(8, 8)
    layers = nn.Sequential(nn.Linear(30, 20), nn.Conv2d(4, 6, 5), nn.ConvTranspose2d(4, 6, 5), cell)
    layers.apply(initialise_as_keras)
    torch.testing.assert_close(cell.weight_hh.T @ cell.weight_hh, torch.eye(8))
    for layer, fans in zip(layers, (50, (4 + 6) * 25, (4 + 6) * 25), strict=False):
        limit = (6 / fans) ** 0.5
        assert 0.8 * limit < layer.weight.abs().max() <= limit
        assert not layer.bias.any()
    assert not cell.bias_ih.any()
    assert not cell.bias_hh.any()


@pytest.fixture(scope="module")
def small() -> SlotAttentionMethod:
    torch.manual_seed(0)
    settings = SlotAttentionSettings(
        slots=3, slot_size=8, hidden=8, channels=8, decoder_strides=(2, 2, 1)
    )
    return SlotAttentionMethod(settings).eval()


def test_published_size():
    method = SlotAttentionMethod(SlotAttentionSettings())
    assert sum(p.numel() for p in method.parameters()) == 890_308  # 0.890 M


@torch.no_grad()
def test_decomposition_has_the_images_size_and_does_not_depend_on_the_batch(small):
    images = torch.randint(0, 256, (3, 3, 16, 24), dtype=torch.uint8)
    labels = small.segment(images).labels
    assert labels.shape == (3, 16, 24)
    assert torch.equal(small.segment(images.flip(0)).labels.flip(0), labels)
    torch.testing.assert_close(small.reconstruct(images[2:]), small.reconstruct(images)[2:])


def test_rate_rises_and_halves_and_the_loss_is_the_mean_squared_error(small):
    settings = small.settings.changed(warmup_steps=4, half_life=10)
    method = SlotAttentionMethod(settings)
    method.load_state_dict(small.state_dict())
    method.optimizers = method.make_optimizers()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        mean = method._decode(
            2 * to_unit(images) - 1, SlotNoise.of(torch.Generator().manual_seed(5))
        ).mean
    expected = (mean - (images / 127.5 - 1)).square().mean()
    got = method.training_step(images, Step(1, 20, torch.Generator().manual_seed(5)))["loss"]
    torch.testing.assert_close(got, expected)
    rate = method.optimizers["adam"].param_groups[0]["lr"]
    assert rate == pytest.approx(4e-4 * 2 / 4 * 0.5**0.1)


def test_images_that_the_strides_do_not_divide_are_refused(small):
    with pytest.raises(DenfError, match="18"):
        small.segment(torch.zeros(1, 3, 16, 18, dtype=torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("strides", "grid"), [((1, 1), (8, 6)), ((1, 2), (3, 7)), ((2, 1), (4, 2))]
)
def test_decoder_equals_its_layers_on_tiled_slots(
    strides: tuple[int, ...], grid: tuple[int, int], dtype: torch.dtype
):
    decoder = SlotDecoder(SlotAttentionSettings(slot_size=5, channels=4, decoder_strides=strides))
    decoder, slots = decoder.to(dtype), torch.randn(3, 5, dtype=dtype)
    h = slots[:, :, None, None].expand(-1, -1, *grid)
    for layer in decoder:
        h = layer(h)
    torch.testing.assert_close(decoder(slots, grid), h)
