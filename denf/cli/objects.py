"""`denf data`: the published files of the multi-object data sets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from denf.cli.options import PublishedSize, SplitRecords, Splits, Tfrecord, Workers

if TYPE_CHECKING:
    from denf.data.multi_objects import ObjectsFile

app = typer.Typer()


class SpritesName(StrEnum):
    """Variants of Multi-dSprites."""

    BINARIZED = "binarized"
    COLORED_ON_GRAYSCALE = "colored_on_grayscale"
    COLORED_ON_COLORED = "colored_on_colored"


class RoomName(StrEnum):
    """Files of Objects Room."""

    TRAIN = "train"
    EMPTY_ROOM = "empty_room"
    SIX_OBJECTS = "six_objects"
    IDENTICAL_COLOR = "identical_color"


@app.command()
def clevr6(
    tfrecord: Tfrecord,
    out: Splits,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare CLEVR6 from the published CLEVR (with masks) file.

    Every split takes a range of records, START:STOP or START:STOP:SCENES, or the word none. By
    default, records 0:70000 train, the first 320 scenes of 70000:85000 test, 85000: validate.
    """
    from denf.data.multi_objects_files import CLEVR6

    _prepare_objects(CLEVR6, tfrecord, out, size, (train, val, test), workers)


@app.command()
def clevr10(
    tfrecord: Tfrecord,
    out: Splits,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare CLEVR10: as CLEVR6, scenes of more than six objects included."""
    from denf.data.multi_objects_files import CLEVR10

    _prepare_objects(CLEVR10, tfrecord, out, size, (train, val, test), workers)


@app.command("multi-dsprites")
def multi_dsprites(
    tfrecord: Tfrecord,
    out: Splits,
    variant: Annotated[SpritesName, typer.Option(help="Which of the files.")],
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare a variant of Multi-dSprites from its published file.

    By default, records 0:60000 train, the first 320 of 60000:62000 test, 62000:64000 validate.
    """
    from denf.data.multi_objects_files import MULTI_DSPRITES, Sprites

    file = MULTI_DSPRITES[Sprites(variant.value)]
    _prepare_objects(file, tfrecord, out, size, (train, val, test), workers)


@app.command()
def tetrominoes(
    tfrecord: Tfrecord,
    out: Splits,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare Tetrominoes from its published file; splits as of multi-dsprites."""
    from denf.data.multi_objects_files import TETROMINOES

    _prepare_objects(TETROMINOES, tfrecord, out, size, (train, val, test), workers)


@app.command("objects-room")
def objects_room(
    tfrecord: Tfrecord,
    out: Splits,
    variant: Annotated[RoomName, typer.Option(help="Which of the files.")] = RoomName.TRAIN,
    size: PublishedSize = None,
    train: SplitRecords = None,
    val: SplitRecords = None,
    test: SplitRecords = None,
    workers: Workers = 1,
) -> None:
    """Prepare Objects Room from one of its published files.

    Splits as of multi-dsprites; every file but the training one is all test. Sky, floor and walls
    are background.
    """
    from denf.data.multi_objects_files import OBJECTS_ROOM, Room

    file = OBJECTS_ROOM[Room(variant.value)]
    _prepare_objects(file, tfrecord, out, size, (train, val, test), workers)


def _prepare_objects(
    file: ObjectsFile,
    tfrecord: Path,
    out: Path,
    size: int | None,
    records: tuple[str | None, str | None, str | None],
    workers: int,
) -> None:
    from denf.data.multi_objects import prepare_objects
    from denf.data.record_splits import RecordRange

    ranges = {
        split: None if text == "none" else RecordRange.parse(text)
        for split, text in zip(("train", "val", "test"), records, strict=True)
        if text is not None
    }
    prepare_objects(file, tfrecord, out, size=size, ranges=ranges, workers=workers)
