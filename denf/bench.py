"""Speed and memory of what must be fast, against the plain ways of doing it."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from denf.data.bench import bench_clevr6
from denf.harness.method import Step
from denf.metrics.bench import bench_ari
from denf.model.boxes import box_union
from denf.model.settings import Architecture, BoxUnion, DenfSettings

BATCH, CELLS = 12, 64  # the paper's batch and map


def run_cases(case: str, threads: int, tfrecord: Path | None = None) -> Iterator[dict[str, Any]]:
    """Run one case, or all, yielding a JSON-able line each.

    Args:
        case: its name, or "all".
        threads: of torch.
        tfrecord: file of CLEVR with masks for the case "clevr6"; None: a synthetic one.
    """
    torch.set_num_threads(threads)
    cases: dict[str, Callable[[], dict[str, Any]]] = {
        "union": bench_union,
        "ari": bench_ari,
        "render": bench_render,
        "step": bench_step,
        "clevr6": partial(bench_clevr6, tfrecord),
    }
    for name, run in cases.items():
        if case in ("all", name):
            yield {**run(), "threads": threads, "torch": torch.__version__}


def bench_union() -> dict[str, Any]:
    """Box union (Eq. 12), forward and backward: the separable product against `grid_sample`.

    The sampler's way places a glimpse of ones for every cell: N maps of h × w a scene. It is timed
    on one scene and scaled to the batch, since the batch would not fit into most machines.
    """
    n = CELLS * CELLS
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(BATCH, n, generator=generator)
    centres = torch.rand(BATCH, n, 2, generator=generator)
    sizes = 0.1 + 0.2 * torch.rand(BATCH, n, 2, generator=generator)

    def separable() -> Tensor:
        present, at, extent = (t.clone().requires_grad_() for t in (p, centres, sizes))
        union = box_union(present, at, extent, (CELLS, CELLS), 0.01, BoxUnion.SMOOTH)
        union.sum().backward()
        return union

    def sampler() -> Tensor:
        inputs = [t[:1].clone().requires_grad_() for t in (p, centres, sizes)]
        union = sampler_union(*inputs)
        union.sum().backward()
        return union

    ours, theirs = _best(separable, 5), _best(sampler, 1) * BATCH
    our_peak, their_peak = _peak(separable), _peak(sampler) * BATCH
    return {
        "case": "union",
        "cells": n,
        "batch": BATCH,
        "seconds": ours,
        "grid_sample_seconds": theirs,
        "speed_up": theirs / ours,
        "peak_bytes": our_peak,
        "grid_sample_peak_bytes": their_peak,
        "memory_ratio": their_peak / our_peak,
    }


def sampler_union(p: Tensor, centres: Tensor, sizes: Tensor) -> Tensor:
    """1 − exp(−Σ) with one `grid_sample` map a box (B, N): the reference that is timed."""
    b, n = p.shape
    scale = (1 / sizes).flip(-1)  # x before y, as affine_grid has it
    shift = (-(2 * centres - 1) / sizes).flip(-1)
    theta = torch.diag_embed(scale.reshape(b * n, 2))
    theta = torch.cat((theta, shift.reshape(b * n, 2, 1)), -1)
    grid = functional.affine_grid(theta, [b * n, 1, CELLS, CELLS], align_corners=False)
    glimpse = torch.ones(1, 1, 8, 8).expand(b * n, -1, -1, -1)
    maps = functional.grid_sample(glimpse, grid, align_corners=False).view(b, n, CELLS, CELLS)
    return -torch.expm1(-(p[..., None, None] * maps).sum(1))


def bench_render() -> dict[str, Any]:
    """Embedded scenes a second at 64 × 64 in one process, files included."""
    from denf.data.scenes.render import render

    line: dict[str, Any] = {"case": "render", "size": 64, "count": 64}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("clevr6", "traffic"):
            began = time.perf_counter()
            render(kind, count=64, size=64, seed=0, out=Path(folder) / kind)
            line[f"{kind}_scenes_per_second"] = 64 / (time.perf_counter() - began)
    return line


def bench_step() -> dict[str, Any]:
    """A training step of DeNF at the embedded protocol's size."""
    from denf.method import DenfMethod

    method = DenfMethod(DenfSettings(architecture=Architecture(features=16)))
    method.optimizers = method.make_optimizers()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, 64, 64), generator=generator, dtype=torch.uint8)

    def step() -> Tensor:
        return method.training_step(images, Step(100, 250, generator))["loss"]

    seconds = _best(step, 3)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "case": "step",
        "size": 64,
        "batch": 8,
        "features": 16,
        "seconds": seconds,
        "images_per_second": 8 / seconds,
        "process_peak_kilobytes": memory,
    }


def _best(run: Callable[[], Any], repetitions: int) -> float:
    """Seconds of the fastest of some repetitions after one to warm up."""
    run()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def _peak(run: Callable[[], Any]) -> int:
    """Largest sum of bytes that torch held at once during `run`, on the CPU."""
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as recorded:
        run()
    held = peak = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak
