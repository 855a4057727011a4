"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option(help="Folder to make; must not exist.")]
OutFile = Annotated[Path, typer.Option(help="File to write.")]
Run = Annotated[Path, typer.Argument(help="A run folder, such as results/reference/<name>.")]
Data = Annotated[Path, typer.Option(help="A prepared folder.")]
Size = Annotated[int, typer.Option(help="Side of the square images in pixels.", min=8)]
Licence = Annotated[str, typer.Option(help="Licence of the images, kept in dataset.json.")]
Splits = Annotated[Path, typer.Option(help="Folder of the splits.")]
Workers = Annotated[
    int, typer.Option(help="Threads or processes; any number gives the same files.", min=1)
]
Protocol = Annotated[
    Path | None, typer.Option(help="Protocol, as config/config.yaml; - reads standard input.")
]
Share = Annotated[
    int,
    typer.Option(help="Processes that may use a GPU at once.", min=1, envvar="DENF_GPU_SHARE"),
]
Runs = Annotated[Path, typer.Option(help="Folder of runs.")]
Listing = Annotated[
    Path | None,
    typer.Option(help="JSON list of the rows to show; default: all that were run."),
]
