"""Pictures and clips that the arguments of `denf decompose` name, and folders for their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from denf.errors import DenfError
from denf.files import natural_key
from denf.pictures.conversion import KINDS, SUFFIXES
from denf.pictures.video import is_video


@dataclass(frozen=True)
class Source:
    """A picture, or the frames of a clip.

    Args:
        path: the file; of a clip that is a folder, the folder.
        folder: of its results, under the folder of all results.
        frames: of a folder that is a clip, its pictures in order; None: a file, which is a clip
            when it is animated or a video.
    """

    path: Path
    folder: Path
    frames: tuple[Path, ...] | None = None


def find_sources(paths: Sequence[Path], *, clips: bool = False) -> list[Source]:
    """The sources that paths name: each file, and each picture or video directly in a folder.

    Frames and the pictures of a folder are in natural order of their names (2 before 10).

    Args:
        paths: files and folders. A missing file is also a source; reading it raises the error.
        clips: whether a folder is a clip.

    Raises:
        DenfError: for a folder without pictures, or two sources with the same folder of results.
    """
    sources = [source for path in paths for source in _sources(path, clips)]
    folders = [source.folder for source in sources]
    twice = sorted({folder for folder in folders if folders.count(folder) > 1})
    if twice:
        raise DenfError(
            "pictures",
            expected="different names, since each gets a folder of its own",
            got=f"{folders.count(twice[0])} named {twice[0]}",
            fix="Rename them or decompose them one by one.",
        )
    return sources


def _sources(path: Path, clips: bool) -> Iterator[Source]:
    if not path.is_dir():
        yield Source(path, Path(path.stem))
        return
    pictures = [child for child in path.iterdir() if _is_picture(child, videos=not clips)]
    if not pictures:
        raise DenfError(
            f"folder {path}", expected=f"{KINDS} pictures", got="none", fix="Check the path."
        )
    pictures.sort(key=lambda child: natural_key(PurePosixPath(child.name)))
    name = Path(path.resolve().name)
    if clips:
        yield Source(path, name, tuple(pictures))
    else:
        yield from (Source(picture, name / picture.stem) for picture in pictures)


def _is_picture(path: Path, *, videos: bool) -> bool:
    known = path.suffix.lower() in SUFFIXES or (videos and is_video(path))
    return known and not path.name.startswith(".")
