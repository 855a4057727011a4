"""`denf decompose`: pictures of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.options import Run

app = typer.Typer()


@app.command()
def decompose(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Pictures to decompose.")],
    out: Annotated[Path, typer.Option(help="Folder; one subfolder per picture.")],
) -> None:
    """Decompose your own pictures into background and objects.

    Writes an overlay of outlines and boxes, a label map, the background, one picture of each object
    on it, and objects.json; prints what was found as JSON. The largest centred square of a picture
    is taken.
    """
    from denf.harness.checkpoint import best_device, load_run
    from denf.pictures import decompose_pictures

    method, _ = load_run(run, best_device())
    typer.echo(json.dumps(decompose_pictures(method, images, out), indent=2))
