"""`denf release`: publication of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def release(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders: <dataset>/<experiment>/seed-<k>.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the released runs.")] = Path(
        "results/reference/runs"
    ),
) -> None:
    """Copy runs that have ended and have scores, diverged ones included.

    Files over 16 MiB, such as weights of large networks, are left out. A run on a GPU replaces
    runs of its experiment on a CPU, and a run on a CPU is left out where there is one on a GPU.
    Prints the folders written.
    """
    from denf.harness.release import release as copy_runs

    for folder in copy_runs(runs, out):
        typer.echo(folder)
