"""Decoding picture files to arrays, with checks: 8-bit RGB pictures and 8-bit label images.

Labels must be PNG, because JPEG changes values. A grey, transparent, CMYK or 16-bit file is refused
and not converted, because a silent conversion would change the training data.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denf.errors import DenfError
from denf.reading import reading

Array = NDArray[np.uint8]
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_FORMATS = ("PNG", "JPEG")
_MOST_PIXELS = 1 << 26
_PNG_SIGNATURE, _PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # the bit depth is byte 24, in IHDR
_ORIENTATION = 0x0112  # tag of EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextmanager
def _opened(data: bytes, name: str, modes: tuple[str, ...], fix: str) -> Iterator[Image.Image]:
    with (
        reading(name, expected="a whole PNG or JPEG picture", fix="Replace or remove the file."),
        Image.open(io.BytesIO(data), formats=_FORMATS) as picture,
    ):
        # Pillow only warns of this many pixels; turning that warning into an error would change
        # the warnings of all threads
        if picture.width * picture.height > _MOST_PIXELS:
            raise ValueError(f"{picture.width}×{picture.height} pixels")
        depth = data[_PNG_DEPTH] if data.startswith(_PNG_SIGNATURE) else 8
        if picture.mode not in modes or (depth != 8 and picture.mode != "P"):
            raise DenfError(
                name,
                expected=f"8-bit {' or '.join(modes)}",
                got=f"{depth}-bit {picture.mode}",
                fix=fix,
            )
        yield picture


_COLOURED = {False: ("RGB",), True: ("RGB", "RGBA")}
_TO_RGB = "Convert the file to 8-bit RGB, without transparency."
_TO_LABELS = "Save it as an 8-bit grey or palette PNG: 0 for background, 1…K for objects."


def image_shape(data: bytes, name: str, *, alpha: bool = False) -> tuple[int, int]:
    """Height and width of an RGB picture with its EXIF orientation applied.

    Reads only the header.

    Raises:
        DenfError: when `data` is not an 8-bit RGB (or, with `alpha`, RGBA) PNG or JPEG.
    """
    with _opened(data, name, _COLOURED[alpha], _TO_RGB) as picture:
        width, height = picture.size
        return (width, height) if _orientation(picture) in (5, 6, 7, 8) else (height, width)


def decode_image(data: bytes, name: str, *, alpha: bool = False) -> Array:
    """Decode an RGB picture to uint8 (H, W, 3), upright by its EXIF orientation.

    Args:
        data: the file's contents.
        name: the file's name, for messages.
        alpha: also accept RGBA, and drop the transparency.

    Raises:
        DenfError: when `data` is not such a picture, or is truncated.
    """
    with _opened(data, name, _COLOURED[alpha], _TO_RGB) as picture:
        upright = _UPRIGHT.get(_orientation(picture))
        return np.asarray(picture if upright is None else picture.transpose(upright))[..., :3]


def _orientation(picture: Image.Image) -> int:
    value = picture.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) else 1  # some programs write other types


@contextmanager
def _opened_labels(data: bytes, name: str) -> Iterator[Image.Image]:
    with _opened(data, name, ("L", "P"), _TO_LABELS) as picture:
        if picture.format != "PNG":
            raise DenfError(
                name,
                expected="a PNG",
                got=f"{picture.format}, whose lossy compression invents labels at every edge",
                fix=_TO_LABELS,
            )
        yield picture


def labels_shape(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of a label image; reads only the header."""
    with _opened_labels(data, name) as picture:
        return picture.height, picture.width


def decode_labels(data: bytes, name: str, max_objects: int) -> Array:
    """Decode a label image to uint8 (H, W): 0 background, 1…max_objects objects.

    Args:
        data: the file's contents, a PNG, 8-bit grey or palette (the palette's indices are the
            labels).
        name: the file's name, for messages.
        max_objects: the highest label allowed.

    Raises:
        DenfError: when the format or mode is not supported or a label is too high.
    """
    with _opened_labels(data, name) as picture:
        labels = np.asarray(picture)
    if labels.max() > max_objects:
        raise DenfError(
            name,
            expected=f"labels 0…{max_objects}",
            got=f"{len(np.unique(labels))} labels up to {labels.max()}",
            fix="Number the objects 1…K and the background 0, or allow more objects.",
        )
    return labels
