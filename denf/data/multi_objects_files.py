"""The published files of Multi-Object Datasets, and the records of their splits.

Layouts: the readers in google-deepmind/multi_object_datasets (clevr_with_masks.py,
multi_dsprites.py, tetrominoes.py, objects_room.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from denf.data.multi_objects import ObjectsFile
from denf.data.record_splits import RecordRange
from denf.data.sources.multi_objects import Room, Sprites

# Slot Attention trained on the first 70,000 records and tested on the 320 scenes right after them
# (its maintainer, google-research issue 595); IODINE and EfficientMORL also score 320 scenes.
# Validation begins at 85,000, so that a larger test set (up to 7,800 scenes) does not overlap it.
CLEVR_RANGES = {
    "train": RecordRange(0, 70_000),
    "val": RecordRange(85_000),
    "test": RecordRange(70_000, 85_000, scenes=320),
}
# 60,000 as in GENESIS (datasets/multi_object_config.py); the rest by the same rule as above.
RANGES = {
    "train": RecordRange(0, 60_000),
    "val": RecordRange(62_000, 64_000),
    "test": RecordRange(60_000, 62_000, scenes=320),
}
TEST_ONLY = {"test": RecordRange(0)}

CLEVR10 = ObjectsFile(
    name="clevr10",
    path="clevr_with_masks/clevr_with_masks_train.tfrecords",
    height=240,
    width=320,
    layers=11,
    size=128,
    ranges=CLEVR_RANGES,
    rows=(29, 221),  # the crop of IODINE and Slot Attention
    columns=(64, 256),
    reals={
        **{name: (name,) for name in ("x", "y", "z", "rotation")},
        "pixel_coords": ("pixel_x", "pixel_y", "pixel_depth"),
    },
    codes=("size", "material", "shape", "color"),
)
CLEVR6 = replace(CLEVR10, name="clevr6", max_objects=6)

_RGB = ("color_r", "color_g", "color_b")
_SPRITE_FACTORS = {name: (name,) for name in ("x", "y", "shape", "scale", "orientation")}


def _sprites(variant: Sprites, layers: int) -> ObjectsFile:
    grey = variant is Sprites.BINARIZED
    return ObjectsFile(
        name=f"multi_dsprites_{variant}",
        path=f"multi_dsprites/multi_dsprites_{variant}.tfrecords",
        height=64,
        width=64,
        layers=layers,
        size=64,
        ranges=RANGES,
        channels=1 if grey else 3,
        layers_last=True,
        reals={**_SPRITE_FACTORS, "color": ("color",) if grey else _RGB},
    )


MULTI_DSPRITES: Mapping[Sprites, ObjectsFile] = {
    variant: _sprites(variant, layers)
    for variant, layers in (
        (Sprites.BINARIZED, 4),
        (Sprites.COLORED_ON_GRAYSCALE, 6),
        (Sprites.COLORED_ON_COLORED, 5),
    )
}
TETROMINOES = ObjectsFile(
    name="tetrominoes",
    path="tetrominoes/tetrominoes_train.tfrecords",
    height=35,
    width=35,
    layers=4,
    size=32,  # as in GENESIS
    ranges=RANGES,
    reals={**{name: (name,) for name in ("x", "y", "shape")}, "color": _RGB},
)
OBJECTS_ROOM: Mapping[Room, ObjectsFile] = {
    room: ObjectsFile(
        name=f"objects_room_{room}",
        path=f"objects_room/objects_room_{room}.tfrecords",
        height=64,
        width=64,
        layers=layers,
        size=64,
        ranges=RANGES if room is Room.TRAIN else TEST_ONLY,
        background=4,  # sky, floor, and two halves of the wall
    )
    for room, layers in (
        (Room.TRAIN, 7),
        (Room.EMPTY_ROOM, 4),
        (Room.SIX_OBJECTS, 10),
        (Room.IDENTICAL_COLOR, 10),
    )
}
