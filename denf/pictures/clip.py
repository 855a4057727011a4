"""The frames of a clip: reading, tracking objects from frame to frame, drawing an animation."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageSequence

from denf.errors import DenfError
from denf.files import write_atomically
from denf.pictures.conversion import KINDS, Array, opened, read_picture, to_rgb
from denf.pictures.files import describe_objects, write_entry
from denf.pictures.result import PictureDecomposition
from denf.pictures.sources import Source
from denf.pictures.video import is_video, read_video

MOST_FRAMES = 600  # the overlays of a clip are held in memory, 0.8 MB each
FRAME = 100  # milliseconds that a frame is shown where its file states none
_SAME = 0.3  # least intersection over union of one object's boxes in two frames
_PATIENCE = 5  # frames for which an unseen object keeps its number

Boxes = NDArray[np.float64]


def read_frames(source: Source) -> Iterator[tuple[Array, int]]:
    """Frames uint8 (H, W, 3) in order, and the milliseconds that each is shown.

    Raises:
        DenfError: at a frame that cannot be read or differs in size from the first, or when there
            are more than `MOST_FRAMES`.
    """
    shape = None
    for number, (frame, duration) in enumerate(_frames(source)):
        shape = shape or frame.shape
        if number == MOST_FRAMES or frame.shape != shape:
            size, other = (f"{width} × {height}" for height, width, _ in (shape, frame.shape))
            raise DenfError(
                f"clip {source.path}",
                expected=f"at most {MOST_FRAMES} frames of {size} pixels",
                got="more" if number == MOST_FRAMES else f"frame {number} of {other}",
                fix="Cut the clip, or decompose its frames as single pictures.",
            )
        yield frame, duration


def _frames(source: Source) -> Iterator[tuple[Array, int]]:
    if source.frames == ():
        raise DenfError(
            f"folder {source.path}", expected=f"{KINDS} pictures", got="none", fix="Check the path."
        )
    if source.frames is not None:
        yield from ((read_picture(path), FRAME) for path in source.frames)
        return
    if is_video(source.path):
        yield from read_video(source.path, FRAME)
        return
    with opened(source.path) as file:
        for number, frame in enumerate(ImageSequence.Iterator(file)):
            image = to_rgb(frame.copy(), f"{source.path}, frame {number}")
            yield image, round(frame.info.get("duration") or FRAME)  # known after decoding


def write_clip(
    results: Sequence[PictureDecomposition],
    durations: Sequence[int],
    folder: Path,
    source: Source,
) -> dict[str, Any]:
    """Write `overlay.webp`, the animated overlay, and `objects.json`, the entry.

    Args:
        results: of the frames.
        durations: milliseconds that each frame is shown.
        folder: created when missing.
        source: the clip.

    Returns:
        the entry: `clip`, `folder`, `size`, `overlay` (the file), and `frames`, each with its
        `milliseconds` and `objects`, see `describe_objects`; an object has the same number in all
        frames.
    """
    numbers = track([result.boxes for result in results])
    first, *others = [result.overlay(own) for result, own in zip(results, numbers, strict=True)]
    data = io.BytesIO()
    first.save(
        data,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=list(durations),
        loop=0,
        quality=80,
        method=2,  # from 0, fast, to 6, small
    )
    frames = [
        {"milliseconds": duration, "objects": describe_objects(result, own)}
        for result, own, duration in zip(results, numbers, durations, strict=True)
    ]
    entry = {
        "clip": str(source.path),
        "folder": str(folder),
        "size": len(results[0].labels),
        "overlay": "overlay.webp",
        "frames": frames,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "overlay.webp", data.getvalue())
    write_entry(entry, folder)
    return entry


def track(boxes: Sequence[Boxes]) -> list[list[int]]:
    """Numbers of the objects of each frame; an object has the same number in all frames.

    The boxes of a frame are matched one to one with the last boxes of the objects seen within
    `_PATIENCE` frames, by the largest sum of intersection over union. Matches below `_SAME` are
    dropped, and an object without a match gets the next new number.

    Args:
        boxes: per frame, (K, 4), x0, y0, x1, y1 in pixels of the square.

    Returns:
        per frame, K numbers from 1.
    """
    from scipy.optimize import linear_sum_assignment  # late: only clips need it

    last: dict[int, tuple[int, Boxes]] = {}  # by number: the last frame and box of the object
    numbers: list[list[int]] = []
    count = 0
    for frame, found in enumerate(boxes):
        known = [n for n, (seen, _) in last.items() if frame - seen <= _PATIENCE]
        before = np.array([last[n][1] for n in known]).reshape(-1, 4)
        overlap = _box_iou(before, found)
        own = [0] * len(found)
        for old, new in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[old, new] >= _SAME:
                own[new] = known[old]
        for k, box in enumerate(found):
            if own[k] == 0:
                count += 1
                own[k] = count
            last[own[k]] = frame, box
        numbers.append(own)
    return numbers


def _box_iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union of boxes (M, 4) and (N, 4), (M, N)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(c[:, 2:] - c[:, :2], 0, None).prod(axis=1) for c in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)
