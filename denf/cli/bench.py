"""`denf bench`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_protocol

app = typer.Typer()


class BenchCase(StrEnum):
    """What `denf bench` can time."""

    ALL = "all"
    UNION = "union"
    ARI = "ari"
    RENDER = "render"
    CLEVR6 = "clevr6"
    METHODS = "methods"
    STEP = "step"
    GROWTH = "growth"


@app.command()
def bench(
    case: Annotated[BenchCase, typer.Argument(help="What to time.")] = BenchCase.ALL,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    tfrecord: Annotated[
        Path | None, typer.Option(help="CLEVR (with masks) for clevr6; default: a synthetic file.")
    ] = None,
    experiments: Annotated[Path, typer.Option(help="Experiment files for methods.")] = Path(
        "config/experiments"
    ),
    protocol: Annotated[
        Path, typer.Option(help="Settings and image sizes of methods; config/paper.yaml on a GPU.")
    ] = Path("config/config.yaml"),
    variants: Annotated[str, typer.Option(help="For step: names separated by commas.")] = "all",
    size: Annotated[int, typer.Option(help="For step: side of the images.", min=4)] = 128,
    features: Annotated[int, typer.Option(help="For step: width of the subnets.", min=2)] = 64,
    batch: Annotated[int, typer.Option(help="For step: images per step.", min=1)] = 12,
    steps: Annotated[
        int | None, typer.Option(help="For step: default 200 on a GPU, 3 on a CPU.", min=1)
    ] = None,
    _json: Annotated[bool, typer.Option("--json", help="JSON lines, as without it.")] = False,
) -> None:
    """Measure speed and memory of critical parts; one JSON line per case, method or variant.

    The case methods times a training step of every method: images per second, and memory. The case
    step compares the ways to evaluate DeNF's couplings. The case growth varies image size, cells,
    objects and batch of a step.
    """
    from denf.bench import Workload, run_cases
    from denf.harness.checkpoint import best_device

    device = best_device()
    lines = run_cases(
        case.value,
        threads,
        tfrecord=tfrecord,
        experiments=experiments,
        protocol=read_protocol(protocol),
        device=device,
        variants=variants,
        work=Workload.on(device, size, features, batch, steps, threads),
    )
    for line in lines:
        typer.echo(json.dumps(line))
