"""Preparing Multi-Object Datasets: gzipped TFRecord files of scenes with masks.

One pass over the file makes all splits: a thread reads ahead (inflating and checking), others crop
and resize, the caller's thread writes, so that the files do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from denf.data.crop import Array, Kernel, resize_image, resize_labels
from denf.data.example import Feature, parse_example
from denf.data.in_order import in_order, read_ahead
from denf.data.ingest import Scene, SceneWriter, pending_splits
from denf.data.record_splits import RecordRange, Split, check_ranges, chosen_ranges
from denf.data.tfrecord import Record, read_records
from denf.errors import DenfError
from denf.reading import reason

URL = "https://storage.googleapis.com/multi-object-datasets/"  # its README, section Download
LICENCE = "Multi-Object Datasets, repository under Apache-2.0; cite Kabra et al. 2019"
KERNEL = Kernel.BILINEAR
_READ_AHEAD = 4  # records of 3.2 MB at most


@dataclass(frozen=True)
class ObjectsFile:
    """The contents of the records of a published file, and the part of it that is prepared.

    Args:
        name: of the data set.
        path: of the file below `URL`.
        height, width: of images and masks in pixels.
        layers: mask layers, including the background and unused ones.
        size: side of the prepared images, unless another is given.
        ranges: records of each split, unless others are given.
        channels: of the image; a single channel is repeated to three.
        background: number of first layers that are background.
        layers_last: masks are stored (height, width, layers).
        rows, columns: start and stop of those kept; None: all.
        max_objects: scenes with more objects are left out; None: all scenes are kept.
        reals: float features by name, with the columns of `factors.csv` that their values fill.
        codes: byte features of one value per layer, of which 0 means no object.
    """

    name: str
    path: str
    height: int
    width: int
    layers: int
    size: int
    ranges: Mapping[str, RecordRange]
    channels: int = 3
    background: int = 1
    layers_last: bool = False
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    max_objects: int | None = None
    reals: Mapping[str, Sequence[str]] = field(default_factory=dict)
    codes: Sequence[str] = ()

    @property
    def url(self) -> str:
        """Address of the published file."""
        return URL + self.path

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns that are kept."""
        return slice(*(self.rows or (0, self.height))), slice(*(self.columns or (0, self.width)))

    @property
    def features(self) -> Mapping[str, str]:
        """Number and type of the values of each feature that is read."""
        pixels = self.height * self.width
        counts = {
            "image": f"{pixels * self.channels} uint8",
            "mask": f"{pixels * self.layers} uint8",
        }
        counts |= {name: f"{self.layers * len(to)} float32" for name, to in self.reals.items()}
        counts |= {name: f"{self.layers} uint8" for name in self.codes}
        return counts | ({"visibility": f"{self.layers} float32"} if self.reals else {})


def prepare_objects(
    file: ObjectsFile,
    tfrecord: Path | str,
    out: Path | str,
    *,
    size: int | None = None,
    ranges: Mapping[str, RecordRange | None] | None = None,
    workers: int = 1,
) -> None:
    """Prepare `<out>/<split>` for every split from a published file, in one streaming pass.

    The kept part of the frame is resized to size × size, images by Pillow's antialiased bilinear
    kernel, labels by nearest neighbour. `factors.csv` has one row per object: its scene in the
    split, its record in the file, its label, and the stored factors.

    Args:
        file: the layout of the published file.
        tfrecord: path of the file.
        out: folder of the splits.
        size: side in pixels; None: the file's own.
        ranges: records of splits in place of the file's own; None: the split is not made.
        workers: threads that crop and resize, in addition to the one that reads.

    Raises:
        DenfError: when a record is damaged (with its number and byte offset) or not of this data
            set, the file ends before a split is complete, ranges overlap, or a split exists.
    """
    tfrecord, out, side = Path(tfrecord), Path(out), size or file.size
    chosen = chosen_ranges(file.ranges, ranges or {})
    check_ranges(chosen)
    infos = {
        name: _describe(file, tfrecord, name, records, side) for name, records in chosen.items()
    }
    with ExitStack() as stack:
        splits = []
        for name in pending_splits(out, infos):
            writer = SceneWriter(out / name, size=side, masks=True, info=infos[name])
            stack.enter_context(writer)
            splits.append(Split(name, chosen[name], writer, writer.count))

        def make(item: tuple[Split, int, Record]) -> tuple[Split, Scene]:
            split, number, record = item
            return split, make_scene(file, record, number, side)

        wanted = _wanted(file, tfrecord, splits)
        for split, scene in in_order(make, wanted, workers=workers, waiting=2 * workers):
            split.writer.add(scene)


def _wanted(
    file: ObjectsFile, tfrecord: Path, splits: Sequence[Split]
) -> Iterator[tuple[Split, int, Record]]:
    """Records whose scenes are to be written, each with its split and its number in the split."""
    count = 0
    records = read_ahead(read_records(tfrecord), waiting=_READ_AHEAD)
    for record in tqdm(records, desc=file.name, unit="record", disable=None):
        count = record.index + 1
        for split in splits:
            if split.records.holds(record.index) and not split.full and _is_kept(file, record):
                number = split.keep()
                if number is not None:
                    yield split, number, record
        if all(split.complete(count) for split in splits):
            break
    for split in splits:
        split.check(tfrecord, count)


def _is_kept(file: ObjectsFile, record: Record) -> bool:
    if file.max_objects is None:
        return True
    visible = read_features(file, record, "visibility")["visibility"][file.background :]
    return int(np.count_nonzero(visible)) <= file.max_objects


def read_features(file: ObjectsFile, record: Record, *names: str) -> Mapping[str, Feature]:
    """Features of a record, checked for presence, length and type; views where possible.

    Args:
        file: the layout of the record's file.
        record: the record.
        names: of the features; without names, all features that are used.
    """
    expected = {name: file.features[name] for name in names or file.features}
    features = parse_example(record, expected)
    found = {name: f"{len(values)} {values.dtype}" for name, values in features.items()}
    if found == expected:
        return features
    if names:
        return read_features(file, record)  # so that the message names all that is wrong
    wrong = [name for name in expected if found.get(name) != expected[name]]
    raise DenfError(
        record.name,
        expected={name: expected[name] for name in wrong},
        got={name: found.get(name, "none") for name in wrong},
        fix=f"Check that this is {file.path} of the Multi-Object Datasets.",
    )


def make_scene(file: ObjectsFile, record: Record, number: int, size: int) -> Scene:
    """Image (size, size, 3), labels (size, size) and factors of a record.

    A label is the number of the object's mask layer, counted from 1 after the background's.
    """
    features = read_features(file, record)
    masks = _layers(file, features)
    labels = np.zeros((size, size), np.uint8)
    for k, layer in enumerate(masks[file.background :], start=1):
        labels[resize_labels(layer[file.window], size) > 0] = k
    pixels = features["image"].astype(np.uint8, copy=False)
    image = pixels.reshape(file.height, file.width, file.channels)[file.window]
    if file.channels == 1:
        image = np.repeat(image, 3, axis=2)
    return Scene(
        resize_image(image, size, KERNEL), labels, _factors(file, features, number, record)
    )


def _layers(file: ObjectsFile, features: Mapping[str, Feature]) -> Array:
    values = features["mask"].astype(np.uint8, copy=False)
    if file.layers_last:
        return np.moveaxis(values.reshape(file.height, file.width, file.layers), 2, 0)
    return values.reshape(file.layers, file.height, file.width)


def _factors(
    file: ObjectsFile, features: Mapping[str, Feature], scene: int, record: Record
) -> list[dict[str, Any]]:
    """Rows of `factors.csv`: one per object, with its label in the mask.

    Codes are those of the file, from 1. Without factors, the objects are those with any pixel.
    """
    present = features["visibility"] if file.reals else _layers(file, features).max((1, 2))
    rows = []
    for layer in map(int, np.flatnonzero(present[file.background :]) + file.background):
        row: dict[str, Any] = {"scene": scene, "record": record.index}
        row["object"] = layer - file.background + 1
        for name, columns in file.reals.items():
            values = features[name].reshape(file.layers, len(columns))[layer]
            row |= dict(zip(columns, map(float, values), strict=True))
        rows.append(row | {name: int(features[name][layer]) for name in file.codes})
    return rows


def _describe(
    file: ObjectsFile, tfrecord: Path, split: str, records: RecordRange, size: int
) -> dict[str, Any]:
    try:
        file_bytes = tfrecord.stat().st_size
    except OSError as error:
        raise DenfError(
            str(tfrecord),
            expected=f"the file {file.path}",
            got=reason(error),
            fix=f"Fetch it from {file.url}.",
        ) from error
    most = file.max_objects
    rows, columns = (f"{part.start}:{part.stop}" for part in file.window)
    return {
        "name": file.name,
        "source": file.url,
        "licence": LICENCE,
        "file": {"name": tfrecord.resolve().name, "bytes": file_bytes},
        "split": split,
        "split_rule": f"{records}, before the filter",
        "filter": "none" if most is None else f"at most {most} objects, the background not counted",
        "size": size,
        "crop": f"rows {rows}, columns {columns}",
        "resize": KERNEL.rule,
    }
