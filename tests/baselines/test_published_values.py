"""Stored values of every method at its published settings: two training steps in float64.

This file wrote the values in `published_values.json`. A refactoring must not change them. After a
deliberate change of a method's computation, write them again and give the reason in the commit:

    uv run python tests/baselines/test_published_values.py [METHOD ...]

Settings are the defaults, which are the published ones, except for those in `SMALLER`: the size of
the images and settings that depend on it. DeNF has smaller networks too, and draws all of z_bg.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.blocks.mixture import MixtureMethod
from denf.harness.method import Capability, Method, Step
from denf.harness.registry import make_method, method_names

FILE = Path(__file__).with_name("published_values.json")
RELATIVE = 1e-9
# Adam turns a gradient as small as a rounding error into a full step, and processors round
# differently: between AVX2 and AVX-512, later losses and predictions differ by 1e-6, and later
# gradients by up to 4e-3, so that those of the first step alone are stored.
AFTER_UPDATES = 1e-5
# A ReLU in GMAIR's encoder gets -1e-6 after the first update; if it opens, values differ by 3.4e-5.
LOOSER = {"gmair": 1e-4}
BATCH, STEPS, SAMPLES = 2, 2, 2
SIDE = 32  # of the images in pixels, for methods that are not in `SIDES`
SIDES: Mapping[str, int] = {"iodine": 16, "slot-attention": 16}
SIZED = ("blockgan", "dcgan", "dragan", "dti-sprites", "genesis", "genesis-v2", "gmair", "monet")
SMALLER: Mapping[str, Mapping[str, Any]] = {
    **{name: {"size": SIDE} for name in (*SIZED, "relate")},
    # With initial weights every cell is near a present one, so that nothing of z_bg would be drawn.
    "denf": {"architecture": {"features": 8, "couplings": 1}, "background": {"fill": "none"}},
    "space": {"size": SIDE, "grid": 4},
}


@contextmanager
def double_precision() -> Iterator[None]:
    """Parameters, images and noise in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def pictures(side: int) -> tuple[Tensor, Tensor]:
    """Discs on a brightness gradient: uint8 images (B, 3, side, side), masks (B, side, side)."""
    generator = torch.Generator().manual_seed(0)
    axis = (torch.arange(side) + 0.5) / side
    images = (0.4 + 0.3 * axis)[:, None].expand(BATCH, 3, side, side).clone()
    masks = torch.zeros(BATCH, side, side, dtype=torch.uint8)
    for b in range(BATCH):
        for k in range(3):
            x, y, radius, *colour = torch.rand(6, generator=generator).tolist()
            distance = (axis - x).square() + (axis[:, None] - y).square()
            disc = distance < (0.08 + 0.1 * radius) ** 2
            masks[b][disc] = k + 1
            images[b][:, disc] = torch.tensor(colour)[:, None]
    return (255 * images).round().to(torch.uint8), masks


def published_values(name: str) -> dict[str, Any]:
    """Scalars of two steps, gradient norms of the first, and predictions for two images."""
    images, masks = pictures(SIDES.get(name, SIDE))
    with double_precision(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = make_method(name, SMALLER.get(name, {}), {}).double().train()
        method.optimizers = method.make_optimizers()
        steps = [_step(method, images, index) for index in range(STEPS)]
        with torch.no_grad():
            return {"steps": steps, **_answers(method.eval(), images, masks)}


def _step(method: Method, images: Tensor, index: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(100 + index)
    scalars = method.training_step(images, Step(index, STEPS, generator))
    if index:
        return {"scalars": {k: float(v) for k, v in scalars.items() if k != "gradient_norm"}}
    gradients = {
        part: float(sum(p.grad.square().sum() for p in module.parameters() if p.grad is not None))
        for part, module in method.named_children()
        if any(True for _ in module.parameters())
    }
    return {
        "scalars": {key: float(value) for key, value in scalars.items()},
        "squared_gradients": gradients,
    }


def _answers(method: Method, images: Tensor, masks: Tensor) -> dict[str, Any]:
    can, found = method.capabilities, {}
    generator = torch.Generator().manual_seed(0)
    if Capability.SEGMENT in can:
        found["labels"] = method.segment(images, masks).labels.sum((1, 2)).tolist()
    if isinstance(method, MixtureMethod):
        found["masks"] = method.decompose(images).masks[0, :, 0, 5, ::13].flatten().tolist()
    if Capability.RECONSTRUCT in can:
        found["reconstruction"] = method.reconstruct(images)[0, :, 5, ::13].flatten().tolist()
    if Capability.BACKGROUND in can:
        found["background"] = method.without_objects(images).sum((1, 2, 3)).tolist()
    if Capability.BOXES in can:
        found["boxes"] = method.boxes(images).boxes.sum((1, 2)).tolist()
    if Capability.LOG_PROB in can:
        found["log_prob"] = method.log_prob(images).tolist()
    if Capability.SAMPLE in can:
        found["samples"] = method.sample(SAMPLES, generator).long().sum((1, 2, 3)).tolist()
    if Capability.RECOMPOSE in can:
        found["recomposed"] = method.recompose(images, generator).long().sum((1, 2, 3)).tolist()
    return found


def _compare(found: object, frozen: object, where: str, tolerance: float) -> None:
    if isinstance(frozen, dict):
        assert isinstance(found, dict)
        assert found.keys() == frozen.keys(), where
        for key, value in frozen.items():
            _compare(found[key], value, f"{where}.{key}", tolerance)
    elif isinstance(frozen, list):
        assert isinstance(found, list)
        assert len(found) == len(frozen), where
        for index, value in enumerate(frozen):
            _compare(found[index], value, f"{where}[{index}]", tolerance)
    else:
        assert found == pytest.approx(frozen, rel=tolerance, abs=1e-15), where


@pytest.mark.parametrize("name", method_names())
def test_values_at_published_settings_equal_the_stored_ones(name):
    frozen = json.loads(FILE.read_text())
    found, expected = published_values(name), frozen[name]
    _compare(found["steps"].pop(0), expected["steps"].pop(0), f"{name}, step 0", RELATIVE)
    _compare(found, expected, f"{name}, after updates", LOOSER.get(name, AFTER_UPDATES))


def main(names: list[str]) -> None:
    """Write the values of these methods, or of all, into `FILE`."""
    values = json.loads(FILE.read_text()) if names else {}
    for name in names or method_names():
        values[name] = published_values(name)
    temporary = FILE.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    temporary.replace(FILE)


if __name__ == "__main__":
    main(sys.argv[1:])
