"""Speed and memory of critical parts, compared with plain implementations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from denf.bench.growth import bench_growth
from denf.bench.step import bench_step
from denf.bench.variants import Workload
from denf.data.bench import bench_clevr6
from denf.harness.bench import bench_methods, peak_bytes
from denf.harness.protocol import EXPERIMENTS
from denf.metrics.bench import bench_ari
from denf.model.boxes import box_union
from denf.model.settings import BoxUnion

BATCH, CELLS = 12, 64  # the paper's batch and map


def run_cases(
    case: str,
    threads: int,
    *,
    tfrecord: Path | None,
    protocol: Mapping[str, Any],
    device: torch.device,
    variants: str,
    work: Workload,
) -> Iterator[dict[str, Any]]:
    """Run one case, or all, yielding JSON-able lines.

    Args:
        case: its name, or "all".
        threads: of torch.
        tfrecord: file of CLEVR with masks for the case "clevr6"; None: a synthetic one.
        protocol: settings, image sizes and experiments of the case "methods".
        device: of the methods.
        variants: names for the case "step", or "all".
        work: of the case "step".
    """
    torch.set_num_threads(threads)
    cases: dict[str, Callable[[], Iterable[dict[str, Any]]]] = {
        "union": lambda: [bench_union()],
        "ari": lambda: [bench_ari()],
        "render": lambda: [bench_render()],
        "clevr6": lambda: [bench_clevr6(tfrecord)],
        "methods": lambda: bench_methods(
            Path(protocol.get("experiments", EXPERIMENTS)), protocol, device
        ),
        "step": lambda: bench_step(variants, work),
        "growth": lambda: bench_growth(device),
    }
    for name, run in cases.items():
        if case in ("all", name):
            for line in run():
                yield {**line, "threads": threads, "torch": torch.__version__}


def bench_union() -> dict[str, Any]:
    """Box union (Eq. 12), forward and backward: the separable product against `grid_sample`.

    The sampler places a glimpse of ones for every cell: N maps of h × w per scene. It is timed on
    one scene and scaled to the batch, since the batch would not fit into most machines.
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

    cpu = torch.device("cpu")
    ours, theirs = _best(separable, 5), _best(sampler, 1) * BATCH
    our_peak, their_peak = peak_bytes(separable, cpu), peak_bytes(sampler, cpu) * BATCH
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
    """1 − exp(−Σ) with one `grid_sample` map per box (B, N): the reference that is timed."""
    b, n = p.shape
    scale = (1 / sizes).flip(-1)  # x before y, as in affine_grid
    shift = (-(2 * centres - 1) / sizes).flip(-1)
    theta = torch.diag_embed(scale.reshape(b * n, 2))
    theta = torch.cat((theta, shift.reshape(b * n, 2, 1)), -1)
    grid = functional.affine_grid(theta, [b * n, 1, CELLS, CELLS], align_corners=False)
    glimpse = torch.ones(1, 1, 8, 8).expand(b * n, -1, -1, -1)
    maps = functional.grid_sample(glimpse, grid, align_corners=False).view(b, n, CELLS, CELLS)
    return -torch.expm1(-(p[..., None, None] * maps).sum(1))


def bench_render() -> dict[str, Any]:
    """Embedded scenes per second at 64 × 64 in one process, including writing."""
    from denf.data.scenes.render import render

    line: dict[str, Any] = {"case": "render", "size": 64, "count": 64}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("clevr6", "traffic"):
            began = time.perf_counter()
            render(kind, count=64, size=64, seed=0, out=Path(folder) / kind)
            line[f"{kind}_scenes_per_second"] = 64 / (time.perf_counter() - began)
    return line


def _best(run: Callable[[], Any], repetitions: int) -> float:
    """Seconds of the fastest of some repetitions after one warm-up repetition."""
    run()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)
