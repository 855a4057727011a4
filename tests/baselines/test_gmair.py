"""GMAIR: mixture prior against torch.distributions, compositing against a loop, schedules."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from baselines.blocks.gaussian import DiagonalGaussian
from baselines.blocks.glimpse import place
from baselines.gmair.compositing import composite
from baselines.gmair.inference import GmairInference, MixturePrior, Objects
from baselines.gmair.method import GmairMethod
from baselines.gmair.networks import GLIMPSE
from baselines.gmair.settings import GmairSettings
from denf.errors import DenfError
from denf.harness.method import Step


@pytest.fixture(scope="module")
def method() -> GmairMethod:
    torch.manual_seed(0)
    return GmairMethod(GmairSettings(size=16, largest=9, what=6, clusters=3))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def scene(side: int = 8) -> tuple[torch.Tensor, Objects]:
    g = generator()
    boxes = torch.cat((0.2 + 0.5 * torch.rand(2, 3, 2, generator=g),
                       1.6 * torch.rand(2, 3, 2, generator=g) - 0.8), -1)  # fmt: skip
    presence, depth = torch.rand(2, 2, 3, 1, generator=g)
    decoded = torch.rand(2, 3, 4, side, side, generator=g)
    return decoded, Objects(presence, boxes, 4 * depth, torch.zeros(2, 3, 6), torch.zeros(2, 3), {})


def test_divergences_of_the_mixture_equal_torch_distributions():
    torch.manual_seed(1)
    prior = MixturePrior(clusters=4, what=5)
    logits, mean = torch.randn(2, 3, 4), torch.randn(2, 3, 5)
    std = 0.1 + torch.rand(2, 3, 5)
    cluster = logits.softmax(-1)
    expected = kl_divergence(
        Normal(mean, std),
        Normal(prior.mean(cluster), torch.nn.functional.softplus(prior.raw_std(cluster))),
    )
    torch.testing.assert_close(DiagonalGaussian(mean, std).kl(prior.what(cluster)), expected)
    expected = kl_divergence(Categorical(logits=logits), Categorical(torch.full((4,), 0.25)))
    torch.testing.assert_close(prior.kl_cluster(logits), expected)


def test_a_one_hot_cluster_has_its_own_gaussian():
    prior = MixturePrior(clusters=3, what=2)
    for k, row in enumerate(torch.eye(3)):
        chosen = prior.what(row)
        torch.testing.assert_close(chosen.mean, prior.mean.weight[:, k] + prior.mean.bias)


def test_divergences_are_weighted_by_presence(method):
    """With presence near 0, only the divergence of presence is not 0."""
    head = method.inference.heads["presence"][-1]
    x = torch.rand(2, 3, 16, 16, generator=generator())
    with torch.no_grad():
        bias = head.bias.clone()
        head.bias.fill_(-40)
        absent = method.inference(x, 0.5, generator())
        head.bias.copy_(bias)
        present = method.inference(x, 0.5, generator())
    free, paid = absent.kl(), present.kl()
    assert list(paid) == ["presence", "cluster", "where", "depth", "what"]
    for name in ("cluster", "where", "depth", "what"):
        assert abs(free[name]) < 1e-6
        whole = present.kl_object[name].sum(2)
        expected = (present.presence[..., 0] * whole).sum(1).mean()
        torch.testing.assert_close(paid[name], expected)
        assert paid[name] > 0
    torch.testing.assert_close(absent.kl_presence, torch.full((2, 16), math.log(2)))


def test_compositing_equals_a_loop_over_cells_and_pixels():
    decoded, objects = scene()
    shape = (6, 7)
    found = composite(decoded, objects, shape)
    overlap = torch.zeros(2)
    for b in range(2):
        layers = []
        for n in range(3):
            alpha = decoded[b, n, 3:] * objects.presence[b, n]
            importance = (alpha * objects.depth[b, n]).clamp(min=1e-4)
            parts = torch.cat((decoded[b, n, :3], alpha, importance))
            where = objects.boxes[b : b + 1, n : n + 1]
            layers.append(place(parts[None, None], where, shape)[0, 0])
        for y, x in product(range(6), range(7)):
            pixels = [layer[:, y, x] for layer in layers]
            total = sum(p[4] + 1e-9 for p in pixels)
            colour = torch.zeros(3)
            for n, p in enumerate(pixels):
                share = p[3] * (p[4] + 1e-9) / total
                torch.testing.assert_close(found.shares[b, n, 0, y, x], share)
                colour += share * p[:3]
            torch.testing.assert_close(found.image[b, :, y, x], colour)
            drawn = [float((p[3] * p[:3]).mean()) for p in pixels]
            overlap[b] += sum(drawn) - max(drawn)
    torch.testing.assert_close(found.overlap, overlap)
    assert found.shares.sum(1).max() <= 1 + 1e-6


def plain(decoded, objects, shape):
    """Image, shares and overlap by autograd's own operations."""
    rgb, alpha = decoded.split((3, 1), 2)
    alpha = alpha * objects.presence[..., None, None]
    importance = (alpha * objects.depth[..., None, None]).clamp(min=1e-4)
    placed = place(torch.cat((rgb, alpha, importance), 2), objects.boxes, shape)
    rgb, alpha, importance = placed.split((3, 1, 1), 2)
    importance = importance + 1e-9
    shares = alpha * importance / importance.sum(1, keepdim=True)
    drawn = (alpha * rgb).mean(2)
    return (shares * rgb).sum(1), shares, (drawn.sum(1) - drawn.amax(1)).sum((1, 2))


@pytest.mark.parametrize("twins", [False, True])
@pytest.mark.parametrize("all_objects", [False, True])
def test_compositing_equals_autograd_in_values_and_gradients(twins, all_objects):
    """With twins, two objects are equal, and both attain the maximum where they are brightest. The
    gradient of shares is that of their sum, one number per pixel, or differs between objects."""
    decoded, objects = scene()
    decoded, boxes, presence, depth = (
        x.double() for x in (decoded, objects.boxes, objects.presence, objects.depth)
    )
    if twins:
        for x in (decoded, boxes, presence, depth):
            x[:, 1] = x[:, 0]
    leaves = [x.requires_grad_() for x in (decoded, boxes, presence, depth)]
    objects = objects._replace(boxes=boxes, presence=presence, depth=depth)
    g, results = generator(), []
    weights = [torch.randn(2, *rest, generator=g, dtype=torch.float64)
               for rest in ((3, 6, 7), (3 if all_objects else 1, 1, 6, 7), ())]  # fmt: skip
    for form in (composite, plain):
        image, shares, overlap = form(decoded, objects, (6, 7))
        outputs = (image, shares if all_objects else shares.sum(1, keepdim=True), overlap)
        total = sum((w * x).sum() for w, x in zip(weights, outputs, strict=True))
        results.append((image, shares, overlap, *torch.autograd.grad(total, leaves)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_gradients_of_compositing_equal_differences():
    decoded, objects = scene(4)
    leaves = decoded, objects.boxes, objects.presence, objects.depth

    def rendered(decoded, boxes, presence, depth):
        changed = objects._replace(boxes=boxes, presence=presence, depth=depth)
        return tuple(composite(decoded, changed, (6, 7)))

    assert torch.autograd.gradcheck(rendered, [x.double().requires_grad_() for x in leaves])


def test_separate_objects_do_not_overlap_and_equal_ones_do():
    decoded = torch.ones(1, 2, 4, 8, 8)
    one = torch.ones(1, 2, 1)
    apart = torch.tensor([[[0.3, 0.3, -0.5, 0.0], [0.3, 0.3, 0.5, 0.0]]])
    same = apart[:, :1].expand(-1, 2, -1)
    free, double = (
        composite(decoded, Objects(one, boxes, one, one, one[..., 0], {}), (16, 16))
        for boxes in (apart, same)
    )
    assert float(free.overlap) == pytest.approx(0, abs=1e-6)
    drawn = place(decoded[:, :1, :1], same[:, :1], (16, 16)).square().sum()  # alpha · colour
    assert float(double.overlap) == pytest.approx(float(drawn), rel=1e-5)


def test_the_prior_of_presence_falls_from_one_to_its_floor(method):
    assert method.presence_prior(0) == pytest.approx(1, abs=1e-8)
    assert method.presence_prior(100) == pytest.approx(math.exp(-1))
    assert method.presence_prior(10**6) == 6e-6


def test_the_overlap_term_ends(method):
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=generator())
    short = GmairMethod(GmairSettings(size=16, largest=9, what=6, overlap_until=1, rate=1e-12,
                                      glimpse_rate=1e-12, presence_decay=1e-9))  # fmt: skip
    short.optimizers = short.make_optimizers()
    first, second = (
        {k: float(v) for k, v in short.training_step(images, Step(i, 2, generator())).items()}
        for i in range(2)
    )
    assert first["overlap"] > 1
    assert first["loss"] - second["loss"] == pytest.approx(2 * first["overlap"], rel=1e-2)


def test_centres_are_in_their_cells_and_boxes_at_most_the_largest(method):
    inference: GmairInference = method.inference
    zero = inference.boxes(torch.zeros(1, 16, 4))
    assert zero[0, 0].tolist() == pytest.approx([4.5 / 16, 4.5 / 16, -0.75, -0.75])
    assert zero[0, 6].tolist() == pytest.approx([4.5 / 16, 4.5 / 16, 0.25, -0.25])
    far = inference.boxes(torch.full((1, 16, 4), 50.0))
    assert far[0, 0].tolist() == pytest.approx([9 / 16, 9 / 16, -0.5, -0.5])


@pytest.mark.parametrize(("size", "grid"), [(128, 16), (64, 8), (16, 4)])
def test_the_grid_equals_that_of_the_backbone(size, grid):
    settings = GmairSettings(size=size, what=2)
    assert settings.grid == grid
    inference = GmairInference(settings).eval()
    assert inference.backbone(torch.zeros(1, 3, size, size)).shape == (1, 64, grid, grid)


def test_sprites_fit_the_glimpses_and_other_images_are_refused(method):
    assert method.decoder(torch.zeros(2, 6)).shape == (2, 4, GLIMPSE, GLIMPSE)
    with pytest.raises(DenfError, match="16×16 pixels"):
        method.segment(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
