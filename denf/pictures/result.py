"""The decomposition of one picture by a trained run."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denf.data.crop import Array, Kernel, crop_box, resize_image
from denf.overlay import overlay


@dataclass(frozen=True, eq=False)
class Square:
    """The part of a picture that is decomposed.

    Args:
        image: the largest centred square, resized to the run's image size, uint8 (S, S, 3).
        left, top: upper left corner of the square, in pixels of the picture turned upright by its
            EXIF orientation.
        side: of the square, in pixels of the picture.
    """

    image: Array
    left: int
    top: int
    side: int

    @classmethod
    def of(cls, picture: Array, size: int) -> Square:
        """The square of a picture uint8 (H, W, 3), `size` pixels wide."""
        height, width = picture.shape[:2]
        rows, columns = crop_box(height, width, "centre")
        resized = resize_image(picture[rows, columns], size, Kernel.BILINEAR)
        return cls(resized, columns.start, rows.start, rows.stop - rows.start)


@dataclass(frozen=True, eq=False)
class PictureDecomposition:
    """Background and objects of one picture; S is the side of the run's images, K the object count.

    Args:
        square: the part of the picture that was decomposed.
        labels: (S, S), 0 background and 1…K.
        boxes: float (K, 4), x0, y0, x1, y1 in pixels of the square; they may extend beyond it.
        scores: float (K,) in [0, 1], the mean presence over each object's cells.
        background: the generated background, uint8 (S, S, 3).
        whole: each object, whole, on the generated background, uint8 (K, S, S, 3).
    """

    square: Square
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    background: Array
    whole: Array

    @classmethod
    def of(cls, square: Square, arrays: Mapping[str, NDArray[Any]]) -> PictureDecomposition:
        """A decomposition from the arrays that a method's `inspect` gives for this square."""
        count, labels = int(arrays["single_count"]), arrays["labels"].astype(np.int64)
        cell = len(labels) // len(arrays["presence"])  # pixels per side of a cell
        cells = labels[::cell, ::cell]
        scores = [arrays["presence"][cells == k + 1].mean() for k in range(count)]
        return cls(
            square,
            labels,
            arrays["boxes"][:count].astype(np.float64),
            np.array(scores, np.float64),
            arrays["background"],
            arrays["singles"][:count],
        )

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.boxes)

    def __repr__(self) -> str:
        side = len(self.labels)
        return f"{type(self).__name__}({len(self)} objects, {side} × {side} pixels)"

    def _repr_png_(self) -> bytes:
        """Notebooks show the overlay."""
        data = io.BytesIO()
        self.overlay().save(data, "PNG")
        return data.getvalue()

    @property
    def image(self) -> Array:
        """The image that was decomposed, uint8 (S, S, 3)."""
        return self.square.image

    @property
    def objects(self) -> Array:
        """Each object's pixels of the image, transparent elsewhere, uint8 (K, S, S, 4)."""
        own = self.labels == np.arange(1, len(self) + 1)[:, None, None]
        pixels = np.broadcast_to(self.image, (*own.shape, 3))
        return np.concatenate((pixels, 255 * own[..., None].astype(np.uint8)), axis=3)

    @property
    def boxes_in_picture(self) -> NDArray[np.float64]:
        """`boxes` in pixels of the upright picture, (K, 4)."""
        square = self.square
        start = np.array([square.left, square.top, square.left, square.top])
        return start + square.side / len(self.labels) * self.boxes

    def overlay(self, numbers: Sequence[int] | None = None) -> Image.Image:
        """Outline, box and number of every object over the image, 512 pixels wide or more.

        Args:
            numbers: of the objects, K; default: their labels.
        """
        return overlay(self.image, self.labels, self.boxes.tolist(), numbers)
