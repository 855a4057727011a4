"""Aids of the adversarial methods: averaged weights, initial weights, style heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from baselines.blocks.adversarial import Adversarial
from baselines.blocks.adversarial_aids import Averaged
from baselines.blocks.style_aids import AidedStyleGame
from denf.harness.method import Step
from denf.harness.registry import make_method

SMALL: Mapping[str, dict[str, Any]] = {
    "blockgan": {"size": 16, "width": 2, "objects": 2},
    "dcgan": {"size": 16, "width": 4, "latent": 5},
    "dragan": {"size": 16, "width": 4, "latent": 5},
    "relate": {"size": 16, "width": 2, "objects": 2},
}


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str, aids: Mapping[str, Any], **changes: Any) -> Adversarial:
    torch.manual_seed(0)
    method = make_method(name, {**SMALL[name], **changes}, aids)
    assert isinstance(method, Adversarial)
    method.optimizers = method.make_optimizers()
    return method


def steps(method: Adversarial, count: int = 3) -> list[dict[str, float]]:
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=random(), dtype=torch.uint8)
    scalars = []
    for k in range(count):
        terms = method.train().training_step(images, Step(k, count, random(k)))
        scalars.append({name: float(value) for name, value in terms.items()})
        method.eval()
    return scalars


@pytest.mark.parametrize("name", SMALL)
def test_samples_use_averaged_weights_and_training_does_not(name):
    plain, averaged = made(name, {}), made(name, {"average": 0.9})
    assert isinstance(averaged, Averaged)
    for method in (plain, averaged):
        for _ in range(2):
            steps(method)
            method.sample(2, random())
    own = {key: value.clone() for key, value in averaged.generator.state_dict().items()}
    torch.testing.assert_close(own, dict(plain.generator.state_dict()), rtol=0, atol=0)
    mean = averaged.average
    assert mean is not None
    with mean.applied_to(plain.generator):
        expected = plain.draw(3, random(1))
        sampled = plain.sample(3, random(1))
    assert torch.equal(averaged.sample(3, random(1)), sampled)
    assert not torch.equal(plain.draw(3, random(1)), expected)


@pytest.mark.parametrize("name", ["blockgan", "relate"])
def test_style_heads_are_in_the_generator_loss_with_their_weight(name):
    weight = 0.7
    plain, aided = made(name, {}), made(name, {"generator_style": weight})
    assert isinstance(aided, AidedStyleGame)
    heads: list[Tensor] = []
    for head in aided.discriminator.styles:
        head.register_forward_hook(lambda _, __, output: heads.append(output))
    published = plain.eval().generator_terms(3, random())
    terms = aided.eval().generator_terms(3, random())
    count = len(aided.discriminator.styles)  # the first pass is on the complete scenes
    styles = sum(F.softplus(-head).mean() for head in heads[:count])
    torch.testing.assert_close(terms["generator_style"], styles)
    torch.testing.assert_close(terms["objective"], published["objective"] + weight * styles)
    assert "generator_style" in published  # logged, not minimised


@pytest.mark.parametrize("name", ["blockgan", "relate"])
def test_initial_weights_of_the_generator_have_the_given_standard_deviation(name):
    """Of linear layers up to the sampling error, and of convolutions, truncated at two std."""
    changes = {"width": 16, "size": 32, "object_latent": 50}
    aided, plain = (made(name, aids, **changes) for aids in ({"weight_std": 0.1}, {}))
    for (key, ours), (_, published) in zip(
        aided.named_parameters(), plain.named_parameters(), strict=True
    ):
        weight = key.startswith("generator") and key.endswith("weight")
        torch.testing.assert_close(ours, (5.0 if weight else 1.0) * published)
        if weight and ours.numel() > 5000:
            std = 0.1 if "style" in key else 0.1 * 0.88
            assert float(ours.detach().std()) == pytest.approx(std, rel=0.05)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "changes"),
    [("blockgan", {"size": 64, "width": 4}), ("relate", {"size": 32, "width": 4, "objects": 5})],
)
@pytest.mark.parametrize(("std", "alive"), [(0.02, False), (0.16, True)])
def test_narrow_networks_need_larger_initial_weights(name, changes, std, alive):
    """At the published std, a network of a sixteenth of the width generates a constant grey."""
    method = made(name, {"weight_std": std}, **changes).eval()
    assert (float(method.sample(8, random()).float().std()) > 3) == alive
