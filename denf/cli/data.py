"""`denf data`: preparing sources of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from denf.cli.files import read_protocol
from denf.cli.options import Licence, Out, OutFile, Protocol, Size, Splits, Workers

app = typer.Typer(
    help="Convert data to the prepared format, or render them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SplitName = Annotated[str, typer.Option(help="Name of the split in dataset.json.")]


@app.command()
def prepare(
    specification: Annotated[
        str, typer.Argument(help="YAML file of a data set, or, with --protocol, its key there.")
    ],
    out: Splits,
    protocol: Protocol = None,
    split: Annotated[
        str | None, typer.Option(help="The only split to prepare; default: all.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The published file, in place of the specification's.")
    ] = None,
    downloads: Annotated[
        Path, typer.Option(help="Folder of published files that are fetched.")
    ] = Path("results/downloads"),
    workers: Workers = 1,
) -> None:
    """Prepare a data set from its specification: every split as a folder of --out.

    config/README.md lists the sources and their keys. A published file for which the specification
    has only an address is fetched first.
    """
    from denf.harness.protocol import find_dataset

    found = find_dataset(specification, read_protocol(protocol), where=str(protocol))
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
    seed: Annotated[int, typer.Option(help="Seed; it and a scene's number define the scene.")] = 0,
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
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    out: Out,
    masks: Annotated[Path | None, typer.Option(help="Folder of label images, same names.")] = None,
    size: Annotated[int | None, typer.Option(help="Side in pixels; default: unchanged.")] = None,
    first: Annotated[
        int, typer.Option(help="Number of the first image; negative: from the end.")
    ] = 0,
    count: Annotated[int | None, typer.Option(help="Number of images; default: the rest.")] = None,
    split: SplitName = "train",
    name: Annotated[
        str | None, typer.Option(help="Name of the data set; default: the folder's.")
    ] = None,
    licence: Licence = "not stated",
) -> None:
    """Prepare one split of your own images, with masks where you have them."""
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
    size: Annotated[int | None, typer.Option("--bytes", help="Expected length.", min=0)] = None,
    mirror: Annotated[
        str | None, typer.Option(help="Folder, file or address to use instead of the URL.")
    ] = None,
) -> None:
    """Download a file: resumable, checked, renamed when complete.

    Without --sha256 the first fetch writes checksum and length to OUT.pinned.json, and every later
    fetch must give the same file. A file on this machine is linked, not copied.
    """
    from denf.data.download import download

    download(url, out, sha256=sha256, size=size, mirror=mirror)


@app.command()
def card(
    folders: Annotated[list[Path], typer.Argument(help="Prepared splits of one data set.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
) -> None:
    """Draw the card of a data set: facts, counts, mean images, examples.

    Examples are from the first folder. Prints the file's name.
    """
    from denf.report.card import write_card

    typer.echo(write_card(folders, out))
