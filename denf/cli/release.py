"""`denf release`."""

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
    """Copy finished, scored runs to the folder of reference runs.

    Weights and other files over 16 MiB are left out. A run on a GPU replaces runs of its experiment
    on a CPU, but not the reverse. Prints the folders written.
    """
    from denf.harness.release import release as copy_runs

    for folder in copy_runs(runs, out):
        typer.echo(folder)
