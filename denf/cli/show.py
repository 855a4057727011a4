"""`denf show`: a run at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from denf.cli.options import Run

app = typer.Typer()


@app.command()
def show(
    run: Run,
    everything: Annotated[
        bool, typer.Option("--all", help="All settings, including defaults.")
    ] = False,
    panels: Annotated[
        Path | None, typer.Option(help="PNG file for a drawing of the run's stored pictures.")
    ] = None,
) -> None:
    """Print a run's facts, settings, scores and history as tables for people.

    Programs read the files themselves: run.json, experiment.yaml, metrics.json, history.csv. The
    pictures of --panels are those that `denf evaluate --panels RUN/panels.npz` stored.
    """
    from denf.show.summary import print_run

    print_run(run, everything=everything)
    if panels is not None:
        from denf.show.panels import draw_panels

        typer.echo(draw_panels(run, panels))
