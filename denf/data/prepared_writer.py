"""Writing the prepared format: batch by batch, resumable, published only when complete."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from denf import __version__
from denf.data.prepared import Array
from denf.data.sources.source import MOST_SIDE
from denf.errors import DenfError
from denf.files import check_space, write_atomically, writing_to
from denf.locks import locked
from denf.reading import read_json_mapping

_HEADER_BYTES = 128  # of a version-1 .npy header of any shape used here; NumPy pads to 64 bytes


class PreparedWriter:
    """Append scenes to a prepared folder; nothing is visible under `out` until all is written.

    The arrays grow in `<out>.partial/`. A normal exit of the `with` block hashes them, writes
    `dataset.json` and renames the folder; an exception leaves the partial folder, and the next
    writer with the same `info` continues after the last complete batch, at scene `count`.

    Args:
        out: the folder to make; must not exist.
        size: side of the square images in pixels.
        masks: whether every scene comes with a mask.
        info: name, source, licence, split, crop and resize rule …: contents of `dataset.json`.
            A partial folder made with other values is discarded.
        empty: whether every scene comes with a picture of the scene without its objects.
        count: number of scenes, for which the disk must have room; 0: not known yet.
    """

    def __init__(
        self,
        out: Path | str,
        *,
        size: int,
        masks: bool,
        info: Mapping[str, Any],
        empty: bool = False,
        count: int = 0,
    ) -> None:
        if size > MOST_SIDE:
            raise DenfError(
                f"images of {info.get('name')}",
                expected=f"at most {MOST_SIDE} pixels a side",
                got=size,
                fix="Choose a smaller size.",
            )
        self.out = Path(out)
        self._scenes = count
        self.info = {**info, "size": size, "masks": masks, "code_version": __version__}
        self._items: dict[str, tuple[int, ...]] = {"images.npy": (size, size, 3)}  # one scene each
        if masks:
            self._items["masks.npy"] = (size, size)
        if empty:
            self._items["empty.npy"] = (size, size, 3)
            self.info["empty"] = True
        self.partial = self.out.with_name(self.out.name + ".partial")
        self.count = 0
        self._files: dict[str, BinaryIO] = {}
        self._open = contextlib.ExitStack()
        self._lock = contextlib.ExitStack()
        self._fields: list[str] = []
        self._objects: Counter[int] = Counter()

    def __enter__(self) -> PreparedWriter:
        with contextlib.ExitStack() as stack:
            lock = self.out.with_name(f".{self.out.name}.lock")
            stack.enter_context(locked(lock, f"output folder {self.out}", remove=True))
            if self.out.exists():
                raise DenfError(
                    f"output folder {self.out}",
                    expected="a path that does not exist",
                    got="an existing one",
                    fix="Choose another --out or remove the folder.",
                )
            self._resume()
            self._lock = stack.pop_all()
        return self

    def _resume(self) -> None:
        progress = self._progress()
        missing = self._scenes - (0 if progress is None else progress["count"])
        each = sum(math.prod(item) for item in self._items.values())
        check_space(self.out, max(missing, 0) * each)
        if progress is None:
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
            progress = {"count": 0, "factor_bytes": 0, "fields": [], "objects": {}}
        self.count, self._fields = progress["count"], progress["fields"]
        self._objects = Counter({int(n): scenes for n, scenes in progress["objects"].items()})
        places = self._places(self.count, progress["factor_bytes"])
        with contextlib.ExitStack() as opened:  # closes all when one cannot be opened
            for name, position in places.items():
                self._files[name] = opened.enter_context(self._open_at(name, position))
            self._open = opened.pop_all()

    def _progress(self) -> dict[str, Any] | None:
        """Progress of an interrupted preparation; None when there is nothing to continue."""
        path = self.partial / "progress.json"
        try:
            progress = read_json_mapping(path, expected="the progress", fix="")
            places = self._places(progress["count"], progress["factor_bytes"])
            short = any(
                (self.partial / name).stat().st_size < size
                for name, size in places.items()
                if progress["count"]
            )
            same = progress["info"] == json.loads(json.dumps(self.info))
            whole = isinstance(progress["fields"], list) and isinstance(progress["objects"], dict)
        except (DenfError, OSError, KeyError, TypeError):
            return None
        return progress if same and whole and not short else None

    def _places(self, count: int, factor_bytes: int) -> dict[str, int]:
        """Size in bytes of every file after `count` scenes."""
        places = {
            name: _HEADER_BYTES + count * math.prod(item) for name, item in self._items.items()
        }
        return {**places, "factors.csv": factor_bytes}

    def _open_at(self, name: str, position: int) -> BinaryIO:
        path = self.partial / name
        path.touch()
        file = path.open("r+b")
        file.truncate(position)  # drops a half-written batch, or reserves space for the header
        file.seek(position)
        return file

    def append(
        self,
        images: Array,
        masks: Array | None = None,
        factors: Sequence[Mapping[str, Any]] = (),
        empty: Array | None = None,
    ) -> None:
        """Add a batch of scenes.

        Args:
            images: uint8 (n, size, size, 3).
            masks: uint8 (n, size, size), exactly when the writer was made with `masks=True`.
            factors: rows for `factors.csv`; all rows of a data set have the same keys.
            empty: uint8 (n, size, size, 3), exactly when the writer was made with `empty=True`.
        """
        given = {"images.npy": images, "masks.npy": masks, "empty.npy": empty}
        for path, array in given.items():
            name, item = path.removesuffix(".npy"), self._items.get(path)
            if (array is None) != (item is None):
                wanted, got = (
                    "an array" if there else "none"
                    for there in (item is not None, array is not None)
                )
                raise ValueError(f"{name}: expected {wanted}, got {got}")
            if array is not None and item is not None:
                shape = (len(images), *item)
                if array.dtype != np.uint8 or array.shape != shape:
                    raise ValueError(
                        f"{name}: expected uint8 {shape}, got {array.dtype} {array.shape}"
                    )
        with writing_to(self.partial):
            self._append(given, masks, factors, len(images))

    def _append(
        self,
        given: Mapping[str, Array | None],
        masks: Array | None,
        factors: Sequence[Mapping[str, Any]],
        count: int,
    ) -> None:
        for path, array in given.items():
            if array is not None:
                self._files[path].write(np.ascontiguousarray(array).tobytes())
        if masks is not None:
            self._objects.update(_count_labels(mask) for mask in masks)
        self._append_factors(factors)
        self.count += count
        for file in self._files.values():  # on the disk before the progress counts them
            file.flush()
            os.fsync(file.fileno())
        position = self._files["factors.csv"].tell()
        progress = {
            "count": self.count,
            "factor_bytes": position,
            "fields": self._fields,
            "objects": self._objects,
            "info": self.info,
        }
        write_atomically(self.partial / "progress.json", json.dumps(progress))

    def _append_factors(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            if not self._fields:
                self._fields = list(row)
                self._write_row(self._fields)
            self._write_row([row[field] for field in self._fields])

    def _write_row(self, values: Sequence[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        # names of pictures may hold bytes that are not text
        self._files["factors.csv"].write(text.getvalue().encode("utf-8", "backslashreplace"))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock, writing_to(self.partial) if kind is None else contextlib.nullcontext():
            if kind is not None:
                with contextlib.suppress(OSError):  # a full disk again; the first error is raised
                    self._open.close()
                return
            with self._open:  # closes every file, even when another cannot be closed
                for name, item in self._items.items():
                    self._files[name].seek(0)
                    self._files[name].write(_header((self.count, *item)))
                    self._files[name].flush()
                    os.fsync(self._files[name].fileno())
            self._publish()

    def _publish(self) -> None:
        hashes = {}
        for name in self._items:
            with (self.partial / name).open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        if not self._fields:
            (self.partial / "factors.csv").unlink()
        (self.partial / "progress.json").unlink(missing_ok=True)
        description = {**self.info, "count": self.count}
        if "masks.npy" in self._items:
            description["objects_per_scene"] = dict(sorted(self._objects.items()))
        description["sha256"] = hashes
        write_atomically(self.partial / "dataset.json", json.dumps(description, indent=2) + "\n")
        os.replace(self.partial, self.out)


def _count_labels(mask: Array) -> int:
    """Number of objects that have a pixel in a mask."""
    return int(np.count_nonzero(np.bincount(mask.ravel(), minlength=256)[1:]))


def _header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    header = buffer.getvalue()
    if len(header) != _HEADER_BYTES:
        raise ValueError(f"npy header: expected {_HEADER_BYTES} bytes, got {len(header)}")
    return header
