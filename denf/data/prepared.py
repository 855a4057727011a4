"""The prepared format: one folder per split, read by memory map.

A folder holds `images.npy` uint8 (N, H, W, 3), `masks.npy` uint8 (N, H, W) with 0 for background
and 1…K for objects (absent without true masks), `empty.npy` uint8 (N, H, W, 3) with the same scenes
without their objects (where rendered), `factors.csv` where known, and `dataset.json`: the source,
how the folder was made, and the numbers of scenes, in total and by their number of objects.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from denf.errors import DenfError
from denf.files import write_atomically
from denf.reading import read_json_mapping, reading

Array = NDArray[np.uint8]
MAX_OBJECTS = 254  # labels are uint8 and 0 is the background; one value is reserved
_AGAIN = "Prepare the data again."
_MISSING = "Prepare the data with `denf data prepare`; config/README.md lists the sources."
_ARRAYS = ("images.npy", "masks.npy", "empty.npy")
_VERIFIED = ".verified.json"  # arrays that matched their checksums, by size and time
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Prepared:
    """A prepared split, opened by memory map.

    Args:
        folder: path of the split.
        info: the contents of `dataset.json`.
        images: uint8 (N, H, W, 3).
        masks: uint8 (N, H, W), 0 background and 1…K objects; None without true masks.
        empty: uint8 (N, H, W, 3), the scenes without their objects; None where not rendered.
    """

    folder: Path
    info: Mapping[str, Any]
    images: Array
    masks: Array | None
    empty: Array | None = None

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
    info = read_json_mapping(
        folder / "dataset.json", expected="the description of prepared data", fix=_MISSING
    )
    hashes = info.get("sha256")
    if not isinstance(hashes, dict) or not all(
        name in _ARRAYS and isinstance(value, str) and _SHA256.fullmatch(value)
        for name, value in hashes.items()
    ):
        raise DenfError(
            f"{folder}/dataset.json",
            expected=f"the key `sha256` with a checksum for each of {', '.join(_ARRAYS)} there is",
            got=repr(hashes),
            fix=_AGAIN,
        )
    images, masks, empty = (_open_array(folder, name, hashes) for name in _ARRAYS)
    if images is None:
        raise DenfError(
            f"{folder}/dataset.json", expected="a checksum of images.npy", got="none", fix=_AGAIN
        )
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise DenfError(
            f"{folder}/images.npy",
            expected="uint8 (N, H, W, 3), N at least 1",
            got=f"{images.dtype} {images.shape}",
            fix=_AGAIN,
        )
    for name, array, shape in (
        ("masks.npy", masks, images.shape[:3]),
        ("empty.npy", empty, images.shape),
    ):
        if array is not None and (array.dtype != np.uint8 or array.shape != shape):
            raise DenfError(
                f"{folder}/{name}",
                expected=f"uint8 {shape}",
                got=f"{array.dtype} {array.shape}",
                fix=_AGAIN,
            )
    return Prepared(folder, info, images, masks, empty)


def open_verified(folder: Path | str) -> Prepared:
    """Open a prepared folder after comparing its arrays with their checksums.

    Every array is compared only once; `.verified.json` in the folder records the file by its size
    and time of change.

    Raises:
        DenfError: as `open_prepared`, and when an array differs from its checksum.
    """
    data = open_prepared(folder)
    memory = data.folder / _VERIFIED
    known: dict[str, Any] = {}
    if memory.is_file():
        with contextlib.suppress(DenfError):  # an unreadable record: all arrays are compared again
            known = read_json_mapping(memory, expected="what was verified", fix="")
    found: dict[str, Any] = {}
    for name, sha256 in data.info["sha256"].items():
        path = data.folder / name
        with reading(path, expected="a readable array", fix=_AGAIN):
            state = path.stat()
            found[name] = [state.st_size, state.st_mtime_ns, sha256]
            if known.get(name) == found[name]:
                continue
            with path.open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != sha256:
            raise DenfError(
                str(path),
                expected=f"SHA-256 {sha256}, as dataset.json says",
                got=actual,
                fix=f"The file has changed or is damaged. {_AGAIN}",
            )
    if known != found:
        with contextlib.suppress(OSError):  # a read-only folder: compared each time
            write_atomically(memory, json.dumps(found))
    return data


def _open_array(folder: Path, name: str, hashes: Mapping[str, str]) -> Array | None:
    """An array by memory map; None where the description has none."""
    path = folder / name
    if name not in hashes:
        if path.exists():
            raise DenfError(
                str(path),
                expected="a checksum in dataset.json",
                got="none",
                fix=f"Remove the file, or: {_AGAIN[0].lower()}{_AGAIN[1:]}",
            )
        return None
    with reading(path, expected="a whole NumPy array", fix=_AGAIN):
        array: Array = open_memmap(path, mode="r")
        return array
