"""The files of a decomposed picture, and its entry in `objects.json`."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from denf.errors import DenfError
from denf.files import write_atomically
from denf.palette import instance_bytes
from denf.pictures.result import PictureDecomposition

MOST_OBJECTS = 255  # largest number of objects that 8-bit labels allow
_COMPRESSION = 3  # of zlib, 0 to 9: half the time of the default 6, for files a tenth larger


def write_decomposition(
    result: PictureDecomposition, folder: Path, picture: Path
) -> dict[str, Any]:
    """Write the decomposition of a picture.

    The folder gets `input.png`, the square that was decomposed; `labels.png` (8-bit labels with a
    palette, 0 background); `background.png`; for each object k `object-<k>.png`, the whole object
    on the generated background, and `cut-out-<k>.png`, the object's pixels of the picture, else
    transparent; `overlay.png` (outlines, boxes and numbers over the picture); and `objects.json`,
    the entry:

    - `picture`, `folder`, and `size`, the side of the square in pixels of `input.png`;
    - `objects`, each as in `describe_objects`, with `file` and `cut_out`, its two pictures.

    Args:
        result: the decomposition.
        folder: created when missing. Files of objects from an earlier call are removed.
        picture: the file that was decomposed.

    Returns:
        the entry.

    Raises:
        DenfError: for more objects than labels can number.
    """
    if len(result) > MOST_OBJECTS:
        raise DenfError(
            f"picture {picture}",
            expected=f"at most {MOST_OBJECTS} objects, which 8-bit labels can number",
            got=len(result),
            fix="Train the model longer, or on pictures like this one.",
        )
    coloured = Image.fromarray(result.labels.astype(np.uint8))
    coloured.putpalette([0, 0, 0, *instance_bytes(MOST_OBJECTS).ravel().tolist()])
    files = {
        "input.png": Image.fromarray(result.image),
        "labels.png": coloured,
        "background.png": Image.fromarray(result.background),
        "overlay.png": result.overlay(),
    }
    objects = describe_objects(result)
    for entry, whole, cut_out in zip(objects, result.whole, result.objects, strict=True):
        entry["file"] = f"object-{entry['number']}.png"
        entry["cut_out"] = f"cut-out-{entry['number']}.png"
        files[entry["file"]] = Image.fromarray(whole)
        files[entry["cut_out"]] = Image.fromarray(cut_out)
    entry = {
        "picture": str(picture),
        "folder": str(folder),
        "size": len(result.labels),
        "objects": objects,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in files.items():
        data = io.BytesIO()
        image.save(data, "PNG", compress_level=_COMPRESSION)
        write_atomically(folder / name, data.getvalue())
    write_entry(entry, folder)
    for old in (*folder.glob("object-*.png"), *folder.glob("cut-out-*.png")):
        if old.name not in files:  # from a model that found more objects
            old.unlink()
    return entry


def describe_objects(
    result: PictureDecomposition, numbers: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Plain description of each object.

    Args:
        result: a decomposition with K objects.
        numbers: of the objects, K; default: their labels.

    Returns:
        for each object its `number`; `box`, [x0, y0, x1, y1] in pixels of the square, and
        `box_in_picture` in pixels of the upright picture, which may both extend beyond it; `area`
        in pixels of the square and `area_fraction`, the fraction of the square; `score`, see
        `PictureDecomposition`.
    """
    areas = np.bincount(result.labels.ravel(), minlength=len(result) + 1)[1:]
    return [
        {
            "number": number,
            "box": [round(value, 2) for value in box],
            "box_in_picture": [round(value, 2) for value in own],
            "area": area,
            "area_fraction": round(area / result.labels.size, 6),
            "score": round(score, 4),
        }
        for number, box, own, area, score in zip(
            range(1, len(result) + 1) if numbers is None else numbers,
            result.boxes.tolist(),
            result.boxes_in_picture.tolist(),
            areas.tolist(),
            result.scores.tolist(),
            strict=True,
        )
    ]


def write_entry(entry: Mapping[str, Any], folder: Path) -> None:
    """Write `objects.json`."""
    write_atomically(folder / "objects.json", json.dumps(entry, indent=2) + "\n")
