"""A user's own pictures through a trained method: label map, boxes, background, objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image

from denf.data.crop import Array, Kernel, crop_box, resize_image
from denf.data.decode import decode_image
from denf.errors import DenfError
from denf.files import write_atomically
from denf.harness.method import Capability, Method


@torch.no_grad()
def decompose_pictures(method: Method, pictures: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """Decompose pictures and write what was found, one folder a picture.

    The largest centred square is resized to the size that the method was trained at. A folder
    holds `input.png`, `labels.png` (8-bit labels with a palette, 0 background), `boxes.json`,
    `background.png` and `object-<k>.png` (the scene with that object alone).

    Args:
        method: in evaluation mode, with SEGMENT and INSPECT.
        pictures: files.
        out: folder; made when missing.

    Returns:
        one entry a picture: `picture`, `folder`, `objects`, `boxes`.

    Raises:
        DenfError: for a method that cannot decompose, a file that is no picture, or two files of
            one name; nothing is written.
    """
    needed = {Capability.SEGMENT, Capability.INSPECT}
    if not needed <= method.capabilities:
        raise DenfError(
            type(method).__name__,
            expected="a method that can " + " and ".join(sorted(needed)),
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
    found = []
    for picture, square in zip(pictures, squares, strict=True):
        images = torch.tensor(square)[None].to(method.device).permute(0, 3, 1, 2)
        folder = out / picture.stem
        folder.mkdir(parents=True, exist_ok=True)
        found.append(_write(method, images, picture, folder))
    return found


def _centre_square(path: Path, size: int) -> Array:
    try:
        image = decode_image(path.read_bytes(), str(path))
    except OSError as error:
        raise DenfError(
            f"picture {path}", expected="a readable file", got=error, fix="Check the path."
        ) from error
    height, width, _ = image.shape
    box = crop_box(height, width, "centre")
    return resize_image(image[box], size, Kernel.BILINEAR)


def _write(method: Method, images: torch.Tensor, picture: Path, folder: Path) -> dict[str, Any]:
    labels = method.segment(images).labels[0].cpu().numpy().astype(np.uint8)
    arrays = {name: value[0].cpu().numpy() for name, value in method.inspect(images).items()}
    count = int(arrays["single_count"])
    boxes = [[round(float(v), 2) for v in box] for box in arrays["boxes"][:count]]
    Image.fromarray(images[0].permute(1, 2, 0).cpu().numpy()).save(folder / "input.png")
    Image.fromarray(arrays["background"]).save(folder / "background.png")
    for k in range(count):
        Image.fromarray(arrays["singles"][k]).save(folder / f"object-{k + 1}.png")
    coloured = Image.fromarray(labels, mode="P")
    coloured.putpalette(_palette())
    coloured.save(folder / "labels.png")
    entry = {
        "picture": str(picture),
        "folder": str(folder),
        "objects": len(np.unique(labels[labels > 0])),
        "boxes": boxes,
    }
    write_atomically(folder / "boxes.json", json.dumps(entry, indent=2) + "\n")
    return entry


def _palette() -> list[int]:
    """Black for the background, then distinguishable colours."""
    colours = [colormaps["tab20"](k % 20)[:3] for k in range(255)]
    return [0, 0, 0, *(round(255 * value) for colour in colours for value in colour)]
