"""The prepared format: one folder a split, read by memory map.

A folder holds `images.npy` uint8 (N, H, W, 3), `masks.npy` uint8 (N, H, W) with 0 for background
and 1…K for objects (absent when there is no truth), `factors.csv` where known, and `dataset.json`:
where it comes from, how it was made, the count of scenes and how many have how many objects.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from denf import __version__
from denf.errors import DenfError
from denf.files import write_atomically

Array = NDArray[np.uint8]
MAX_OBJECTS = 254  # labels are uint8 and 0 is the background; one value is kept free
_HEADER_BYTES = 128  # a version-1 .npy header of any shape used here, padded by NumPy to 64


@dataclass(frozen=True)
class Prepared:
    """A prepared split, opened by memory map.

    Args:
        folder: where it lies.
        info: the contents of `dataset.json`.
        images: uint8 (N, H, W, 3).
        masks: uint8 (N, H, W), 0 background and 1…K objects; None when there is no truth.
    """

    folder: Path
    info: Mapping[str, Any]
    images: Array
    masks: Array | None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of the square images in pixels."""
        return int(self.images.shape[1])

    @property
    def sha256(self) -> str:
        """One hash over the hashes of all arrays: the identity of the data."""
        joined = "".join(f"{k}:{v};" for k, v in sorted(self.info["sha256"].items()))
        return hashlib.sha256(joined.encode()).hexdigest()


def open_prepared(folder: Path | str) -> Prepared:
    """Open a prepared folder without reading its arrays into memory.

    Raises:
        DenfError: when a file is missing or its shape or type differs from the format.
    """
    folder = Path(folder)
    mask_file = folder / "masks.npy"
    try:
        info = json.loads((folder / "dataset.json").read_text())
        images = np.load(folder / "images.npy", mmap_mode="r")
        masks = np.load(mask_file, mmap_mode="r") if mask_file.exists() else None
    except (OSError, ValueError, EOFError) as error:
        raise DenfError(
            f"prepared data {folder}",
            expected="dataset.json and images.npy",
            got=error,
            fix="Prepare it with `denf data …`; `denf data --help` lists the sources.",
        ) from error
    if not isinstance(info, dict) or not isinstance(info.get("sha256"), dict):
        raise DenfError(
            f"{folder}/dataset.json",
            expected="a description with the key `sha256`",
            got=sorted(info) if isinstance(info, dict) else type(info).__name__,
            fix="Prepare the data again.",
        )
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise DenfError(
            f"{folder}/images.npy",
            expected="uint8 (N, H, W, 3), N at least 1",
            got=f"{images.dtype} {images.shape}",
            fix="Prepare the data again.",
        )
    if masks is not None and (masks.dtype != np.uint8 or masks.shape != images.shape[:3]):
        raise DenfError(
            f"{folder}/masks.npy",
            expected=f"uint8 {images.shape[:3]}",
            got=f"{masks.dtype} {masks.shape}",
            fix="Prepare the data again.",
        )
    return Prepared(folder, info, images, masks)


class PreparedWriter:
    """Append scenes to a prepared folder; nothing is visible under `out` until all is written.

    The arrays grow in `<out>.partial/`. A normal exit of the `with` block hashes them, writes
    `dataset.json` and renames the folder; an exception leaves the partial folder, and the next
    writer with the same `info` continues after the last complete batch (`count` says where).

    Args:
        out: the folder to make; must not exist.
        size: side of the square images in pixels.
        masks: whether every scene comes with a mask.
        info: name, source, licence, split, crop and resize rule …: what `dataset.json` shall say.
            A partial folder made with other values is discarded.
    """

    def __init__(self, out: Path | str, *, size: int, masks: bool, info: Mapping[str, Any]) -> None:
        self.out, self.size, self.has_masks = Path(out), size, masks
        self.info = {**info, "size": size, "masks": masks, "code_version": __version__}
        self.partial = self.out.with_name(self.out.name + ".partial")
        self.count = 0
        self._files: dict[str, BinaryIO] = {}
        self._open = contextlib.ExitStack()
        self._fields: list[str] = []
        self._objects: Counter[int] = Counter()

    def __enter__(self) -> PreparedWriter:
        if self.out.exists():
            raise DenfError(
                f"output folder {self.out}",
                expected="a path that does not exist",
                got="an existing one",
                fix="Choose another --out or remove the folder.",
            )
        self._resume()
        return self

    def _resume(self) -> None:
        progress_file = self.partial / "progress.json"
        progress = json.loads(progress_file.read_text()) if progress_file.exists() else None
        if progress is None or progress["info"] != json.loads(json.dumps(self.info)):
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
            progress = {"count": 0, "factor_bytes": 0, "fields": [], "objects": {}}
        self.count, self._fields = progress["count"], progress["fields"]
        self._objects = Counter({int(n): scenes for n, scenes in progress["objects"].items()})
        lengths = {"images.npy": self.size**2 * 3}
        if self.has_masks:
            lengths["masks.npy"] = self.size**2
        places = {name: _HEADER_BYTES + self.count * item for name, item in lengths.items()}
        places["factors.csv"] = progress["factor_bytes"]
        with contextlib.ExitStack() as opened:  # closes what is open when one cannot be opened
            for name, position in places.items():
                self._files[name] = opened.enter_context(self._open_at(name, position))
            self._open = opened.pop_all()

    def _open_at(self, name: str, position: int) -> BinaryIO:
        path = self.partial / name
        path.touch()
        file = path.open("r+b")
        file.truncate(position)  # drops a half-written batch, or makes room for the header
        file.seek(position)
        return file

    def append(
        self,
        images: Array,
        masks: Array | None = None,
        factors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Add a batch of scenes.

        Args:
            images: uint8 (n, size, size, 3).
            masks: uint8 (n, size, size), exactly when the writer was made with `masks=True`.
            factors: rows for `factors.csv`; all rows of a data set have the same keys.
        """
        shape = (len(images), self.size, self.size)
        if images.dtype != np.uint8 or images.shape != (*shape, 3):
            raise ValueError(
                f"images: expected uint8 {(*shape, 3)}, got {images.dtype} {images.shape}"
            )
        if (masks is None) == self.has_masks:
            raise ValueError(f"masks: expected {self.has_masks}, got {masks is not None}")
        self._files["images.npy"].write(np.ascontiguousarray(images).tobytes())
        if masks is not None:
            if masks.dtype != np.uint8 or masks.shape != shape:
                raise ValueError(f"masks: expected uint8 {shape}, got {masks.dtype} {masks.shape}")
            self._files["masks.npy"].write(np.ascontiguousarray(masks).tobytes())
            self._objects.update(_count_labels(mask) for mask in masks)
        self._append_factors(factors)
        self.count += len(images)
        for file in self._files.values():
            file.flush()
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
        self._files["factors.csv"].write(text.getvalue().encode())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shapes: dict[str, tuple[int, ...]] = {"images.npy": (self.count, self.size, self.size, 3)}
        if self.has_masks:
            shapes["masks.npy"] = (self.count, self.size, self.size)
        if kind is not None:
            with contextlib.suppress(OSError):  # a full disk again; the first error is the one
                self._open.close()
            return
        with self._open:  # closes every file, even when another cannot be closed
            for name, shape in shapes.items():
                self._files[name].seek(0)
                self._files[name].write(_header(shape))
        self._publish(list(shapes))

    def _publish(self, arrays: list[str]) -> None:
        hashes = {}
        for name in arrays:
            with (self.partial / name).open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        if not self._fields:
            (self.partial / "factors.csv").unlink()
        (self.partial / "progress.json").unlink(missing_ok=True)
        description = {**self.info, "count": self.count}
        if self.has_masks:
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
