"""Speed and memory of a training step of every method, at one size and under one protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from denf.harness.checkpoint import build
from denf.harness.experiment import Experiment, Group, load_experiments
from denf.harness.method import Step
from denf.harness.plan import chosen_experiments
from denf.harness.protocol import check_protocol
from denf.harness.train import start_training

REPETITIONS = 3


def bench_methods(
    folder: Path, protocol: Mapping[str, Any], device: torch.device
) -> Iterator[dict[str, Any]]:
    """Time a step of every experiment of a protocol that trains, except ablations; one row each.

    Args:
        folder: of the experiment files.
        protocol: its experiments, overrides and image sizes apply.
        device: where the steps run.

    Yields:
        experiment, method, size, batch, parameters, seconds of the fastest of three steps after one
        warm-up step, images per second, and the peak in bytes that torch allocated during a step
        beyond what was allocated before it (parameters, moments); JSON-able.
    """
    checked = check_protocol(protocol, where="protocol")
    known = load_experiments(folder, protocol)
    for experiment in chosen_experiments(checked, known, where="protocol"):
        trains = experiment.training.steps != 0 and experiment.group is not Group.ABLATION
        if trains:
            size = int(protocol["datasets"][experiment.dataset]["size"])
            yield {
                "case": "methods",
                "experiment": experiment.name,
                **_step(experiment, size, device),
            }


def _step(experiment: Experiment, size: int, device: torch.device) -> dict[str, Any]:
    method = start_training(build(experiment, seed=0), device)
    batch = experiment.training.batch_size
    generator = torch.Generator(device).manual_seed(0)
    images = torch.randint(
        0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8, device=device
    )
    index = 0

    def step() -> Tensor:
        nonlocal index
        index += 1
        total = max(1, experiment.training.steps or index)
        loss = method.training_step(images, Step(min(index, total) - 1, total, generator))["loss"]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return loss

    step()
    seconds = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return {
        "method": experiment.method,
        "size": size,
        "batch": batch,
        "device": device.type,
        "settings": {k: experiment.settings.get(k) for k in ("precision", "graph")},
        "parameters": sum(p.numel() for p in method.parameters()),
        "seconds": min(seconds),
        "images_per_second": batch / min(seconds),
        "step_peak_bytes": peak_bytes(step, device),
    }


def peak_bytes(run: Callable[[], Any], device: torch.device) -> int:
    """Largest number of bytes that torch held allocated at once during `run`."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device)) - before
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
