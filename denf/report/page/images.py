"""Pictures of the page: segmentations in the colours of the truth, strips, and data URLs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.optimize import linear_sum_assignment

from denf.palette import instance_bytes
from denf.report.panels import box_instances, segmentation_picture

Picture = NDArray[np.uint8]
LARGEST = 112  # pixels per side of a scene in the page, so that the file stays small
SMALLEST = 64  # pixels per side, so that boxes have thin lines
QUALITY = 82  # of WebP, in percent
GAP = 3  # white pixels between the scenes of a strip


def data_url(picture: Picture) -> str:
    """A picture as WebP in a data URL.

    Args:
        picture: (H, W, 3).
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def fitted(picture: Picture, resample: Image.Resampling = Image.Resampling.BOX) -> Picture:
    """A picture in the size of the page: smaller pictures are enlarged by a whole factor."""
    side = max(picture.shape[:2])
    if SMALLEST <= side <= LARGEST:
        return picture
    factor = LARGEST / side if side > LARGEST else -(-SMALLEST // side)
    width, height = (round(factor * n) for n in picture.shape[1::-1])
    return np.asarray(Image.fromarray(picture).resize((width, height), resample))


def tiled(pictures: Sequence[Picture], columns: int) -> Picture:
    """Pictures of one size in rows of `columns`, with white gaps between them."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for k, picture in enumerate(pictures):
        top, left = k // columns * (height + GAP), k % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def segmented(image: Picture, labels: NDArray[Any], truth: NDArray[Any] | None) -> Picture:
    """A segmentation, its segments in the colours of the true objects that they match best.

    Args:
        image: (H, W, 3).
        labels: (H, W).
        truth: (H, W), 0 background; without it the segments keep their own numbers.
    """
    return segmentation_picture(image, labels if truth is None else matched(labels, truth))


def matched(labels: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.int64]:
    """Segments renumbered as the true regions, one to one by the largest sum of IoU.

    The segment that matches the true background gets 0, even for methods without a background; a
    segment without a match gets a number that no true object has.

    Args:
        labels: (H, W) integers of any values.
        truth: (H, W), 0 background.
    """
    found, segments = np.unique(labels, return_inverse=True)
    known, regions = np.unique(truth, return_inverse=True)
    pairs = segments.ravel() * len(known) + regions.ravel()
    shared = np.bincount(pairs, minlength=len(found) * len(known)).reshape(len(found), len(known))
    union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
    numbers = int(truth.max(initial=0)) + 1 + np.arange(len(found))
    for segment, region in zip(*linear_sum_assignment(-shared / union), strict=True):
        if shared[segment, region]:
            numbers[segment] = known[region]
    return numbers[segments].reshape(labels.shape).astype(np.int64)


def boxed(image: Picture, boxes: NDArray[Any], labels: NDArray[Any] | None) -> Picture:
    """Boxes over an image, in the colours of their segments where these exist.

    Args:
        image: (H, W, 3), in the size of the page.
        boxes: (K, 4), x0, y0, x1, y1 as fractions of the side, NaN where unused.
        labels: (h, w), the segments that the boxes belong to, 0 background.
    """
    drawn = Image.fromarray(image)
    canvas = ImageDraw.Draw(drawn)
    used = boxes[np.isfinite(boxes).all(axis=1)]
    side = 0 if labels is None else len(labels)
    order = np.arange(len(used)) if labels is None else box_instances(used * side, labels)
    colours = instance_bytes(int(order.max(initial=0)) + 1)
    for (x0, y0, x1, y1), index in zip(used * len(image), order, strict=True):
        if x1 > x0 and y1 > y0:
            r, g, b = (int(value) for value in colours[index])
            canvas.rectangle((x0, y0, x1, y1), outline=(r, g, b), width=2)
    return np.asarray(drawn)
