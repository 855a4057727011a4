"""Writing single scenes to a prepared folder: batching, resuming, clean-up after bad input."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from denf.data.archive import SourceFile
from denf.data.in_order import in_order
from denf.data.prepared_writer import PreparedWriter
from denf.errors import DenfError
from denf.reading import read_json_mapping

Array = NDArray[np.uint8]
T = TypeVar("T")
_BATCH = 64


@dataclass(frozen=True)
class Scene:
    """One scene of a prepared folder.

    Args:
        image: uint8 (size, size, 3).
        mask: uint8 (size, size), or None without true masks.
        factors: its rows of `factors.csv`.
    """

    image: Array
    mask: Array | None = None
    factors: Sequence[Mapping[str, Any]] = ()


class SceneWriter:
    """Write scenes to a prepared folder; `count` includes those of an interrupted preparation.

    A `DenfError` inside the `with` block (bad input) removes what was written; any other failure
    (full disk, interruption) keeps it, and the next writer with the same `info` continues.

    Args: as `PreparedWriter`.
    """

    def __init__(
        self, out: Path, *, size: int, masks: bool, info: Mapping[str, Any], count: int = 0
    ) -> None:
        self._writer = PreparedWriter(out, size=size, masks=masks, info=info, count=count)
        self._waiting: list[Scene] = []

    @property
    def count(self) -> int:
        """Scenes written so far, including those of an interrupted preparation."""
        return self._writer.count + len(self._waiting)

    def __enter__(self) -> SceneWriter:
        self._writer.__enter__()
        return self

    def add(self, scene: Scene) -> None:
        """Add one scene."""
        self._waiting.append(scene)
        if len(self._waiting) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            images = np.stack([s.image for s in self._waiting])
            masks = [s.mask for s in self._waiting if s.mask is not None]
            rows = [row for s in self._waiting for row in s.factors]
            self._writer.append(images, np.stack(masks) if masks else None, rows)
            self._waiting.clear()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self._flush()
            except BaseException:
                self._writer.__exit__(*sys.exc_info())
                raise
        self._writer.__exit__(kind, error, trace)
        if isinstance(error, DenfError):
            shutil.rmtree(self._writer.partial, ignore_errors=True)
            with contextlib.suppress(OSError):  # the parent may hold something else
                self._writer.partial.parent.rmdir()


def write_scenes(
    writer: SceneWriter,
    items: Sequence[T],
    load: Callable[[int, T], Scene],
    *,
    label: str,
    workers: int = 1,
) -> None:
    """Load every item and write it; items of an interrupted preparation are not loaded again.

    Args:
        writer: an entered writer.
        items: what the scenes are made from, in order.
        load: makes the scene of (its number, its item).
        label: of the progress bar.
        workers: threads that load; the files do not depend on their number.
    """
    done = writer.count
    rest = enumerate(items[done:], start=done)
    scenes = in_order(lambda pair: load(*pair), rest, workers=workers, waiting=4 * workers)
    for scene in tqdm(
        scenes, total=len(items), initial=done, desc=label, unit="scene", disable=None
    ):
        writer.add(scene)


def pending_splits(out: Path, infos: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Splits under `out` still to be made: those finished before an interruption are left out.

    Args:
        out: the folder of the splits.
        infos: by split, its description.

    Raises:
        DenfError: when all splits exist, or one was made with other settings.
    """
    pending = []
    for split, info in infos.items():
        if not (out / split).exists():
            pending.append(split)
        elif not _described(out / split, info):
            raise _exists(out / split, "one made from another source or with other settings")
    if not pending:
        raise _exists(out, "an existing one")
    return pending


def _described(folder: Path, info: Mapping[str, Any]) -> bool:
    try:
        found = read_json_mapping(
            folder / "dataset.json", expected="a description", fix="Prepare the data again."
        )
    except DenfError:
        return False
    return all(found.get(key) == value for key, value in json.loads(json.dumps(info)).items())


def _exists(folder: Path, got: str) -> DenfError:
    return DenfError(
        f"output folder {folder}",
        expected="a path that does not exist",
        got=got,
        fix="Choose another --out or remove the folder.",
    )


def listing_sha256(files: Iterable[SourceFile]) -> str:
    """Hash of the names and sizes of the files: distinguishes sources without reading them."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(f"{file.path}\0{file.size}\n"))
    return digest.hexdigest()
