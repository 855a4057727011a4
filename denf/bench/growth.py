"""The case "growth": time of a training step by image size, cells, objects and batch size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from denf.data.scenes.layout import Layout
from denf.data.scenes.render import draw, scene
from denf.harness.method import Step
from denf.method import DenfMethod
from denf.model.settings import Architecture, DenfSettings, Schedule

REPETITIONS = 3


@dataclass(frozen=True)
class Point:
    """One measurement.

    Args:
        size: side of the images in pixels.
        squeezes: 1 for cells of 2×2 pixels, 2 for 4×4.
        objects: in every scene.
        batch: images per step.
        features: width of the subnets.
        couplings: per block.
    """

    size: int = 64
    squeezes: int = 1
    objects: int = 4
    batch: int = 4
    features: int = 16
    couplings: int = 4


VARIED: dict[str, Sequence[dict[str, int]]] = {
    "pixels": [{"size": size} for size in (32, 48, 64, 96)],
    "cells": [{"size": 64, "squeezes": squeezes} for squeezes in (2, 1)],
    "objects": [{"objects": objects} for objects in (3, 4, 5, 6)],
    "batch": [{"batch": batch} for batch in (1, 2, 4, 8)],
}


def bench_growth(device: torch.device, standard: Point | None = None) -> Iterator[dict[str, Any]]:
    """Seconds of a step, the least of three after one warm-up step, varying one quantity at a time.

    Args:
        device: of the steps.
        standard: the fixed quantities; images of 64 × 64 pixels in batches of 4 unless given.

    Yields:
        the varied quantity, its value, and seconds: process time on a CPU, wall time on a GPU.
    """
    for varied, changes in VARIED.items():
        for change in changes:
            point = replace(standard or Point(), **change)
            yield {
                "case": "growth",
                "varied": varied,
                "value": _value(varied, point),
                **vars(point),
                "device": device.type,
                "seconds": _seconds(point, device),
            }


def _value(varied: str, point: Point) -> int:
    values = {"pixels": point.size**2, "cells": (point.size // 2**point.squeezes) ** 2}
    return values.get(varied, getattr(point, varied, 0))


def _seconds(point: Point, device: torch.device) -> float:
    images = torch.from_numpy(_scenes(point)).permute(0, 3, 1, 2).contiguous().to(device)
    shape = Architecture(
        features=point.features, couplings=point.couplings, squeezes=point.squeezes
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = DenfMethod(
            DenfSettings(architecture=shape, schedule=Schedule(warmup_steps=0, boxes_from=0))
        )
    method.to(device).train()
    method.optimizers = method.make_optimizers()
    generator = torch.Generator(device).manual_seed(0)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times = []
    for index in range(REPETITIONS + 1):
        began = clock()
        method.training_step(images, Step(index, REPETITIONS + 1, generator))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - began)
    return min(times[1:])


def _scenes(point: Point) -> Any:
    """Pictures of the first scenes with `point.objects` objects, uint8 (B, S, S, 3)."""
    layouts: list[Layout] = []
    index = 0
    while len(layouts) < point.batch:
        layout = scene("clevr6", 0, index)
        if len(layout.factors) == point.objects:
            layouts.append(layout)
        index += 1
    return draw("clevr6", layouts, point.size).images
