"""Real-Traffic and footage in its layout: one folder of JPEG frames per video, split by video.

A video's folder begins with `f` and ends in its number of three digits or more; its frames are
`*.jpeg`, in natural order of their names. The whole frame is resized with Lanczos' kernel, its
aspect not kept, as RELATE does (`dataset/cars_real_traffic.py`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from denf.data.archive import SourceFile, open_source
from denf.data.crop import CROP_RULES, Kernel, resize_image
from denf.data.decode import decode_image, image_shape
from denf.data.ingest import Scene, SceneWriter, listing_sha256, pending_splits, write_scenes
from denf.errors import DenfError
from denf.files import natural_key, number_key

PAPER_TRAIN, PAPER_TEST = 560, 123  # videos; paper, section 4.1
TRAIN_SHARE = 0.8  # of the sorted videos; ogroth/svg, data/cars_real_traffic.py: 491 of 614
KERNEL = Kernel.LANCZOS
_VIDEO = re.compile(r"f.*?([0-9]{3,})")
_FRAME_SUFFIXES = frozenset({".jpeg", ".jpg"})


@dataclass(frozen=True)
class Video:
    """One continuous clip: its folder and its frames in order."""

    folder: PurePosixPath
    frames: tuple[SourceFile, ...]


@dataclass(frozen=True)
class VideoSplit:
    """Numbers of videos: the last `test` are the test set; the `train` before them train."""

    train: int
    test: int


def default_split(videos: int) -> VideoSplit:
    """The split of a source with `videos` videos.

    With 683 videos or more this is the paper's split: the last 123 test, the 560 before them train.
    By the only listing found, the published archive has 614, too few for that split. Smaller
    sources are therefore split 80:20 in order, as in the authors' earlier code; of 614 videos the
    last 123 test and the 491 before them train.

    Args:
        videos: number of videos.
    """
    if videos >= PAPER_TRAIN + PAPER_TEST:
        return VideoSplit(PAPER_TRAIN, PAPER_TEST)
    train = int(TRAIN_SHARE * videos)
    return VideoSplit(train, videos - train)


def prepare_real_traffic(
    source: Path | str,
    out: Path | str,
    *,
    size: int = 128,
    split: VideoSplit | None = None,
    gap: int = 0,
    workers: int = 1,
    name: str = "real-traffic",
    licence: str = "not stated by its authors",
) -> None:
    """Prepare footage as `<out>/train` and `<out>/test`, every frame once.

    `factors.csv` names each scene's video and frame.

    Args:
        source: folder or zip archive of one camera's videos.
        out: folder of the two splits.
        size: side in pixels.
        split: numbers of videos; None: `default_split`.
        gap: frames dropped at the end of the training videos, since clips cut from one continuous
            recording share cars across the border of the split. The test set is not changed.
        workers: threads that decode and resize.
        name: of the data set.
        licence: of the footage.

    Raises:
        DenfError: for no or too few videos, a video without frames, videos of more than one camera
            (folder), or a frame that is not an RGB picture or not of its video's size; nothing is
            written.
    """
    source, out = Path(source), Path(out)
    with ExitStack() as stack:
        videos = find_videos(source, stack.enter_context(open_source(source)))
        split = split or default_split(len(videos))
        train, test = _divide(source, videos, split, gap)
        frames = {"train": train, "test": test}
        infos = {
            part: {
                "name": name,
                "source": f"{source.resolve().name}, {len(videos)} videos in Real-Traffic's layout",
                "licence": licence,
                "split": part,
                "split_rule": f"by video number: the last {split.test} of {len(videos)} test, up "
                f"to {split.train} before them train, less their last {gap} frames",
                "videos": len({frame.path.parent for frame in frames[part]}),
                "size": size,
                "crop": CROP_RULES["whole"],
                "resize": KERNEL.rule,
                "listing_sha256": listing_sha256(frames[part]),
            }
            for part in frames
        }
        # all writers close at the end, so that a bad frame in the last split also undoes the first
        writers = {
            part: stack.enter_context(
                SceneWriter(out / part, size=size, masks=False, info=infos[part])
            )
            for part in pending_splits(out, infos)
        }
        firsts = {video.folder: video.frames[0] for video in videos}
        for part, writer in writers.items():
            load = partial(_scene, source, size, firsts, {})
            write_scenes(writer, frames[part], load, label=f"{name} {part}", workers=workers)


def count_frames(source: Path | str, split: VideoSplit | None, gap: int) -> dict[str, int]:
    """The number of frames of each split, from the names of the files alone.

    Args:
        source: folder or zip archive of one camera's videos.
        split: numbers of videos; None: `default_split`.
        gap: frames dropped at the end of the training videos.

    Raises:
        DenfError: as `prepare_real_traffic`, except for what the frames hold.
    """
    source = Path(source)
    with open_source(source) as files:
        videos = find_videos(source, files)
    train, test = _divide(source, videos, split or default_split(len(videos)), gap)
    return {"train": len(train), "test": len(test)}


def find_videos(source: Path, files: Sequence[SourceFile]) -> list[Video]:
    """Videos of a source in order of their numbers.

    Args:
        source: path for messages.
        files: files of the source, sorted by path.

    Raises:
        DenfError: when there are no videos, one has no frames, or they lie in more than one folder.
    """
    frames: dict[PurePosixPath, list[SourceFile]] = defaultdict(list)
    for file in files:
        folder = file.path.parent
        if _VIDEO.fullmatch(folder.name):
            frames[folder] += [file] if file.path.suffix.lower() in _FRAME_SUFFIXES else []
    cameras = sorted({str(folder.parent) for folder in frames})
    if len(cameras) != 1:
        raise DenfError(
            f"footage {source}",
            expected="one folder of videos named f…000, f…001, …",
            got=", ".join(cameras) or "none",
            fix="Give the folder of one camera: the background is learnt as what its frames share.",
        )
    for folder, found in frames.items():
        if not found:
            raise DenfError(
                f"{source}, video {folder}",
                expected="*.jpeg frames",
                got="none",
                fix="Remove the folder or restore its frames.",
            )
    order = sorted(frames, key=lambda folder: (_number(folder), natural_key(folder)))
    return [Video(folder, tuple(frames[folder])) for folder in order]


def _number(folder: PurePosixPath) -> tuple[int, str]:
    match = _VIDEO.fullmatch(folder.name)
    if match is None:
        raise ValueError(f"folder: expected a video's, got {folder}")
    return number_key(match[1])


def _divide(
    source: Path, videos: Sequence[Video], split: VideoSplit, gap: int
) -> tuple[list[SourceFile], list[SourceFile]]:
    border = len(videos) - split.test
    if split.train < 1 or split.test < 1 or border < split.train or gap < 0:
        raise DenfError(
            f"footage {source}",
            expected=f"{split.train} videos to train on and {split.test} to test on, each one or "
            "more, and a gap of 0 or more",
            got=f"{len(videos)} videos and a gap of {gap}",
            fix="Choose other numbers of videos, or give more of them.",
        )
    train = [f for v in videos[border - split.train : border] for f in v.frames]
    if gap >= len(train):
        raise DenfError(
            f"footage {source}",
            expected=f"a gap below the {len(train)} training frames",
            got=gap,
            fix="Choose a smaller gap.",
        )
    return train[: len(train) - gap], [f for v in videos[border:] for f in v.frames]


def _scene(
    source: Path,
    size: int,
    firsts: Mapping[PurePosixPath, SourceFile],
    shapes: dict[PurePosixPath, tuple[int, int]],
    number: int,
    frame: SourceFile,
) -> Scene:
    """A frame as a scene; `shapes` keeps the height and width of each video's first frame."""
    video = frame.path.parent
    if video not in shapes:
        first = firsts[video]
        shapes[video] = image_shape(first.read(), f"{source}/{first.path}")
    image = decode_image(frame.read(), f"{source}/{frame.path}")
    height, width = shapes[video]
    if image.shape[:2] != (height, width):
        raise DenfError(
            f"{source}/{frame.path}",
            expected=f"{width}×{height} pixels, as the video's first frame",
            got=f"{image.shape[1]}×{image.shape[0]}",
            fix="Restore the frame or remove it.",
        )
    row = {"scene": number, "video": video.name, "frame": frame.path.name}
    return Scene(resize_image(image, size, KERNEL), None, [row])
