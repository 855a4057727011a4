"""The prepared format: one folder a split, read by memory map.

A folder holds `images.npy` uint8 (N, H, W, 3), `masks.npy` uint8 (N, H, W) with 0 for background
and 1…K for objects (absent when there is no truth), `empty.npy` uint8 (N, H, W, 3) with the same
scenes without their objects (where a renderer made them), `factors.csv` where known, and
`dataset.json`: where it comes from, how it was made, the count of scenes and how many have how many
objects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denf.errors import DenfError

Array = NDArray[np.uint8]
MAX_OBJECTS = 254  # labels are uint8 and 0 is the background; one value is kept free
_AGAIN = "Prepare the data again."


@dataclass(frozen=True)
class Prepared:
    """A prepared split, opened by memory map.

    Args:
        folder: where it lies.
        info: the contents of `dataset.json`.
        images: uint8 (N, H, W, 3).
        masks: uint8 (N, H, W), 0 background and 1…K objects; None when there is no truth.
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
    try:
        info = json.loads((folder / "dataset.json").read_text())
        images = np.load(folder / "images.npy", mmap_mode="r")
        masks, empty = (
            np.load(path, mmap_mode="r") if path.exists() else None
            for path in (folder / "masks.npy", folder / "empty.npy")
        )
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
            fix=_AGAIN,
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
