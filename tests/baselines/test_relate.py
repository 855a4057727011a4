"""RELATE: published sizes, positions, composition of objects, losses of the players."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from baselines.blocks.adain import AdaIn
from baselines.blocks.style_discriminator import StyleDiscriminator
from baselines.relate.generator import PARKED, Scene
from baselines.relate.method import Relate
from baselines.relate.settings import RelateSettings
from denf.errors import DenfError


def count(*parts: nn.Module) -> float:
    return sum(p.numel() for part in parts for p in part.parameters()) / 1e6


@pytest.fixture(scope="module")
def relate() -> Relate:
    torch.manual_seed(0)
    method = Relate(RelateSettings(size=32, width=4, objects=4, object_latent=3))
    for parameter in method.generator.parameters():  # enlarged, so that effects are visible
        parameter.data += 0.2 * torch.randn_like(parameter)
    return method.eval()


@pytest.fixture(scope="module")
def scene(relate) -> Scene:
    with torch.no_grad():
        return relate._scene(64, torch.Generator().manual_seed(0))


def test_parameters_at_the_published_widths():
    with torch.device("meta"):
        method = Relate(RelateSettings())
    g = method.generator
    assert count(g) == pytest.approx(6.81, abs=0.005)
    assert count(method.discriminator) == pytest.approx(17.47, abs=0.005)
    assert count(g.object_branch, g.scale) == pytest.approx(3.60, abs=0.005)
    assert count(g.background_branch) == pytest.approx(2.36, abs=0.005)
    assert count(g.renderer) == pytest.approx(0.76, abs=0.005)
    assert count(g.interaction, g.motion) == pytest.approx(0.007, abs=0.0005)
    constants = g.object_constant.numel() + g.background_constant.numel()
    assert constants == 512 * 6**2 + 256 * 16**2


def test_scenes_have_one_to_all_objects_in_their_range(scene):
    present = scene.present.sum(1)
    assert set(present.tolist()) == {1, 2, 3, 4}
    assert (scene.places[~scene.present] == PARKED).all()
    assert (scene.places[scene.present].abs() <= 0.625 + 0.5).all()


def plain_correction(relate: Relate, scene: Scene, places: Tensor, b: int, i: int) -> Tensor:
    """Γ of one object by a plain loop over the others."""

    def state(k: int) -> Tensor:
        return torch.cat((scene.objects[b, k], places[b, k], torch.zeros(2)))

    felt = torch.zeros(32)
    for j in range(scene.objects.shape[1]):
        if j != i and scene.present[b, j]:
            felt = felt + relate.generator.interaction(torch.cat((state(i), state(j))))
    shift = torch.tanh(relate.generator.motion(torch.cat((state(i), felt, scene.background[b]))))
    return (places[b, i] + 0.5 * shift).clamp(-2, 2)


@torch.no_grad()
def test_corrections_equal_a_plain_loop(relate, scene):
    places = torch.where(scene.present[..., None], 0.5 * torch.tanh(scene.places), PARKED)
    corrected = relate.generator.corrected(scene.background, scene.objects, places, scene.present)
    for b in range(6):
        for i in range(4):
            expected = plain_correction(relate, scene, places, b, i)
            wanted = expected if scene.present[b, i] else torch.full((2,), PARKED)
            torch.testing.assert_close(corrected[b, i], wanted)


@torch.no_grad()
def test_absent_objects_change_nothing(relate, scene):
    other = torch.where(scene.present[..., None], scene.objects, torch.randn(64, 4, 3))
    images = relate.generator(scene)
    torch.testing.assert_close(images, relate.generator(replace(scene, objects=other)))
    order = torch.tensor([2, 0, 3, 1])
    shuffled = Scene(
        scene.background, scene.objects[:, order], scene.places[:, order], scene.present[:, order]
    )
    torch.testing.assert_close(images, relate.generator(shuffled))
    gone = torch.full_like(scene.places, PARKED)
    assert not torch.allclose(images, relate.generator(replace(scene, places=gone)))


@torch.no_grad()
def test_single_objects_are_present_and_at_their_positions(relate, scene):
    image, place = relate._single(scene, torch.Generator().manual_seed(1))
    assert image.shape == (64, 3, 32, 32)
    same = (scene.places == place[:, None]).all(2)
    assert (same & scene.present).any(1).all()


def test_the_position_term_is_the_squared_error_of_the_guess(relate):
    """For both players, on images of one object; the discriminator's term leaves the generator."""
    random = torch.Generator().manual_seed(2)
    terms = relate.generator_terms(4, random)
    again = torch.Generator().manual_seed(2)
    scene = relate._scene(4, again)
    single, place = relate._single(scene, again)
    error = relate.discriminator(single).guess - place
    torch.testing.assert_close(terms["generator_position"], error.square().mean())
    relate.zero_grad()
    terms["generator_position"].backward()
    assert relate.generator.motion[0].weight.grad.abs().sum() > 0
    relate.zero_grad()
    judged = relate.discriminator_terms(torch.zeros(4, 3, 32, 32), random)
    judged["objective"].backward()
    assert relate.discriminator.guess.bias.grad.abs().sum() > 0
    assert all(p.grad is None for p in relate.generator.parameters())


@torch.no_grad()
def test_samples_have_all_objects_and_a_smaller_range_of_backgrounds(relate):
    seen: list[Scene] = []
    handle = relate.generator.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        images = relate.sample(50, torch.Generator().manual_seed(0))
    finally:
        handle.remove()
    assert images.shape == (50, 3, 32, 32)
    assert seen[0].present.all()
    assert 0.6 < float(seen[0].background.abs().max()) <= 0.75
    assert float(seen[0].objects.abs().max()) > 0.9


def test_adaptive_instance_normalisation_equals_its_formula():
    torch.manual_seed(0)
    layer = AdaIn(3, 5)
    x, z = torch.randn(2, 5, 4, 6), torch.randn(2, 3)
    scale, shift = F.relu(layer.style(z)).chunk(2, dim=1)
    for b in range(2):
        for c in range(5):
            plane = x[b, c]
            plain = (plane - plane.mean()) / (plane.var(unbiased=False) + 1e-5).sqrt()
            expected = scale[b, c] * plain + shift[b, c]
            torch.testing.assert_close(layer(x, z)[b, c], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spectral", [True, False])
def test_spectral_norm_is_one_for_normalised_layers(spectral):
    torch.manual_seed(0)
    critic = StyleDiscriminator(32, 4, guesses=2, spectral=spectral)
    x = torch.randn(2, 3, 32, 32)
    for _ in range(30):
        critic(x)  # power iterations
    heads = [critic.real, critic.guess] if spectral else []
    for module in (*critic.convolutions, *heads):
        largest = torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1, abs=0.05)
    lengths = [float(norm.weight.detach().norm()) for norm in critic.norms]
    assert all((abs(length - 1) < 1e-5) == spectral for length in lengths)
    judged = critic(x)
    assert len(judged.styles) == 2
    assert judged.guess.shape == (2, 2)
    assert judged.guess.abs().max() < 1


def test_sizes_of_the_style_discriminator():
    assert len(StyleDiscriminator(128, 1, 0, False).styles) == 4
    with pytest.raises(DenfError, match="power of two, got 48"):
        StyleDiscriminator(48, 1, 0, False)
