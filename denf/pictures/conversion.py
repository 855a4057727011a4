"""Converting any picture to 8-bit RGB, by one stated conversion.

Data for training are never converted (`denf.data.decode` refuses files that are not 8-bit RGB). A
picture to decompose is converted as follows, so that any file of the usual kinds can be used:

- turned upright by its EXIF orientation; colour profiles are ignored;
- transparent parts are laid over white;
- grey and black-and-white become three equal channels, a palette its colours, CMYK and YCbCr RGB;
- of 16 bits the upper 8 are kept;
- of an animation every frame is used, of a TIFF file with several pages the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from denf.errors import DenfError
from denf.reading import reading

Array = NDArray[np.uint8]
Picture: TypeAlias = str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
KINDS = "PNG, JPEG, WebP, BMP, TIFF or GIF"
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
_ANIMATED = ("PNG", "WEBP", "GIF")
_MOST_PIXELS = 1 << 26


def read_picture(picture: Picture, name: str | None = None) -> Array:
    """A picture as uint8 (H, W, 3), converted as the module's docstring describes.

    Args:
        picture: the path of a file; a Pillow image; an array, uint8 (H, W) or (H, W, C); or a
            tensor (C, H, W), uint8 or floating in [0, 1]. C is 1 (grey), 3 (RGB) or 4 (RGB and
            opacity). Of an animation the first frame is taken.
        name: for messages; default: the path, or "picture".

    Raises:
        DenfError: when `picture` is none of these.
    """
    if isinstance(picture, str | os.PathLike):
        with opened(Path(picture)) as file:
            return to_rgb(file, name or f"picture {picture}")
    name = name or "picture"
    if isinstance(picture, Image.Image):
        return to_rgb(picture, name)
    if isinstance(picture, Tensor):
        picture = _from_tensor(picture, name)
    expected = "a uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    fix = "Convert it; of a batch, pass each picture on its own."
    with reading(name, expected=expected, fix=fix):  # of lists of different lengths
        array = np.asarray(picture)
    grey = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    coloured = grey.ndim == 3 and grey.shape[2] in (3, 4)
    if grey.dtype != np.uint8 or not (grey.ndim == 2 or coloured) or 0 in grey.shape:
        raise DenfError(
            name,
            expected=expected,
            got=f"{array.dtype} {array.shape}",
            fix=fix,
        )
    return to_rgb(Image.fromarray(np.ascontiguousarray(grey)), name)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An open picture file; any error inside the block becomes a `DenfError` about the file.

    Raises:
        DenfError: when the file is missing, of another kind, damaged, or larger than 67 megapixels.
    """
    name = f"picture {path}"
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no such file"
        raise DenfError(name, expected="a readable file", got=got, fix="Check the path.")
    expected = f"a whole {KINDS} picture of at most {_MOST_PIXELS // 10**6} megapixels"
    with (
        reading(name, expected=expected, fix="Convert the file, or leave it out."),
        Image.open(path, formats=_FORMATS) as picture,
    ):
        # Pillow only warns of this many pixels; turning that warning into an error would change
        # the warnings of all threads
        if picture.width * picture.height > _MOST_PIXELS:
            raise ValueError(f"{picture.width} × {picture.height} pixels")
        yield picture


def is_animated(picture: Image.Image) -> bool:
    """Whether an open file is an animation of several frames."""
    return picture.format in _ANIMATED and getattr(picture, "n_frames", 1) > 1


def to_rgb(picture: Image.Image, name: str) -> Array:
    """The conversion: uint8 (H, W, 3).

    Raises:
        DenfError: for 32-bit pixels, whose range files do not state.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "F"):
        raise DenfError(
            name,
            expected="8 or 16 bits per channel",
            got=f"32 bits ({picture.mode})",
            fix="Convert the picture to 8 bits.",
        )
    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque
    return np.asarray(picture.convert("RGB"))


def _from_tensor(picture: Tensor, name: str) -> NDArray[Any]:
    """A tensor (C, H, W) as an array (H, W, C), uint8."""
    if picture.ndim != 3 or picture.shape[0] not in (1, 3, 4) or 0 in picture.shape:
        raise DenfError(
            name,
            expected="a tensor (C, H, W) with C 1, 3 or 4",
            got=tuple(picture.shape),
            fix="Permute it; of a batch, pass each picture on its own.",
        )
    values = picture.detach().cpu()
    if values.is_floating_point():
        low, high = float(values.min()), float(values.max())
        if not 0 <= low <= high <= 1:  # also false for NaN
            raise DenfError(
                name, expected="floats in [0, 1]", got=f"{low:g}…{high:g}", fix="Scale it."
            )
        values = (255 * values).round().to(torch.uint8)
    return values.permute(1, 2, 0).numpy()
