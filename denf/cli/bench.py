"""`denf bench`: speed and memory."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_protocol
from denf.errors import DenfError

app = typer.Typer()


class BenchCase(StrEnum):
    """Cases of `denf bench`."""

    ALL = "all"
    UNION = "union"
    ARI = "ari"
    RENDER = "render"
    CLEVR6 = "clevr6"
    METHODS = "methods"
    STEP = "step"
    GROWTH = "growth"


def _check_even(size: int) -> int:
    if size % 2:
        raise DenfError(
            "--size",
            expected="an even number, since a cell has 2 × 2 pixels",
            got=size,
            fix="Choose another number.",
        )
    return size


@app.command()
def bench(
    case: Annotated[BenchCase, typer.Argument(help="The case to time.")] = BenchCase.ALL,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1, max=1024)] = 1,
    tfrecord: Annotated[
        Path | None, typer.Option(help="For clevr6: CLEVR with masks; default: a synthetic file.")
    ] = None,
    protocol: Annotated[
        Path,
        typer.Option(help="For methods: settings and image sizes; config/paper.yaml on a GPU."),
    ] = Path("config/config.yaml"),
    variants: Annotated[
        str, typer.Option(help="For step: names separated by commas, or all.")
    ] = "all",
    size: Annotated[
        int,
        typer.Option(
            help="For step: side of the images, even.", min=4, max=1024, callback=_check_even
        ),
    ] = 128,
    features: Annotated[int, typer.Option(help="For step: width of the subnets.", min=2)] = 64,
    batch: Annotated[int, typer.Option(help="For step: images per step.", min=1)] = 12,
    steps: Annotated[
        int | None,
        typer.Option(help="For step: training steps; default: 200 on a GPU, 3 on a CPU.", min=1),
    ] = None,
) -> None:
    """Measure time and memory; print one JSON line per case, method or variant.

    The case methods measures images per second and memory of a training step of every method. The
    case step compares the ways to evaluate DeNF's couplings. The case growth measures the cost of a
    step by image size, cells, objects and batch size.
    """
    from denf.bench import Workload, run_cases
    from denf.harness.checkpoint import best_device

    device = best_device()
    lines = run_cases(
        case.value,
        threads,
        tfrecord=tfrecord,
        protocol=read_protocol(protocol if case in (BenchCase.ALL, BenchCase.METHODS) else None),
        device=device,
        variants=variants,
        work=Workload.on(device, size, features, batch, steps, threads),
    )
    for line in lines:
        typer.echo(json.dumps(line))
