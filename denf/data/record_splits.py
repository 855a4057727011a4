"""Splits of a file of records: ranges of record numbers, filled in one pass over the file.

A gzip stream can only be read from its start, so all splits are made together. Record numbers are
the only order that every reader of such a file shares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from denf.data.ingest import SceneWriter
from denf.errors import DenfError


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
            DenfError: when `text` has another form.
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

    @property
    def most(self) -> int | None:
        """The largest number of scenes; None where the file's length decides."""
        records = None if self.stop is None else self.stop - self.start
        return min((n for n in (records, self.scenes) if n is not None), default=None)

    def holds(self, index: int) -> bool:
        """Whether record `index` belongs to the split."""
        return self.start <= index and (self.stop is None or index < self.stop)


def chosen_ranges(
    own: Mapping[str, RecordRange], given: Mapping[str, RecordRange | None]
) -> dict[str, RecordRange]:
    """The records of each split that is made.

    Args:
        own: those of the published file.
        given: those in place of the file's own; None: the split is not made.
    """
    return {name: records for name, records in {**own, **given}.items() if records is not None}


def check_ranges(ranges: Mapping[str, RecordRange]) -> None:
    """Refuse splits that are empty or share a record.

    Raises:
        DenfError: names the split.
    """
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


@dataclass
class Split:
    """State of a split while the file is read.

    Args:
        name: of the split.
        records: of the split.
        writer: an entered writer.
        written: number of scenes written before an interruption.
        kept: number of scenes found so far, including those written before an interruption.
    """

    name: str
    records: RecordRange
    writer: SceneWriter
    written: int
    kept: int = 0

    @property
    def full(self) -> bool:
        """Whether the split has reached its largest number of scenes."""
        return self.records.scenes is not None and self.kept >= self.records.scenes

    def complete(self, records: int) -> bool:
        """Whether no record after the first `records` of the file can belong to the split."""
        return self.full or (self.records.stop is not None and records >= self.records.stop)

    def keep(self) -> int | None:
        """Count one more scene and return its number, or None when it is already written."""
        number, self.kept = self.kept, self.kept + 1
        return None if number < self.written else number

    def check(self, file: Path, records: int) -> None:
        """Refuse a file that ended before the split was complete.

        Raises:
            DenfError: names file and split.
        """
        ended_early = self.records.stop is not None and not self.complete(records)
        if ended_early or not self.kept:
            raise DenfError(
                f"{file}, split {self.name}",
                expected=str(self.records),
                got=f"{self.kept} scenes in a file of {records} records",
                fix="Fetch the whole file, or choose other records for the splits.",
            )
