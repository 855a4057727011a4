"""SPACE: compositing and likelihood against plain loops, boundary loss, schedules, labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal
from torch.optim import Adam, RMSprop

from baselines.blocks.annealing import Ramp
from baselines.blocks.glimpse import place
from baselines.space.background import Background
from baselines.space.compositing import RIM, Objects, Rendering, boundary_loss, composite
from baselines.space.method import SpaceMethod
from baselines.space.settings import SpaceSettings
from denf.errors import DenfError
from denf.harness.method import Step

B, N, SHAPE = 2, 3, (12, 10)
GLIMPSE = SpaceSettings().glimpse
FRAME = round(RIM * GLIMPSE)


def small(**changes) -> SpaceMethod:
    torch.manual_seed(0)
    return SpaceMethod(SpaceSettings(**{"size": 16, "grid": 2, "components": 2, **changes}))


def scene(seed: int = 0, side: int = GLIMPSE):
    g = torch.Generator().manual_seed(seed)

    def u(*shape):
        return torch.rand(shape, generator=g, dtype=torch.float64)

    boxes = torch.cat((0.2 + 0.5 * u(B, N, 2), 1.6 * u(B, N, 2) - 0.8), -1)
    objects = Objects(u(B, N, 1), 4 * u(B, N, 1) - 2, boxes, u(B, N, 4))
    return u(B, N, 3, side, side), u(B, N, 1, side, side), objects


def test_published_parameter_counts():
    method = SpaceMethod(SpaceSettings())
    counts = [
        sum(p.numel() for p in m.parameters())
        for m in (method, method.foreground, method.background)
    ]
    assert [round(c / 1e6, 2) for c in counts] == [5.31, 2.36, 2.95]


def test_defaults_are_the_library_s_for_clevr():
    """config/special_cases/space-clevr.yaml on top of config/model/space.yaml."""
    s = SpaceSettings()
    assert (s.foreground_std, s.background_std) == (0.05, 0.05)
    assert s.presence_prior == Ramp(0.1, 0.01, first=4_000, last=10_000)
    assert s.scale_prior == Ramp(0.0, -1.0, first=10_000, last=20_000)
    assert s.temperature == Ramp(2.5, 0.5, first=0, last=20_000)
    assert (s.foreground_rate, s.background_rate) == (1e-4, 1e-3)
    assert s.boundary_until == 20_000
    assert s.components == 1  # the library's five masks are exactly [1, 0, 0, 0, 0]


def test_compositing_equals_a_loop_over_cells_and_pixels():
    rgb, alpha, objects = scene()
    rendering = composite(rgb, alpha, objects, SHAPE)
    for b in range(B):
        cells = []
        for n in range(N):
            seen = alpha[b, n] * objects.presence[b, n]
            depth = 100 * torch.sigmoid(-objects.depth[b, n])
            where = objects.boxes[b : b + 1, n : n + 1]
            on_canvas = [
                place(part[None, None], where, SHAPE)[0, 0]
                for part in (seen * rgb[b, n], seen, seen * depth)
            ]
            cells.append(on_canvas)
        for y in range(SHAPE[0]):
            for x in range(SHAPE[1]):
                e = [math.exp(float(importance[0, y, x])) for _, _, importance in cells]
                w = [value / sum(e) for value in e]
                colour = sum(w[n] * cells[n][0][:, y, x] for n in range(N))
                torch.testing.assert_close(rendering.image[b, :, y, x], colour)
                for n in range(N):
                    share = w[n] * cells[n][1][0, y, x]
                    torch.testing.assert_close(rendering.masks[b, n, 0, y, x], share)
    assert 0 <= rendering.alpha.min() <= rendering.alpha.max() <= 1


def test_the_nearer_of_two_objects_is_visible():
    rgb = torch.stack((torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)), 1)
    alpha = torch.ones(1, 2, 1, 8, 8)
    where = torch.tensor([[[0.8, 0.8, 0.0, 0.0]] * 2])
    for depth, seen in (((-1.0, 1.0), 0.0), ((1.0, -1.0), 1.0)):
        objects = Objects(torch.ones(1, 2, 1), torch.tensor([depth])[..., None], where, where)
        centre = composite(rgb, alpha, objects, (16, 16)).image[0, :, 8, 8]
        torch.testing.assert_close(centre, torch.full((3,), seen))


def test_boundary_loss_depends_only_on_the_frame():
    """An object in the middle of its glimpse adds nothing to the loss; one on the frame does."""
    where = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    objects = Objects(torch.ones(1, 1, 1), torch.zeros(1, 1, 1), where, where)
    side = (GLIMPSE, GLIMPSE)
    free = GLIMPSE**2 * (0.5 * math.log(2 * math.pi) + math.log(0.7))
    inside, on_rim = torch.zeros(1, 1, 1, *side), torch.ones(1, 1, 1, *side)
    inside[..., FRAME:-FRAME, FRAME:-FRAME] = 1
    on_rim[..., FRAME:-FRAME, FRAME:-FRAME] = 0
    rgb = torch.ones(1, 1, 3, *side)
    cost = [float(boundary_loss(composite(rgb, a, objects, side))) for a in (inside, on_rim)]
    assert cost[0] == pytest.approx(free, rel=1e-5)
    rim_pixels = GLIMPSE**2 - (GLIMPSE - 2 * FRAME) ** 2
    assert cost[1] - free == pytest.approx(
        rim_pixels * 0.5 * (1000 / GLIMPSE**2 / 0.7) ** 2, rel=1e-4
    )


def test_likelihood_equals_a_mixture_of_torch_distributions():
    method = small(foreground_std=0.2, background_std=0.1)
    rgb, alpha, objects = scene(1)
    rendering = composite(rgb, alpha, objects, (16, 16))
    g = torch.Generator().manual_seed(2)
    x, components = (
        torch.rand(shape, generator=g, dtype=torch.float64)
        for shape in ((B, 3, 16, 16), (B, 2, 3, 16, 16))
    )
    masks = torch.rand(B, 2, 1, 16, 16, generator=g, dtype=torch.float64).softmax(1)
    a = rendering.alpha
    background = Background(masks.log(), components, torch.zeros(B))
    found = method.log_likelihood(x, rendering, background, 0)
    behind = (masks * Normal(components, 0.1).log_prob(x[:, None]).exp()).sum(1)
    front = Normal(rendering.image, 0.2).log_prob(x).exp()
    expected = ((a + 1e-5) * front + (1 - a + 1e-5) * behind).log().sum((1, 2, 3))
    torch.testing.assert_close(found, expected)


def test_schedules_change_the_loss_with_the_step():
    """The same weights, batch and noise: only priors, temperature and boundary differ."""
    changes = {"boundary_until": 5, "foreground_rate": 1e-12, "background_rate": 1e-12}
    method = small(**changes)
    method.optimizers = method.make_optimizers()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)

    def terms(index: int) -> dict[str, float]:
        at = Step(index, 10, torch.Generator().manual_seed(0))
        return {name: float(v) for name, v in method.training_step(images, at).items()}

    before, after, late = terms(4), terms(5), terms(60_000)
    with_boundary = before["loss"] - before["boundary"]
    assert with_boundary == pytest.approx(after["loss"], rel=1e-3)
    assert before["kl_scale"] == pytest.approx(after["kl_scale"], rel=1e-3)
    assert late["kl_scale"] != pytest.approx(after["kl_scale"], rel=1e-2)
    assert late["kl_presence"] > after["kl_presence"]  # the prior has fallen from 0.5 to 0.05


def test_a_fixed_alpha_replaces_the_inferred_one_in_the_likelihood():
    """Before `fixed_alpha_until` the likelihood is that of a rendering with alpha 0.3."""
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    x = images.float() / 255
    found = []
    for index in (1, 2):
        method = small(fixed_alpha=0.3, fixed_alpha_until=2, boundary_until=0)
        method.optimizers = method.make_optimizers()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            background = method.background(x, generator)
            temperature = method.settings.temperature.at(index)
            objects, _, _ = method.foreground.infer(x, temperature, generator)
            rendering = method._render(objects)
            fixed = torch.full_like(rendering.masks[:, :1], 0.3)
            masks = fixed if index < 2 else rendering.masks
            likely = Rendering(masks, rendering.image, rendering.rims)
            expected = method.log_likelihood(x, likely, background, 9).mean()
        terms = method.training_step(images, Step(index, 9, torch.Generator().manual_seed(0)))
        torch.testing.assert_close(terms["log_likelihood"], expected)
        found.append(float(terms["log_likelihood"]))
    assert found[0] != pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize("glimpse", [16, 32])
@pytest.mark.parametrize("width", [16, 4])
def test_glimpses_have_the_side_of_the_settings(glimpse, width):
    foreground = small(glimpse=glimpse, width=width, what=5).foreground
    rgb, alpha = foreground.decode(torch.zeros(2, 4, 5))
    assert rgb.shape == (2, 4, 3, glimpse, glimpse)
    assert alpha.shape == (2, 4, 1, glimpse, glimpse)


def test_labels_are_the_cell_whose_object_covers_the_pixel(monkeypatch):
    method = small().eval()
    where = torch.tensor([[[0.4, 0.4, -0.5, -0.5], [0.4, 0.4, 0.5, 0.5]]])
    objects = Objects(torch.ones(1, 2, 1), torch.zeros(1, 2, 1), where, where)
    rgb, alpha = torch.ones(1, 2, 3, 32, 32), torch.ones(1, 2, 1, 32, 32)
    monkeypatch.setattr(
        method, "_foreground", lambda x: (objects, composite(rgb, alpha, objects, (16, 16)))
    )
    found = method.segment(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert found.labels[0, 4, 4] == found.object_labels[0, 4, 4] == 1
    assert found.labels[0, 12, 12] == found.object_labels[0, 12, 12] == 2
    assert found.labels[0, 4, 12] == found.labels[0, 12, 4] == 0
    assert found.labels[0].eq(1).sum() == found.labels[0].eq(2).sum()
    assert found.object_labels.min() == 1


def test_zero_latents_give_boxes_centred_on_their_cells():
    foreground = small().foreground
    boxes = foreground.boxes(torch.zeros(1, 4, 2), torch.zeros(1, 4, 2))
    expected = [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]]
    assert boxes[0, :, 2:].tolist() == expected
    assert boxes[0, :, :2].eq(0.5).all()


def test_images_and_grids_that_do_not_fit_are_refused():
    with pytest.raises(DenfError, match=r"16×16 pixels"):
        small().segment(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(DenfError, match="cells a side"):
        small(grid=8)


def test_the_background_is_sampled_and_inferred_in_its_range():
    method = small().eval()
    found = method.background(torch.rand(2, 3, 16, 16), torch.Generator().manual_seed(0))
    total = found.log_masks.exp().sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))
    assert (found.kl > 0).all()
    drawn = method.background.sample(2, torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 3, 16, 16)
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_a_single_background_component_covers_the_image():
    method = small(components=1).eval()
    found = method.background(torch.rand(2, 3, 16, 16), None)
    assert found.log_masks.shape == (2, 1, 1, 16, 16)
    assert found.log_masks.eq(0).all()
    torch.testing.assert_close(found.mean, found.components[:, 0])


def test_the_optimizers_are_the_published_ones():
    front, back = small().make_optimizers().values()
    assert isinstance(front, RMSprop)
    assert isinstance(back, Adam)
    assert (front.param_groups[0]["lr"], back.param_groups[0]["lr"]) == (1e-4, 1e-3)
