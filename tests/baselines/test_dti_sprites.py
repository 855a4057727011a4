"""DTI-Sprites: heads, encoder, placement, phases of training, restarts, labels."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import affine_grid, grid_sample
from torchvision.models import resnet18 as torchvision_resnet18

from baselines.blocks.glimpse import place
from baselines.blocks.heads import Heads, resnet18
from baselines.dti_sprites.method import DtiSprites
from baselines.dti_sprites.scene import Scene
from baselines.dti_sprites.settings import DtiSpritesSettings
from baselines.dti_sprites.transformations import boxes_of, leaky
from denf.errors import DenfError
from denf.harness.method import Step

SMALL = DtiSpritesSettings(
    size=16, layers=2, sprites=3, sprite_size=6, mask_std=2, width=4, hidden=8, learning_rate=0.01
)


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=generator)


def method_of(**changes: object) -> DtiSprites:
    torch.manual_seed(0)
    method = DtiSprites(SMALL.changed(**changes)).train()
    method.optimizers = method.make_optimizers()
    return method


def step(method: DtiSprites, images: torch.Tensor, index: int, total: int = 450) -> None:
    method.training_step(images, Step(index, total, torch.Generator().manual_seed(index)))


def test_encoder_is_torchvision_s_resnet_18():
    reference = torchvision_resnet18(weights=None).eval()
    reference.avgpool, reference.fc = nn.AdaptiveAvgPool2d(2), nn.Identity()
    encoder = resnet18(64).eval()
    values = list(reference.state_dict().values())
    own = encoder.state_dict()
    encoder.load_state_dict(dict(zip(own, values, strict=True)))
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), reference(x))


def test_heads_are_separate_networks_that_start_at_zero():
    heads, x = Heads(3, 5, 4, 2), torch.randn(6, 5)
    assert heads(x).shape == (6, 3, 2)
    assert not heads(x).any()
    nn.init.normal_(heads.weights[2])
    for n in range(3):
        h = x
        for index in range(3):
            h = h.relu() if index else h
            h = h @ heads.weights[index][n] + heads.biases[index][n]
        torch.testing.assert_close(heads(x)[:, n], h)


def test_a_sprite_starts_centred_with_half_the_image_side_and_follows_the_affine_map():
    torch.testing.assert_close(boxes_of(torch.zeros(3)), torch.tensor([0.5, 0.5, 0.0, 0.0]))
    raw, picture = torch.tensor([[[0.3, 0.4, -0.2]]]), torch.rand(1, 1, 2, 6, 6)
    theta = torch.cat(((1 + raw[..., :1].exp()) * torch.eye(2), raw[..., 1:].mT), 2)
    grid = affine_grid(theta, [1, 2, 16, 12], align_corners=False)
    expected = grid_sample(picture[0], grid, align_corners=False)
    torch.testing.assert_close(place(picture, boxes_of(raw), (16, 12))[0], expected)


def test_clamp_leaks_outside_the_unit_interval():
    x = torch.tensor([-2.0, 0.0, 0.25, 1.0, 3.0], requires_grad=True)
    torch.testing.assert_close(leaky(x), torch.tensor([-0.02, 0.0, 0.25, 1.0, 1.02]))
    leaky(x).sum().backward()
    torch.testing.assert_close(x.grad[[0, 2, 4]], torch.tensor([0.01, 1.0, 0.01]))


def test_sprites_are_frozen_at_first_and_homographies_start_later(images):
    method = method_of()
    sprites, masks = method.sprites.clone(), method.sprite_masks.clone()
    step(method, images, 0)
    # Adam's first update is at most its learning rate.
    torch.testing.assert_close(method.background, (images / 255).mean(0), rtol=0, atol=0.0101)
    step(method, images, 39)
    assert torch.equal(method.sprites, sprites)
    assert torch.equal(method.sprite_masks, masks)
    step(method, images, 149)
    assert all(p.grad is None for p in method.bend.parameters())
    assert not method.bend.weights[2].any()
    step(method, images, 150)
    assert method.bend.weights[2].grad is not None


def test_while_frozen_no_layer_is_empty_and_the_sprites_learn_later(images):
    method = method_of(empty_margin=100.0)  # an empty layer costs less than any sprite
    x, generator = images / 255, torch.Generator().manual_seed(0)
    assert (method._scene(x, frozen=True, generator=generator).choice.sum(2) == 1).all()
    assert (method._scene(x, frozen=False, generator=generator).choice == 0).all()
    method = method_of(empty_sprite=False)
    before = method.sprites.clone()
    step(method, images, 40)
    assert not torch.equal(method.sprites, before)


def test_learning_rate_falls_for_heads_and_encoder_only(images):
    method = method_of()
    for index, factor in ((249, 1.0), (250, 0.1), (399, 0.1), (400, 0.01)):
        step(method, images, index)
        prototypes, rest = method.optimizers["adam"].param_groups
        assert prototypes["lr"] == 0.01
        assert rest["lr"] == pytest.approx(0.01 * factor)
    assert (prototypes["weight_decay"], rest["weight_decay"]) == (0, 1e-6)


def test_a_rarely_used_sprite_restarts_as_a_copy_of_the_most_used(images):
    method = method_of(empty_sprite=False, projective_from=0.0, frozen_until=0.0)
    step(method, images, 1)
    with torch.no_grad():
        for parameter in (method.sprites, method.sprite_masks, *method.bend.parameters()):
            parameter.copy_(torch.randn_like(parameter))
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    # 0.2 / 3 of the most used is 6.7; the usage is equal in both layers.
    method.usage.copy_(torch.tensor([10.0, 100.0, 0.5]))
    method._restart_unused(torch.Generator().manual_seed(0))

    torch.testing.assert_close(method.sprites[2], before["sprites"][1], rtol=0, atol=1e-3)
    assert not torch.equal(method.sprites[2], method.sprites[1])
    assert torch.equal(method.sprites[0], before["sprites"][0])
    assert torch.equal(method.sprite_masks[2], before["sprite_masks"][1])
    state = method.optimizers["adam"].state
    for name, parameter in method.bend.named_parameters():
        for values in (parameter, state[parameter]["exp_avg"], state[parameter]["exp_avg_sq"]):
            by_layer = values.unflatten(0, (2, 3))
            assert torch.equal(by_layer[:, 2], by_layer[:, 1])
        kept = parameter.unflatten(0, (2, 3))[:, :2]
        assert torch.equal(kept, before[f"bend.{name}"].unflatten(0, (2, 3))[:, :2])

    method.usage.zero_()  # every layer was empty: no sprite restarts
    after = method.sprites.clone()
    method._restart_unused(torch.Generator().manual_seed(0))
    assert torch.equal(method.sprites, after)


def test_usage_in_one_random_layer_decides_about_restarts(images):
    """The sprite that is rarely used in one layer is used most in the other."""
    restarted = set()
    for seed in range(20):
        method = method_of(empty_sprite=False, frozen_until=0.0)
        step(method, images, 1)
        with torch.no_grad():
            method.sprites.copy_(torch.randn_like(method.sprites))
        before = method.sprites.detach().clone()
        method.usage.copy_(torch.tensor([[1.0, 50, 50], [50, 1, 50]]))
        method._restart_unused(torch.Generator().manual_seed(seed))
        kept = (method.sprites - before).abs().amax((1, 2, 3)) < 0.01
        restarted.add(tuple((~kept).nonzero()[:, 0].tolist()))
    assert restarted == {(0,), (1,)}


def test_usage_is_checked_and_reset_at_intervals(images):
    method = method_of(empty_sprite=False, restart_every=2)
    step(method, images, 0)
    assert method.usage.sum(1).tolist() == [3, 3]  # number of images, per layer
    step(method, images, 1)
    assert method.usage.sum() == 0


@pytest.mark.parametrize(("hides", "front"), [(0.7, 2), (0.5, 1), (0.3, 1)])
def test_labels_are_the_front_layer_and_elsewhere_the_nearest_colour(hides: float, front: int):
    """Two layers on four pixels: first, both, second, none; at a tie the first is in front."""
    masks = torch.tensor([[[1.0, 1, 0, 0], [0, 1, 1, 0]]])[:, :, None, None]
    colours = torch.tensor([0.2, 0.8]).view(1, 2, 1, 1, 1).expand(1, 2, 3, 1, 4)
    order = torch.tensor([[[0.0, 1 - hides], [hides, 0.0]]])  # `hides`: the second over the first
    light = torch.full((1, 3, 1, 4), 0.9)
    both, one = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]), torch.tensor([[[1.0, 0, 0], [0, 0, 0]]])
    for choice, last in ((both, 2), (one, 1)):
        found = Scene(light, colours, masks, order, choice).segmentation(light)
        assert found.labels.tolist() == [[[1, front, 2, 0]]]
        assert found.object_labels.tolist() == [[[1, front, 2, last]]]


def test_other_sizes_are_refused(images):
    with pytest.raises(DenfError, match="12×16"):
        method_of().segment(images[..., :12])
