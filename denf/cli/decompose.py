"""`denf decompose`: decomposition of the user's own pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.options import Run, output_folder

app = typer.Typer()


@app.command()
def decompose(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Pictures, videos, or folders of them.")],
    out: Annotated[
        Path,
        typer.Option(help="Output folder, with one subfolder per picture.", callback=output_folder),
    ],
    clip: Annotated[
        bool, typer.Option("--clip", help="Take the pictures of a folder as frames of a clip.")
    ] = False,
) -> None:
    """Decompose your own pictures into background and objects.

    Writes an overlay of outlines and boxes, a label map, the background, each object on the
    background and cut out of the picture, and objects.json. For a clip (an animated picture, a
    video, or a folder with --clip) it writes an animated overlay and objects.json. Prints the
    results as JSON. The largest centred square of a picture is used; any kind of PNG, JPEG, WebP,
    BMP, TIFF or GIF file is converted to 8-bit RGB. Videos need the package PyAV (`uv sync --group
    video`). Other files of a folder are counted on standard error. Pictures that cannot be
    decomposed are listed at the end, with exit status 1.
    """
    from denf.files import tell_left_out
    from denf.pictures.batch import decompose_sources
    from denf.pictures.run import load
    from denf.pictures.sources import find_sources, left_out

    sources = find_sources(images, clips=clip)
    for folder in filter(Path.is_dir, images):
        tell_left_out(folder, left_out(folder, clips=clip))
    entries, errors = decompose_sources(load(run), sources, out)
    typer.echo(json.dumps(entries, indent=2))
    if errors:
        typer.echo(f"denf: {len(errors)} of {len(sources)} could not be decomposed:", err=True)
        for error in errors:
            typer.echo(f"  {error}", err=True)
        raise typer.Exit(1)
