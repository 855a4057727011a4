"""SPAIR: order of the cells, prior of the count, boxes, and blending against a plain loop."""

from __future__ import annotations

from itertools import product
from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.spair.count_prior import CountPrior
from baselines.spair.inference import Objects
from baselines.spair.method import SpairMethod, blend
from baselines.spair.settings import SpairSettings
from denf.errors import DenfError
from denf.harness.method import Step


def small(**changes) -> SpairMethod:
    torch.manual_seed(0)
    shrunk = {"cell": 8, "anchor": 12, "glimpse": 6, "hidden": 8, "what": 5}
    return SpairMethod(SpairSettings(**{**shrunk, **changes})).eval()


def test_cells_are_inferred_in_raster_order_given_their_earlier_neighbours():
    """A loop over a padded array of states, with 3 × 3 cells."""
    inference = small().inference
    torch.nn.init.normal_(inference.outside)
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    found = inference(x, 0.5, None)
    features = inference.backbone(x)
    padded = [[inference.outside.expand(2, -1) for _ in range(5)] for _ in range(4)]
    prior = CountPrior(9, 0.5, x)
    expected = []
    for row in range(1, 4):
        for column in range(1, 4):
            above, here = padded[row - 1], padded[row]
            around = [above[column - 1], above[column], above[column + 1], here[column - 1]]
            place = (row - 1, column - 1)
            state, latents = inference._cell(x, features[:, :, *place], around, place, prior, None)
            padded[row][column] = state
            expected.append(latents)
    for ours, theirs in zip(found, zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.stack(theirs, 1))
    # The second cell depends on the first.
    changed = [padded[0][0], padded[0][1], padded[0][2], padded[1][1] + 1]
    _, latents = inference._cell(
        x, features[:, :, 0, 1], changed, (0, 1), CountPrior(9, 0.5, x), None
    )
    assert not torch.equal(latents[1], expected[1][1])


@pytest.mark.parametrize("head", ["box_head", "depth_head"])
@torch.no_grad()
def test_features_passed_to_the_next_head_go_through_a_relu(head):
    """The values of negative raw features have no effect."""
    inference = small().inference
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    passed = getattr(inference, head)[-1].bias[-inference.settings.passed :]
    passed.fill_(-100)
    expected = inference(x, 0.5, None)
    passed.fill_(-200)
    for found, same in zip(inference(x, 0.5, None), expected, strict=True):
        assert torch.equal(found, same)
    passed.fill_(100)
    assert not torch.equal(inference(x, 0.5, None).presence, expected.presence)


@settings(max_examples=30, deadline=None)
@given(success=st.floats(0.01, 0.99))
def test_the_count_prior_is_bayes_rule_over_all_subsets(success):
    """p(z) = p(|z|) / (N choose |z|), enumerated; conditionals by sums over all later cells."""
    n = 4
    total = sum(success**c for c in range(n + 1))
    joint = {z: success ** sum(z) / total / comb(n, sum(z)) for z in product((0, 1), repeat=n)}
    for z in joint:
        prior = CountPrior(n, success, torch.zeros(1, dtype=torch.float64))
        for i in range(n):
            before = sum(p for y, p in joint.items() if y[:i] == z[:i])
            present = sum(p for y, p in joint.items() if y[: i + 1] == (*z[:i], 1))
            expected = min(max(present / before, 1e-6), 1 - 1e-6)
            assert float(prior.probability(i)) == pytest.approx(expected, rel=1e-6)
            prior.observe(torch.tensor([[float(z[i])]], dtype=torch.float64), i)


def test_the_count_prior_is_independent_between_scenes():
    prior = CountPrior(3, 0.5, torch.zeros(2))
    prior.observe(torch.tensor([[0.9], [0.2]]), 0)  # rounded
    assert prior.found.tolist() == [[1.0], [0.0]]
    one, none = prior.probability(1)[:, 0]
    assert one > none


def test_blending_equals_a_loop_over_cells():
    g = torch.Generator().manual_seed(0)
    rgb, masks, depth, background = (
        torch.rand(shape, generator=g)
        for shape in ((2, 3, 3, 4, 5), (2, 3, 1, 4, 5), (2, 3, 1), (2, 3, 4, 5))
    )
    masks[:, 1] = 0  # an absent object has the least weight, and shows the background
    found = blend(rgb, masks, depth, background)
    for b, y, x in product(range(2), range(4), range(5)):
        above, below = torch.zeros(3), 0.0
        for n in range(3):
            m = float(masks[b, n, 0, y, x])
            w = max(m / float(depth[b, n, 0]), 0.01)
            above += w * (m * rgb[b, n, :, y, x] + (1 - m) * background[b, :, y, x])
            below += w
        torch.testing.assert_close(found[b, :, y, x], above / below)


def test_the_nearer_object_has_the_smaller_depth():
    rgb = torch.stack((torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)), 1)
    seen = blend(
        rgb, torch.ones(1, 2, 1, 1, 1), torch.tensor([[[0.1], [0.9]]]), torch.zeros(1, 3, 1, 1)
    )
    torch.testing.assert_close(seen, torch.full((1, 3, 1, 1), 0.1))


def test_zero_logits_give_a_box_centred_on_its_cell():
    """Half an anchor, in the centre of cell (1, 2) of an image of 64 pixels."""
    inference = small(cell=16, anchor=24).inference
    local, box = inference.boxes(torch.zeros(1, 4), (1, 2), 64)
    assert local.tolist() == [[0.5, 0.5, 0.5, 0.5]]
    centre = [2 * (2.5 * 16 / 64) - 1, 2 * (1.5 * 16 / 64) - 1]
    assert box[0].tolist() == pytest.approx([12 / 64, 12 / 64, *centre])
    far, _ = inference.boxes(torch.tensor([[0.0, 0.0, -50.0, 50.0]]), (1, 2), 64)
    assert far[0, 2:].tolist() == pytest.approx([-0.5, 1.5])


def test_training_wheels_stop_gradients_of_presence_boxes_and_depth_only():
    """Gradients of one step: with training wheels, heads have none; glimpses and background do."""
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    for wheels in (True, False):
        method = small(training_wheels=5).train()
        method.optimizers = method.make_optimizers()
        step = Step(4 if wheels else 5, 9, torch.Generator().manual_seed(0))
        method.training_step(images, step)
        inference = method.inference

        def moved(module: torch.nn.Module) -> bool:
            grads = [p.grad for p in module.parameters()]
            return any(g is not None and bool(g.abs().sum() > 0) for g in grads)

        assert moved(inference.encoder)
        assert moved(method.decoder)
        assert moved(method.background)
        for head in (inference.box_head, inference.depth_head, inference.presence_head):
            assert moved(head) is not wheels


@pytest.mark.parametrize("beta", [0.5, 2.7])
def test_the_weight_multiplies_the_divergences_of_objects(beta):
    method = small(beta=beta).train()
    method.optimizers = method.make_optimizers()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    at = Step(0, 10, torch.Generator().manual_seed(0))
    terms = {name: float(v) for name, v in method.training_step(images, at).items()}
    objects = sum(terms[f"kl_{name}"] for name in ("presence", "where", "depth", "what"))
    expected = -terms["log_likelihood"] + beta * objects + terms["kl_background"]
    assert terms["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_large_bias_makes_objects_opaque():
    seen = {}
    for bias in (0.0, 5.0):
        method = small(alpha_bias=bias)
        objects = method.inference(torch.rand(1, 3, 16, 16), 0.5, None)
        whole = objects._replace(presence=torch.ones_like(objects.presence))
        seen[bias] = method._render(whole, torch.zeros(1, 3, 16, 16))[1].amax()
    assert seen[0.0] < 0.7 < 0.98 < seen[5.0]


def test_labels_follow_the_placed_masks(monkeypatch):
    method = small()
    one = torch.zeros(1, 2)
    objects = Objects(
        presence=torch.tensor([[[1.0], [1.0]]]),
        boxes=torch.tensor([[[0.4, 0.4, -0.5, -0.5], [0.4, 0.4, 0.5, 0.5]]]),
        depth=torch.full((1, 2, 1), 0.5),
        what=torch.zeros(1, 2, 5),
        kl_presence=one, kl_where=one, kl_depth=one, kl_what=one,
    )  # fmt: skip
    monkeypatch.setattr(method.inference, "forward", lambda *_: objects)
    torch.nn.init.zeros_(method.decoder.layers[-1].weight)
    torch.nn.init.constant_(method.decoder.layers[-1].bias, 5)  # alpha 0.993
    found = method.segment(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert found.labels[0, 4, 4] == 1
    assert found.labels[0, 12, 12] == 2
    assert found.labels[0, 4, 12] == found.labels[0, 12, 4] == 0


def test_images_that_the_cells_do_not_divide_are_refused():
    with pytest.raises(DenfError, match="that 8 divides"):
        small().segment(torch.zeros(1, 3, 20, 20, dtype=torch.uint8))
