"""The frames of a video file, decoded by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from denf.errors import DenfError
from denf.pictures.conversion import Array
from denf.reading import reading

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    return path.suffix.lower() in SUFFIXES


def read_video(path: Path, frame_milliseconds: int) -> Iterator[tuple[Array, int]]:
    """Frames uint8 (H, W, 3) in order, upright, and for how many milliseconds each is shown.

    Args:
        path: of the file; its first video stream is read.
        frame_milliseconds: for a frame whose duration the file does not state.

    Raises:
        DenfError: when PyAV is not installed, or the file is missing, damaged, or has no video.
    """
    av = _pyav(path)
    if not path.is_file():
        raise DenfError(
            f"video {path}", expected="a readable file", got="no such file", fix="Check the path."
        )
    with (
        reading(
            f"video {path}",
            expected="a whole video that FFmpeg's libraries can decode",
            fix="Convert the file, or write its frames into a folder and use --clip.",
        ),
        av.open(str(path)) as container,
    ):
        if not container.streams.video:
            raise ValueError("no video stream")
        for frame in container.decode(container.streams.video[0]):
            image = frame.to_ndarray(format="rgb24")
            upright = np.rot90(image, round(frame.rotation / 90))
            seconds = float(frame.duration * frame.time_base) if frame.duration else 0.0
            yield np.ascontiguousarray(upright), round(1000 * seconds) or frame_milliseconds


def _pyav(path: Path) -> Any:
    try:
        import av  # an optional dependency: pictures do without
    except ImportError:
        raise DenfError(
            f"video {path}",
            expected="the package PyAV, which decodes videos",
            got="not installed",
            fix="Install it with `uv sync --group video`, or write the frames into a folder and "
            "use --clip.",
        ) from None
    return av
