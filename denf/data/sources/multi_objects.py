"""Multi-Object Datasets (Kabra et al. 2019): published files of records."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator

from denf.data.sources.published import Published
from denf.data.sources.source import Resources
from denf.errors import within

if TYPE_CHECKING:
    from denf.data.multi_objects import ObjectsFile
    from denf.data.record_splits import RecordRange

_NONE = "none"
_RANGE = re.compile("none|[0-9]*:[0-9]*(:[0-9]+)?")


def _check_records(text: str) -> str:
    if not _RANGE.fullmatch(text):
        raise ValueError("START:STOP, START:STOP:SCENES or none, such as 70000:85000:320")
    return text


Records = Annotated[str, AfterValidator(_check_records)]


class Sprites(StrEnum):
    """Variants of Multi-dSprites."""

    BINARIZED = "binarized"
    COLORED_ON_GRAYSCALE = "colored_on_grayscale"
    COLORED_ON_COLORED = "colored_on_colored"


class Room(StrEnum):
    """Files of Objects Room: the training set and three small test sets."""

    TRAIN = "train"
    EMPTY_ROOM = "empty_room"
    SIX_OBJECTS = "six_objects"
    IDENTICAL_COLOR = "identical_color"


class MultiObjects(Published):
    """A published file of records, each a scene with masks."""

    train: Records | None = None
    """Records of the published file that a split is made of: `START:STOP`, `START:STOP:SCENES`, or
    `none` for no such split; `null`: those of the table below."""
    val: Records | None = None
    """Records of the published file that a split is made of: `START:STOP`, `START:STOP:SCENES`, or
    `none` for no such split; `null`: those of the table below."""
    test: Records | None = None
    """Records of the published file that a split is made of: `START:STOP`, `START:STOP:SCENES`, or
    `none` for no such split; `null`: those of the table below."""

    resources: ClassVar[Resources] = Resources(threads=2, runtime=1440)

    @property
    def default_splits(self) -> tuple[str, ...]:
        """Splits that are made unless their records are `none`."""
        return ("train", "val", "test")

    @property
    def splits(self) -> tuple[str, ...]:
        by_split = dict.fromkeys(("train", "val", "test"), _NONE)
        by_split |= dict.fromkeys(self.default_splits, "") | self._given()
        return tuple(split for split, records in by_split.items() if records != _NONE)

    def _given(self) -> dict[str, str]:
        records = {"train": self.train, "val": self.val, "test": self.test}
        return {split: text for split, text in records.items() if text is not None}

    def published_file(self) -> ObjectsFile:
        """Layout of the file's records."""
        raise NotImplementedError

    def examine(self, where: str) -> dict[str, int]:
        from denf.data.record_splits import check_ranges, chosen_ranges

        super().examine(where)
        with within(where):
            ranges = chosen_ranges(self.published_file().ranges, self._ranges())
            check_ranges(ranges)
        return {split: records.most for split, records in ranges.items() if records.most}

    def _ranges(self) -> dict[str, RecordRange | None]:
        from denf.data.record_splits import RecordRange

        return {
            split: None if text == _NONE else RecordRange.parse(text)
            for split, text in self._given().items()
        }

    def prepare(self, out: Path, *, workers: int = 1) -> None:
        from denf.data.multi_objects import prepare_objects

        ranges = self._ranges()
        workers = max(1, workers - 1)  # a separate thread reads and inflates
        prepare_objects(
            self.published_file(), self._file(), out, size=self.size, ranges=ranges, workers=workers
        )


class Clevr6(MultiObjects):
    """CLEVR (with masks), scenes with at most six objects."""

    source: Literal["clevr6"]
    """Which source."""

    def published_file(self) -> ObjectsFile:
        from denf.data.multi_objects_files import CLEVR6

        return CLEVR6


class Clevr10(MultiObjects):
    """CLEVR (with masks), all scenes."""

    source: Literal["clevr10"]
    """Which source."""

    def published_file(self) -> ObjectsFile:
        from denf.data.multi_objects_files import CLEVR10

        return CLEVR10


class MultiDSprites(MultiObjects):
    """Multi-dSprites."""

    source: Literal["multi-dsprites"]
    """Which source."""
    variant: Sprites
    """Which of the published files."""

    def published_file(self) -> ObjectsFile:
        from denf.data.multi_objects_files import MULTI_DSPRITES

        return MULTI_DSPRITES[self.variant]


class Tetrominoes(MultiObjects):
    """Tetrominoes."""

    source: Literal["tetrominoes"]
    """Which source."""

    def published_file(self) -> ObjectsFile:
        from denf.data.multi_objects_files import TETROMINOES

        return TETROMINOES


class ObjectsRoom(MultiObjects):
    """Objects Room."""

    source: Literal["objects-room"]
    """Which source."""
    variant: Room = Room.TRAIN
    """Which of the published files; all but `train` have only a test split."""

    @property
    def default_splits(self) -> tuple[str, ...]:
        return super().default_splits if self.variant is Room.TRAIN else ("test",)

    def published_file(self) -> ObjectsFile:
        from denf.data.multi_objects_files import OBJECTS_ROOM

        return OBJECTS_ROOM[self.variant]
