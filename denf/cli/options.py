"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _check_seed(value: int) -> int:
    from denf.settings import MOST_SEED

    if not 0 <= value <= MOST_SEED:
        raise typer.BadParameter(f"{value} is not in the range 0<=x<={MOST_SEED}.")
    return value


Seed = Annotated[int, typer.Option(help="Seed of every random draw.", callback=_check_seed)]
Out = Annotated[Path, typer.Option(help="Output folder; must not exist.")]
OutFile = Annotated[Path, typer.Option(help="File to write.")]
Run = Annotated[
    Path, typer.Argument(help="A run folder, for example results/reference/denf-clevr6.")
]
Data = Annotated[Path, typer.Option(help="Folder of a prepared split.")]
Size = Annotated[int, typer.Option(help="Side of the square images in pixels.", min=8)]
Licence = Annotated[str, typer.Option(help="Licence of the images, kept in dataset.json.")]
Splits = Annotated[Path, typer.Option(help="Output folder of the splits.")]
Workers = Annotated[
    int, typer.Option(help="Threads or processes; the files do not depend on it.", min=1)
]
Protocol = Annotated[
    Path | None, typer.Option(help="Protocol, like config/config.yaml; - reads standard input.")
]
Share = Annotated[
    int,
    typer.Option(help="Processes that may use a GPU at once.", min=1, envvar="DENF_GPU_SHARE"),
]
Runs = Annotated[Path, typer.Option(help="Folder of runs.")]
Listing = Annotated[
    Path | None,
    typer.Option(help="JSON list of the rows to show; default: all runs."),
]
