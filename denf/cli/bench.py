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
        Path, typer.Option(help="Their settings and image sizes; config/paper.yaml on a GPU.")
    ] = Path("config/config.yaml"),
) -> None:
    """Time and weigh what must be fast; one JSON line a case, or a method.

    The case methods times a training step of every method: images a second, and memory.
    """
    from denf.bench import run_cases
    from denf.harness.checkpoint import best_device

    lines = run_cases(
        case.value,
        threads,
        tfrecord=tfrecord,
        experiments=experiments,
        protocol=read_protocol(protocol),
        device=best_device(),
    )
    for line in lines:
        typer.echo(json.dumps(line))
