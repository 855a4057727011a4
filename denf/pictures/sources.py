"""Pictures and clips that the arguments of `denf decompose` name, and folders for their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from denf.errors import DenfError
from denf.files import natural_key
from denf.pictures.conversion import SUFFIXES, is_animated, opened
from denf.pictures.video import is_video


@dataclass(frozen=True)
class Source:
    """A picture, or the frames of a clip.

    Args:
        path: the file; of a clip that is a folder, the folder.
        folder: of its results, under the folder of all results.
        frames: of a folder that is a clip, its pictures in order; empty: a folder without pictures;
            None: a file, which is a clip when it is animated or a video.
    """

    path: Path
    folder: Path
    frames: tuple[Path, ...] | None = None


def find_sources(paths: Sequence[Path], *, clips: bool = False) -> list[Source]:
    """The sources that paths name: each file, and each picture or video directly in a folder.

    Frames and the pictures of a folder are in natural order of their names (2 before 10). The
    results of a picture go to a folder of its name without suffix; where two would share it, to
    those of their names with suffix.

    Args:
        paths: files and folders. A missing file and a folder without pictures are also sources;
            reading them raises the error.
        clips: whether a folder is a clip.

    Raises:
        DenfError: with `clips`, for a file that is no clip; for two sources with the same folder of
            results.
    """
    sources = list(dict.fromkeys(source for path in paths for source in _sources(path, clips)))
    shared = Counter(source.folder for source in sources)
    sources = [
        replace(source, folder=source.folder.with_name(source.path.name))
        if source.frames is None and shared[source.folder] > 1
        else source
        for source in sources
    ]
    first: dict[Path, Source] = {}
    for source in sources:
        other = first.setdefault(source.folder, source)
        if other is not source:
            raise DenfError(
                "pictures",
                expected="different names, since each gets a folder of its own",
                got=f"{other.path} and {source.path}",
                fix="Rename one of them or decompose them one by one.",
            )
    return sources


def left_out(folder: Path, *, clips: bool = False) -> list[Path]:
    """What a folder holds beside the pictures and videos that `find_sources` takes from it."""
    return sorted(child for child in folder.iterdir() if not _is_picture(child, videos=not clips))


def is_clip(source: Source) -> bool:
    """Whether a source has several frames; a file that cannot be read is not a clip."""
    if source.frames is not None or is_video(source.path):
        return True
    try:
        with opened(source.path) as file:
            return is_animated(file)
    except DenfError:
        return False


def _sources(path: Path, clips: bool) -> Iterator[Source]:
    if not path.is_dir():
        file = Source(path, Path(path.stem))
        if clips and path.exists() and not is_clip(file):
            raise DenfError(
                f"--clip {path}",
                expected="a folder of frames, an animated picture or a video",
                got="another file",
                fix="Name the folder of the frames, or leave out --clip.",
            )
        yield file
        return
    name = Path(path.resolve().name)
    pictures = [child for child in path.iterdir() if _is_picture(child, videos=not clips)]
    pictures.sort(key=lambda child: natural_key(PurePosixPath(child.name)))
    if clips or not pictures:
        yield Source(path, name, tuple(pictures))
    else:
        yield from (Source(picture, name / picture.stem) for picture in pictures)


def _is_picture(path: Path, *, videos: bool) -> bool:
    known = path.suffix.lower() in SUFFIXES or (videos and is_video(path))
    return known and not path.name.startswith(".")
