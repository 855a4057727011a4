"""`denf show`: a summary of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from denf.cli.options import Run, output_file

app = typer.Typer()


@app.command()
def show(
    run: Run,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all settings, defaults included.")
    ] = False,
    panels: Annotated[
        Path | None,
        typer.Option(help="PNG file for the run's stored pictures.", callback=output_file),
    ] = None,
) -> None:
    """Print a run's facts, settings, scores and history as tables.

    For programs the same data are in run.json, experiment.yaml, metrics.json and history.csv. The
    pictures of --panels are those that `denf evaluate --panels RUN/panels.npz` stored.
    """
    from denf.show.summary import print_run

    print_run(run, everything=everything)
    if panels is not None:
        from denf.show.panels import draw_panels

        typer.echo(draw_panels(run, panels))
