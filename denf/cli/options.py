"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import refuse_existing
from denf.errors import DenfError


def _check_seed(value: int) -> int:
    from denf.settings import MOST_SEED

    if not 0 <= value <= MOST_SEED:
        raise DenfError(
            "--seed",
            expected=f"a number from 0 to {MOST_SEED}",
            got=value,
            fix="Choose another number.",
        )
    return value


def new_folder(path: Path) -> Path:
    """An output folder that must not exist, refused before any work is done."""
    refuse_existing(path)
    return output_folder(path)


def output_folder(path: Path) -> Path:
    """An output folder, refused before any work is done where it cannot be written."""
    from denf.files import check_writable

    check_writable(path, folder=True)
    return path


def output_file(path: Path | None) -> Path | None:
    """An output file, refused before any work is done where it cannot be written."""
    from denf.files import check_writable

    if path is not None:
        check_writable(path)
    return path


def input_folder(path: Path | None) -> Path | None:
    """A folder to read, refused when it does not exist: nothing in it would look like no runs."""
    if path is not None and not path.is_dir():
        raise DenfError(
            f"folder {path}",
            expected="an existing folder",
            got="a file" if path.is_file() else "no such folder",
            fix="Check the path.",
        )
    return path


Seed = Annotated[int, typer.Option(help="Seed of every random draw.", callback=_check_seed)]
Out = Annotated[Path, typer.Option(help="Output folder; must not exist.", callback=new_folder)]
OutFile = Annotated[Path, typer.Option(help="File to write.", callback=output_file)]
Run = Annotated[
    Path, typer.Argument(help="A run folder, for example results/reference/denf-clevr6.")
]
Data = Annotated[Path, typer.Option(help="Folder of a prepared split.")]
Size = Annotated[int, typer.Option(help="Side of the square images in pixels.")]
Licence = Annotated[str, typer.Option(help="Licence of the images, kept in dataset.json.")]
Splits = Annotated[Path, typer.Option(help="Output folder of the splits.", callback=output_folder)]
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
Runs = Annotated[Path, typer.Option(help="Folder of runs.", callback=input_folder)]
References = Annotated[
    Path | None,
    typer.Option(
        help="Folder of reference runs; default: results/reference.", callback=input_folder
    ),
]
Listing = Annotated[
    Path | None,
    typer.Option(help="JSON list of the rows to show; default: all runs."),
]
