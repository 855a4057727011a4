"""A user's own pictures through a trained method: labels, background, whole objects, overlay."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from denf.data.crop import Array, Kernel, crop_box, resize_image
from denf.data.decode import decode_image
from denf.errors import DenfError
from denf.files import write_atomically
from denf.harness.method import Capability, Method
from denf.overlay import overlay
from denf.palette import instance_bytes
from denf.reading import read_bytes

BATCH = 16  # pictures that are decomposed together
MOST_OBJECTS = 255  # that 8-bit labels can number


@dataclass(frozen=True)
class Square:
    """The part of a picture that is decomposed.

    Args:
        picture: the file.
        image: the centred square, resized to the model's input, uint8 (S, S, 3).
        left, top: where the square starts, in pixels of the picture as it is to be seen (upright
            by its EXIF orientation).
        side: of the square, in pixels of the picture.
    """

    picture: Path
    image: Array
    left: int
    top: int
    side: int

    def in_picture(self, box: Sequence[float]) -> list[float]:
        """A box in pixels of the model's input as one in pixels of the picture."""
        scale = self.side / len(self.image)
        starts = (self.left, self.top, self.left, self.top)
        return [start + scale * value for start, value in zip(starts, box, strict=True)]


@torch.no_grad()
def decompose_pictures(method: Method, pictures: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """Decompose pictures and write what was found, one folder per picture.

    The largest centred square is resized to the size that the method was trained at. A folder
    holds `input.png`, `labels.png` (8-bit labels with a palette, 0 background), `background.png`,
    `object-<k>.png` (object k, whole, on the generated background), `overlay.png` (outlines, boxes
    and numbers over the picture) and `objects.json`, the picture's entry:

    - `picture`, `folder`, and `size`, the side of the model's input in pixels;
    - `objects`, each with `number`, its label; `box`, [x0, y0, x1, y1] in pixels of the model's
      input, and `box_in_picture` in pixels of the upright picture, both possibly reaching out of
      it; `area` in pixels of the model's input and `area_fraction` of it; `score`, the mean
      presence over the object's cells, in [0, 1]; `file`, its picture in the folder.

    Args:
        method: in evaluation mode, with INSPECT.
        pictures: files.
        out: folder; made when missing. Objects of an earlier call for the same picture go.

    Returns:
        one entry per picture, in order.

    Raises:
        DenfError: for a method that cannot decompose, a file that is no picture, or two files of
            one name, before anything is written; for more objects than labels can number.
    """
    if Capability.INSPECT not in method.capabilities:
        raise DenfError(
            type(method).__name__,
            expected=f"a method that can {Capability.INSPECT}",
            got=", ".join(sorted(method.capabilities)) or "no capability",
            fix="Choose a run of DeNF.",
        )
    names = [path.stem for path in pictures]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DenfError(
            "pictures",
            expected="different names, since each gets a folder of its own",
            got=f"{names.count(twice[0])} named {twice[0]}",
            fix="Rename them or decompose them one by one.",
        )
    size = method.trained_size
    squares = [_centre_square(path, size) for path in pictures]
    entries = []
    for start in range(0, len(squares), BATCH):
        batch = squares[start : start + BATCH]
        images = torch.from_numpy(np.stack([square.image for square in batch]))
        found = method.inspect(images.to(method.device).permute(0, 3, 1, 2))
        arrays = {name: value.cpu().numpy() for name, value in found.items()}
        for k, square in enumerate(batch):
            one = {name: array[k] for name, array in arrays.items()}
            entries.append(_write(square, one, out / square.picture.stem))
    return entries


def _centre_square(path: Path, size: int) -> Square:
    image = decode_image(read_bytes(path, fix="Check the path."), str(path))
    height, width, _ = image.shape
    rows, columns = crop_box(height, width, "centre")
    resized = resize_image(image[rows, columns], size, Kernel.BILINEAR)
    return Square(path, resized, columns.start, rows.start, rows.stop - rows.start)


def _write(square: Square, arrays: Mapping[str, NDArray[Any]], folder: Path) -> dict[str, Any]:
    """Write one picture's files; its entry.

    Args:
        square: the picture.
        arrays: what `inspect` says of it.
        folder: made when missing.
    """
    count = int(arrays["single_count"])
    if count > MOST_OBJECTS:
        raise DenfError(
            f"picture {square.picture}",
            expected=f"at most {MOST_OBJECTS} objects, which 8-bit labels can number",
            got=count,
            fix="Train the model longer, or on pictures like this one.",
        )
    labels, boxes = arrays["labels"].astype(np.uint8), arrays["boxes"][:count]
    coloured = Image.fromarray(labels)
    coloured.putpalette([0, 0, 0, *instance_bytes(MOST_OBJECTS).ravel().tolist()])
    files = {
        "input.png": Image.fromarray(square.image),
        "labels.png": coloured,
        "background.png": Image.fromarray(arrays["background"]),
        "overlay.png": overlay(square.image, labels, boxes.tolist()),
    }
    singles = {f"object-{k + 1}.png": arrays["singles"][k] for k in range(count)}
    files |= {name: Image.fromarray(single) for name, single in singles.items()}
    entry = {
        "picture": str(square.picture),
        "folder": str(folder),
        "size": len(square.image),
        "objects": _objects(square, labels, boxes, arrays["presence"], list(singles)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in files.items():
        data = io.BytesIO()
        picture.save(data, "PNG")
        write_atomically(folder / name, data.getvalue())
    write_atomically(folder / "objects.json", json.dumps(entry, indent=2) + "\n")
    for old in folder.glob("object-*.png"):  # of another model, that found more
        if old.name not in files:
            old.unlink()
    return entry


def _objects(
    square: Square,
    labels: NDArray[np.uint8],
    boxes: NDArray[Any],
    presence: NDArray[Any],
    files: Sequence[str],
) -> list[dict[str, Any]]:
    """Entries of `objects`.

    Args:
        square: the picture.
        labels: (S, S), 0 background and 1…K.
        boxes: (K, 4) in pixels of the model's input.
        presence: (h, w) in [0, 1].
        files: K names.
    """
    cell = len(labels) // len(presence)  # pixels per side of a cell
    cells = labels[::cell, ::cell]
    return [
        {
            "number": number,
            "box": [round(float(value), 2) for value in box],
            "box_in_picture": [round(value, 2) for value in square.in_picture(box.tolist())],
            "area": int((labels == number).sum()),
            "area_fraction": round(float((labels == number).mean()), 6),
            "score": round(float(presence[cells == number].mean()), 4),
            "file": file,
        }
        for number, (box, file) in enumerate(zip(boxes, files, strict=True), start=1)
    ]
