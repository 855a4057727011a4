"""`denf decompose`: decomposing a user's own pictures."""

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
    images: Annotated[list[Path], typer.Argument(help="Pictures, and folders of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder; one subfolder per picture.")],
    clip: Annotated[
        bool, typer.Option("--clip", help="The pictures of a folder are the frames of a clip.")
    ] = False,
) -> None:
    """Decompose your own pictures into background and objects.

    Writes an overlay of outlines and boxes, a label map, the background, each object on it and cut
    out of the picture, and objects.json; for an animated picture or a clip, an animated overlay and
    objects.json. Prints the results as JSON. The largest centred square of a picture is used; any
    kind of PNG, JPEG, WebP, BMP, TIFF or GIF file is converted to 8-bit RGB. Pictures that cannot
    be decomposed are listed at the end, and the exit status is 1.
    """
    from denf.pictures.batch import decompose_sources
    from denf.pictures.run import load
    from denf.pictures.sources import find_sources

    sources = find_sources(images, clips=clip)
    entries, errors = decompose_sources(load(run), sources, out)
    typer.echo(json.dumps(entries, indent=2))
    if errors:
        typer.echo(f"denf: {len(errors)} of {len(sources)} could not be decomposed:", err=True)
        for error in errors:
            typer.echo(f"  {error}", err=True)
        raise typer.Exit(1)
