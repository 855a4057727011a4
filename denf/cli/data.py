"""`denf data`: conversion of sources into the prepared format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_protocol
from denf.cli.options import (
    Licence,
    Out,
    OutFile,
    Protocol,
    Size,
    Splits,
    Workers,
    output_file,
    output_folder,
)

app = typer.Typer(
    help="Convert data into the prepared format, or render scenes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SplitName = Annotated[str, typer.Option(help="Name of the split in dataset.json.")]


@app.command()
def prepare(
    specification: Annotated[
        str, typer.Argument(help="YAML file of a data set; with --protocol, its key there.")
    ],
    out: Splits,
    protocol: Protocol = None,
    split: Annotated[
        str | None, typer.Option(help="The only split to prepare; default: all.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="The published file, in place of the specification's url or path."),
    ] = None,
    downloads: Annotated[
        Path, typer.Option(help="Folder for fetched files.", callback=output_folder)
    ] = Path("results/downloads"),
    workers: Workers = 1,
) -> None:
    """Prepare a data set from its specification: every split as a folder of --out.

    config/README.md lists the sources and their keys. If the specification has only the address
    of a published file, the file is fetched first.
    """
    from denf.harness.protocol import find_dataset

    found = find_dataset(specification, read_protocol(protocol), where=str(protocol))
    if split is not None:
        found.check_split(split)
    dataset = found.located(file, downloads)
    if split is None:
        dataset.prepare(out, workers=workers)
    else:
        dataset.prepare_split(split, out / split, workers=workers)


@app.command()
def render(
    kind: Annotated[str, typer.Argument(help="Which scenes: clevr6 or traffic.")],
    count: Annotated[int, typer.Option(help="Number of scenes.", min=1)],
    out: Out,
    size: Size = 64,
    seed: Annotated[
        int, typer.Option(help="Seed of all scenes; each also depends on its number.")
    ] = 0,
    first: Annotated[int, typer.Option(help="Number of the first scene.", min=0)] = 0,
    split: SplitName = "train",
    workers: Workers = 1,
    empty: Annotated[
        bool, typer.Option("--empty", help="Render each scene without its objects as well.")
    ] = False,
) -> None:
    """Render one split of embedded scenes with exact masks and factors."""
    from denf.data.scenes.render import render as render_scenes

    render_scenes(
        kind,  # type: ignore[arg-type]  # checked there
        count=count,
        size=size,
        seed=seed,
        first=first,
        out=out,
        split=split,
        workers=workers,
        empty=empty,
    )


@app.command()
def folder(
    images: Annotated[Path, typer.Option(help="Folder of pictures.")],
    out: Out,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of label images with the same names.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side in pixels; default: the pictures'.")
    ] = None,
    first: Annotated[
        int, typer.Option(help="Number of the first picture; negative: from the end.")
    ] = 0,
    count: Annotated[
        int | None, typer.Option(help="Number of pictures; default: the rest.")
    ] = None,
    split: SplitName = "train",
    name: Annotated[
        str | None, typer.Option(help="Name of the data set; default: the folder's.")
    ] = None,
    licence: Licence = "not stated",
) -> None:
    """Prepare one split of your own pictures, optionally with masks."""
    from denf.data.folder import prepare_folder

    prepare_folder(
        images,
        out,
        masks=masks,
        size=size,
        first=first,
        count=count,
        split=split,
        name=name,
        licence=licence,
    )


@app.command()
def fetch(
    url: Annotated[str, typer.Argument(help="Address of the file.")],
    out: OutFile,
    sha256: Annotated[
        str | None, typer.Option(help="Expected checksum; default: that of the first fetch.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--bytes", help="Expected length in bytes.", min=0)
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(help="Folder, file or address to use in place of URL.")
    ] = None,
) -> None:
    """Download a file: resume an earlier attempt, check the file, rename it when complete.

    Without --sha256 the first fetch writes checksum and length to OUT.pinned.json, and every later
    fetch must give the same file. A file on this machine is linked, not copied.
    """
    from denf.data.download import download

    download(url, out, sha256=sha256, size=size, mirror=mirror)


@app.command()
def card(
    folders: Annotated[list[Path], typer.Argument(help="Prepared splits of one data set.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.", callback=output_file)],
) -> None:
    """Draw the card of a data set: facts, counts, mean images, examples.

    Examples are from the first folder. Prints the file's name.
    """
    from denf.report.card import write_card

    typer.echo(write_card(folders, out))
