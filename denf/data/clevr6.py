"""CLEVR6: the scenes of CLEVR with masks that have at most six objects, cropped to 128 × 128.

The file of Multi-Object Datasets is one gzip stream of about 100,000 records, so all splits are
made in one pass over it. Splits are ranges of record numbers, the only order that every reader of
the file shares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from denf.data.crop import Array, Kernel, resize_image, resize_labels
from denf.data.example import Feature, parse_example
from denf.data.ingest import Scene, SceneWriter, pending_splits
from denf.data.tfrecord import Record, read_records
from denf.errors import DenfError

# Multi-Object Datasets (google-deepmind/multi_object_datasets, README and clevr_with_masks.py)
CLEVR_WITH_MASKS_URL = (
    "https://storage.googleapis.com/multi-object-datasets/clevr_with_masks/"
    "clevr_with_masks_train.tfrecords"
)
HEIGHT, WIDTH, LAYERS = 240, 320, 11  # clevr_with_masks.py: IMAGE_SIZE, MAX_NUM_ENTITIES
ROWS, COLUMNS = slice(29, 221), slice(64, 256)  # the crop of IODINE and Slot Attention
MAX_OBJECTS = 6
KERNEL = Kernel.BILINEAR
_CODES = ("size", "material", "shape", "color")
_REALS = ("x", "y", "z", "rotation")
_COUNTS = {"image": HEIGHT * WIDTH * 3, "mask": LAYERS * HEIGHT * WIDTH, "visibility": LAYERS}
_COUNTS |= {name: LAYERS for name in (*_CODES, *_REALS)} | {"pixel_coords": LAYERS * 3}


@dataclass(frozen=True)
class RecordRange:
    """Records of a split, before the filter on the number of objects.

    Args:
        start: first record.
        stop: the record after the last one; None: to the end of the file.
        scenes: keep at most this many scenes; None: all.
    """

    start: int
    stop: int | None = None
    scenes: int | None = None

    @classmethod
    def parse(cls, text: str) -> RecordRange:
        """Read `START:STOP[:SCENES]`, START and STOP as in a Python slice, e.g. `70000:85000:320`.

        Raises:
            DenfError: when `text` is of another form.
        """
        match = re.fullmatch(r"(\d*):(\d*)(?::(\d+))?", text)
        if match is None:
            raise DenfError(
                f"records {text!r}",
                expected="START:STOP or START:STOP:SCENES",
                got=text,
                fix="For example 70000:85000:320.",
            )
        start, stop, scenes = (int(part) if part else None for part in match.groups())
        return cls(start or 0, stop, scenes)

    def __str__(self) -> str:
        most = "" if self.scenes is None else f", the first {self.scenes} scenes kept"
        return f"records {self.start} to {'the end' if self.stop is None else self.stop - 1}{most}"


# Training on the first 70,000 and testing on the 320 scenes right after them is what Slot Attention
# did (its maintainer, google-research issue 595); IODINE and EfficientMORL also score 320 scenes.
# Validation begins at 85,000, so that a larger test set (up to 7,800 scenes) leaves it untouched.
TRAIN = RecordRange(0, 70_000)
TEST = RecordRange(70_000, 85_000, scenes=320)
VAL = RecordRange(85_000)


def prepare_clevr6(
    tfrecord: Path | str,
    out: Path | str,
    *,
    size: int = 128,
    train: RecordRange | None = TRAIN,
    val: RecordRange | None = VAL,
    test: RecordRange | None = TEST,
) -> None:
    """Prepare CLEVR6 as `<out>/{train,val,test}` from the official file, in one streaming pass.

    Scenes with Σ visibility ≤ 7 are kept (the background counts as visible: six objects); rows
    29:221 and columns 64:256 are resized to size × size, images by Pillow's antialiased bilinear
    kernel, labels by nearest neighbour. `factors.csv` has one row an object: its scene in the
    split, its record in the file, its label, and the stored factors.

    Args:
        tfrecord: `clevr_with_masks_train.tfrecords`.
        out: folder of the splits.
        size: side in pixels.
        train, val, test: records of each split; None: the split is not made.

    Raises:
        DenfError: when a record is damaged (with its number and byte offset) or not of this data
            set, the file ends before a split is complete, ranges overlap, or a split exists.
    """
    tfrecord, out = Path(tfrecord), Path(out)
    given = {"train": train, "val": val, "test": test}
    ranges = {name: records for name, records in given.items() if records is not None}
    _check_ranges(ranges)
    infos = {name: _describe(tfrecord, name, records, size) for name, records in ranges.items()}
    with ExitStack() as stack:
        splits = [
            _Split(
                name,
                ranges[name],
                stack.enter_context(
                    SceneWriter(out / name, size=size, masks=True, info=infos[name])
                ),
            )
            for name in pending_splits(out, infos)
        ]
        records = 0
        for record in tqdm(read_records(tfrecord), desc="CLEVR6", unit="record", disable=None):
            records = record.index + 1
            for split in splits:
                if split.wants(record.index):
                    split.take(record, size)
            if all(split.complete(records) for split in splits):
                break
        for split in splits:
            split.check(tfrecord, records)


@dataclass
class _Split:
    """A split while the file streams by; `kept` counts its scenes, resumed ones included."""

    name: str
    records: RecordRange
    writer: SceneWriter
    kept: int = 0

    def _full(self) -> bool:
        return self.records.scenes is not None and self.kept >= self.records.scenes

    def wants(self, index: int) -> bool:
        stop = self.records.stop
        return self.records.start <= index and (stop is None or index < stop) and not self._full()

    def complete(self, records: int) -> bool:
        stop = self.records.stop
        return self._full() or (stop is not None and records >= stop)

    def take(self, record: Record, size: int) -> None:
        features = read_features(record)
        if features["visibility"].sum() > MAX_OBJECTS + 1:
            return
        if self.kept >= self.writer.count:  # otherwise written before an interruption
            image, labels = crop_scene(features, size)
            self.writer.add(Scene(image, labels, object_factors(features, self.kept, record.index)))
        self.kept += 1

    def check(self, tfrecord: Path, records: int) -> None:
        ended_early = self.records.stop is not None and not self.complete(records)
        if ended_early or not self.kept:
            raise DenfError(
                f"{tfrecord}, split {self.name}",
                expected=str(self.records),
                got=f"{self.kept} scenes in a file of {records} records",
                fix="Fetch the whole file, or choose other records for the splits.",
            )


def read_features(record: Record) -> Mapping[str, Feature]:
    """Features of a record of CLEVR with masks, checked for presence and length; views."""
    features = parse_example(record)
    found = {name: len(features[name]) for name in _COUNTS if name in features}
    if found != _COUNTS:
        wrong = {name: found.get(name, 0) for name in _COUNTS if found.get(name) != _COUNTS[name]}
        raise DenfError(
            record.name,
            expected=f"values of { ({name: _COUNTS[name] for name in wrong}) }",
            got=wrong,
            fix="Check that this is the CLEVR (with masks) file of the Multi-Object Datasets.",
        )
    return features


def crop_scene(features: Mapping[str, Feature], size: int) -> tuple[Array, Array]:
    """Image and labels of a scene.

    Args:
        features: as `read_features` returns them.
        size: side in pixels.

    Returns:
        uint8 (size, size, 3), and uint8 (size, size): the mask layer that covers each pixel,
        0 for the background's.
    """
    image = features["image"].astype(np.uint8, copy=False).reshape(HEIGHT, WIDTH, 3)
    layers = features["mask"].astype(np.uint8, copy=False).reshape(LAYERS, HEIGHT, WIDTH)
    covered = resize_labels(layers[:, ROWS, COLUMNS], size) > 0
    labels = covered.argmax(0).astype(np.uint8)
    return resize_image(image[ROWS, COLUMNS], size, KERNEL), labels


def object_factors(
    features: Mapping[str, Feature], scene: int, record: int
) -> list[dict[str, Any]]:
    """Rows of `factors.csv`: one an object, with its label in the mask.

    The codes of size, material, shape and colour are those of the file, 1 and up.
    """
    pixels = features["pixel_coords"].reshape(LAYERS, 3)
    return [
        {"scene": scene, "record": record, "object": int(k)}
        | {name: float(features[name][k]) for name in _REALS}
        | dict(zip(("pixel_x", "pixel_y", "pixel_depth"), map(float, pixels[k]), strict=True))
        | {name: int(features[name][k]) for name in _CODES}
        for k in np.flatnonzero(features["visibility"])
        if k > 0
    ]


def _describe(tfrecord: Path, split: str, records: RecordRange, size: int) -> dict[str, Any]:
    try:
        file_bytes = tfrecord.stat().st_size
    except OSError as error:
        raise DenfError(
            str(tfrecord),
            expected="the file clevr_with_masks_train.tfrecords",
            got=error,
            fix=f"Fetch it from {CLEVR_WITH_MASKS_URL}.",
        ) from error
    return {
        "name": "clevr6",
        "source": CLEVR_WITH_MASKS_URL,
        "licence": "Multi-Object Datasets, repository under Apache-2.0; cite Kabra et al. 2019",
        "file": {"name": tfrecord.name, "bytes": file_bytes},
        "split": split,
        "split_rule": f"{records}, before the filter",
        "filter": f"at most {MAX_OBJECTS} objects: visibility sum <= {MAX_OBJECTS + 1}",
        "size": size,
        "crop": f"rows {ROWS.start}:{ROWS.stop}, columns {COLUMNS.start}:{COLUMNS.stop}",
        "resize": KERNEL.rule,
    }


def _check_ranges(ranges: Mapping[str, RecordRange]) -> None:
    position: float = 0
    before = "the start of the file"
    for name, records in sorted(ranges.items(), key=lambda item: item[1].start):
        stop = np.inf if records.stop is None else records.stop
        if records.start < position or stop <= records.start or records.scenes == 0:
            raise DenfError(
                f"split {name}",
                expected=f"one or more records after {before}",
                got=str(records),
                fix="Splits must be ranges of records that do not overlap.",
            )
        position, before = stop, f"those of {name}"
