"""Objects drawn over their picture: outlines, boxes and numbers, in Pillow and NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from denf.palette import instance_bytes

SIDE = 512  # least width and height of an overlay in pixels
_LINE = 3  # pixels of an outline, at SIDE
_DARK = (20, 20, 20)
_BRIGHT = 330  # sum of a colour's three values above which dark text reads better than white

_Corners = tuple[int, int, int, int]  # x0, y0, x1, y1


def overlay(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    boxes: Sequence[Sequence[float]],
    numbers: Sequence[int] | None = None,
) -> Image.Image:
    """Draw every object's outline, box and number in its colour over the picture.

    The picture is enlarged smoothly, by the smallest whole number that gives `SIDE` pixels or more;
    labels keep their edges. An outline lies inside its object and has a dark line beside it, so
    that its colour shows on any background. A box is a thinner line with its number at a corner.

    Args:
        image: (H, W, 3), H = W.
        labels: (H, W), 0 background and 1…K objects.
        boxes: K of x0, y0, x1, y1 in pixels of `image`; they may extend beyond it.
        numbers: of the objects, K, from 1; each has the colour of its number. Default: 1…K.

    Returns:
        RGB, both sides a multiple of the image's.
    """
    height, width = labels.shape
    factor = -(-SIDE // max(height, width))
    size = (factor * width, factor * height)
    line = round(_LINE * max(size) / SIDE)
    picture = np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    large = np.repeat(np.repeat(labels, factor, axis=0), factor, axis=1)
    rim = outlines(large, line)
    numbers = range(1, len(boxes) + 1) if numbers is None else numbers
    palette = instance_bytes(max(numbers, default=0))
    colours = np.stack([np.zeros(3, np.uint8), *(palette[number - 1] for number in numbers)])
    picture[outlines(large, line + 1) & ~rim] = _DARK
    picture[rim] = colours[large[rim]]
    drawn = Image.fromarray(picture)
    canvas = ImageDraw.Draw(drawn)
    last = np.array([*size, *size]) - 1
    placed = [np.clip(np.round(factor * np.array(box)), 0, last).astype(int) for box in boxes]
    inks = [(int(r), int(g), int(b)) for r, g, b in colours[1:]]
    for ink, (x0, y0, x1, y1) in zip(inks, placed, strict=True):
        canvas.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=_DARK, width=line + 1)
        canvas.rectangle((x0, y0, x1, y1), outline=ink, width=line - 1)
    taken: list[_Corners] = []
    font = ImageFont.load_default(size=6 * line)
    for number, ink, box in zip(map(str, numbers), inks, placed, strict=True):  # above all boxes
        left, top, right, bottom = canvas.textbbox((0, 0), number, font)
        tag = _free_place(box, (int(right - left) + 2 * line, 6 * line + 2), size, taken)
        taken.append(tag)
        canvas.rectangle(tag, fill=ink, outline=_DARK)
        middle = ((tag[0] + tag[2] - left - right) / 2, (tag[1] + tag[3] - top - bottom) / 2)
        canvas.text(middle, number, _DARK if sum(ink) > _BRIGHT else "white", font)
    return drawn


def _free_place(
    box: NDArray[Any], extent: tuple[int, int], size: tuple[int, int], taken: Sequence[_Corners]
) -> _Corners:
    """A place where a number hides no other: at a corner of its box, outside rather than inside.

    Args:
        box: x0, y0, x1, y1 in pixels of the overlay.
        extent: width and height of the number's tag.
        size: width and height of the overlay.
        taken: tags of other numbers.

    Returns:
        x0, y0, x1, y1 inside the overlay; at the first corner where none is free.
    """
    x0, y0, x1, y1 = (int(value) for value in box)
    width, height = extent
    places = []
    for x, y in (
        *((x0, y0 - height), (x1 - width, y0 - height), (x0, y1), (x1 - width, y1)),
        *((x0 - width, y0), (x1, y0), (x0 - width, y1 - height), (x1, y1 - height)),
    ):
        x, y = min(max(x, 0), size[0] - 1 - width), min(max(y, 0), size[1] - 1 - height)
        places.append((x, y, x + width, y + height))
    free = (place for place in places if not any(_meet(place, other) for other in taken))
    return next(free, places[0])


def _meet(a: _Corners, b: _Corners) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def outlines(labels: NDArray[np.integer[Any]], width: int) -> NDArray[np.bool_]:
    """Pixels of objects at most `width` pixels (of a square window) from another label.

    Args:
        labels: (H, W), 0 background. The picture's own edge is not an outline.
        width: of the line, 1 or more.

    Returns:
        (H, W), true only inside objects, along their edges.
    """
    low, high = labels, labels
    for axis in (0, 1):  # the extreme of a square window is that of its rows' extremes
        low, high = _window(low, width, axis, np.minimum), _window(high, width, axis, np.maximum)
    return (labels > 0) & (low != high)


def _window(
    values: NDArray[np.integer[Any]], width: int, axis: int, extreme: np.ufunc
) -> NDArray[np.integer[Any]]:
    """`extreme` of the values at most `width` places away along an axis."""
    found = values.copy()
    source, target = np.moveaxis(values, axis, 0), np.moveaxis(found, axis, 0)
    for shift in range(1, min(width, len(source) - 1) + 1):
        extreme(target[shift:], source[:-shift], out=target[shift:])
        extreme(target[:-shift], source[shift:], out=target[:-shift])
    return found
