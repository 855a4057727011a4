"""`denf data`: sources into the prepared format."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from denf.cli.options import Licence, Out, OutFile, Size, Splits, Workers
from denf.errors import DenfError

app = typer.Typer()


class SceneKind(StrEnum):
    """Embedded scenes."""

    CLEVR6 = "clevr6"
    TRAFFIC = "traffic"


class ClevrtexName(StrEnum):
    """CLEVRTEX and its variants."""

    FULL = "full"
    OUTD = "outd"
    PBG = "pbg"
    VBG = "vbg"
    GRASSBG = "grassbg"
    CAMO = "camo"


class CropName(StrEnum):
    """What is kept of a picture."""

    CENTRE = "centre"
    WHOLE = "whole"


@app.command()
def render(
    kind: Annotated[SceneKind, typer.Argument(help="Which scenes.")],
    count: Annotated[int, typer.Option(help="Number of scenes.", min=1)],
    out: Out,
    size: Size = 64,
    seed: Annotated[int, typer.Option(help="With the scene's number, its only seed.")] = 0,
    first: Annotated[int, typer.Option(help="Number of the first scene.", min=0)] = 0,
    split: Annotated[str, typer.Option(help="Name of the split in dataset.json.")] = "train",
    workers: Annotated[int, typer.Option(help="Processes; any number gives one set.")] = 1,
    empty: Annotated[
        bool, typer.Option("--empty", help="Render each scene without its objects as well.")
    ] = False,
) -> None:
    """Render embedded scenes with exact masks and factors."""
    from denf.data.scenes.render import render as render_scenes

    render_scenes(
        kind.value,
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
def clevrtex(
    source: Annotated[Path, typer.Option(help="Folder of the unpacked archives, or a zip of it.")],
    out: Splits,
    variant: Annotated[ClevrtexName, typer.Option(help="Which of the sets.")] = ClevrtexName.FULL,
    size: Size = 128,
    workers: Workers = 1,
) -> None:
    """Prepare CLEVRTEX: the first tenth tests, the second validates; outd is all test."""
    from denf.data.clevrtex import Variant, prepare_clevrtex

    prepare_clevrtex(source, out, variant=Variant(variant.value), size=size, workers=workers)


@app.command("real-traffic")
def real_traffic(
    source: Annotated[Path, typer.Option(help="Folder or zip of the videos' frames.")],
    out: Splits,
    size: Size = 128,
    workers: Workers = 1,
    gap: Annotated[int, typer.Option(help="Frames left out at the splits' border.", min=0)] = 0,
    train_videos: Annotated[
        int | None, typer.Option(help="With --test-videos; default: the paper's, or 80 %.", min=1)
    ] = None,
    test_videos: Annotated[
        int | None, typer.Option(help="The last so many videos test.", min=1)
    ] = None,
    name: Annotated[str, typer.Option(help="Of the data set.")] = "real-traffic",
    licence: Licence = "not stated by its authors",
) -> None:
    """Prepare Real-Traffic, or any fixed-camera footage cut into clips."""
    from denf.data.real_traffic import VideoSplit, prepare_real_traffic

    split = None
    if train_videos is not None and test_videos is not None:
        split = VideoSplit(train_videos, test_videos)
    elif train_videos is not None or test_videos is not None:
        raise DenfError(
            "--train-videos and --test-videos",
            expected="both or none",
            got="one of them",
            fix="Give the other number too.",
        )
    prepare_real_traffic(
        source, out, size=size, split=split, gap=gap, workers=workers, name=name, licence=licence
    )


@app.command()
def folder(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    out: Out,
    masks: Annotated[Path | None, typer.Option(help="Folder of label images, same names.")] = None,
    size: Annotated[int | None, typer.Option(help="Side in pixels; default: as it is.")] = None,
    crop: Annotated[
        CropName, typer.Option(help="The centred square, or the whole frame squeezed to one.")
    ] = CropName.CENTRE,
    first: Annotated[
        int, typer.Option(help="Number of the first image; negative: from the end.")
    ] = 0,
    count: Annotated[int | None, typer.Option(help="So many images; default: the rest.")] = None,
    max_objects: Annotated[int, typer.Option(help="Highest label in a mask.")] = 254,
    split: Annotated[str, typer.Option(help="Name of the split in dataset.json.")] = "train",
    name: Annotated[
        str | None, typer.Option(help="Of the data set; default: the folder's.")
    ] = None,
    licence: Licence = "not stated",
) -> None:
    """Prepare your own images, with masks where you have them."""
    from denf.data.folder import prepare_folder

    prepare_folder(
        images,
        out,
        masks=masks,
        size=size,
        crop=crop.value,
        first=first,
        count=count,
        max_objects=max_objects,
        split=split,
        name=name,
        licence=licence,
    )


@app.command()
def fetch(
    url: Annotated[str, typer.Argument(help="Address of the file.")],
    out: OutFile,
    sha256: Annotated[
        str | None, typer.Option(help="Expected checksum; default: as it was first fetched.")
    ] = None,
    size: Annotated[int | None, typer.Option("--bytes", help="Expected length.", min=0)] = None,
    mirror: Annotated[
        str | None, typer.Option(help="Folder, file or address to take it from instead.")
    ] = None,
) -> None:
    """Download a file: resumable, checked, renamed when complete.

    Without --sha256 the first fetch writes checksum and length to OUT.pinned.json, and every later
    one must give the same file. A file of this machine is linked, not copied.
    """
    from denf.data.download import download

    download(url, out, sha256=sha256, size=size, mirror=mirror)


@app.command()
def card(
    folders: Annotated[list[Path], typer.Argument(help="Prepared splits of one data set.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
) -> None:
    """Draw the card of a data set: facts, counts, mean images, examples.

    Examples are of the first folder; prints the file's name.
    """
    from denf.report.card import write_card

    typer.echo(write_card(folders, out))
