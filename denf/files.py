"""Writing files, checked first and atomic, and listing folders without skipping silently."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from uuid import uuid4

from denf.errors import DenfError

_DIGITS = re.compile("([0-9]+)")
_SIDE_FILES = frozenset({"desktop.ini", "thumbs.db"})  # written by Windows into folders of pictures
_NAMED = 8  # largest number of kinds that a message names
_REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Give permission, or choose"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free space, or choose"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "Remove what is there, or choose"),
}


class WritingError(OSError):
    """A file could not be written; the text is the whole message and names the file."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, renamed to it when the block ends without an error.

    The contents are on the disk before the rename, so that a power cut leaves either the old file
    or the new one. When the block fails, the temporary file is removed and `path` is unchanged.

    Args:
        path: the file to make or replace; its folder exists.

    Yields:
        the path that the block writes, hidden from listings.

    Raises:
        OSError: when the file cannot be written (a full disk); names `path`.
    """
    temporary = path.with_name(f".{path.name[:80]}.{uuid4().hex}.tmp")
    with writing_to(path):
        try:
            yield temporary
            if not temporary.is_symlink():
                _flush_to_disk(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Name `path` in an OSError of the block; the error of a full disk names no file.

    Raises:
        WritingError: in place of any other OSError.
    """
    try:
        yield
    except WritingError:
        raise
    except OSError as error:
        raise WritingError(refusal(error, path, "written")) from error


def refusal(error: OSError, path: object, done: str = "read or written") -> str:
    """The message of an OSError: the file, the system's reason, and what to do about it."""
    remedy = _REMEDIES.get(error.errno or 0, "Check the path, or choose")
    return f"{path} cannot be {done}: {error.strerror or error}. {remedy} another."


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Refuse an output path that cannot be written, before any work is done; makes nothing.

    Args:
        path: a file to make or replace, or a folder to make or write in.
        folder: whether it is a folder.

    Raises:
        DenfError: when something of the other kind has that name, when a file stands where one of
            the folders above would be, or without permission.
    """
    kind, other = ("folder", "file") if folder else ("file", "folder")
    above = path if folder else path.parent
    if os.path.lexists(path) and os.path.isdir(path) is not folder:
        got = f"a {other}"
    else:
        above = _existing(above)
        if os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK):
            return
        got = f"no permission to write in {above}" if os.path.isdir(above) else f"a file {above}"
    raise DenfError(
        f"output {kind} {path}",
        expected=f"a path where a {kind} can be written",
        got=got,
        fix="Choose another path.",
    )


def check_space(folder: Path, needed: int) -> None:
    """Refuse output that the disk of a folder has no room for.

    Args:
        folder: where it will be written; need not exist.
        needed: bytes.

    Raises:
        DenfError: names both sizes.
    """
    free = shutil.disk_usage(_existing(folder)).free
    if needed > free:
        raise DenfError(
            f"output folder {folder}",
            expected=f"{needed / 1e9:,.1f} GB of free disk space",
            got=f"{free / 1e9:,.1f} GB",
            fix="Make fewer or smaller images, free space, or choose another path.",
        )


def _existing(path: Path) -> Path:
    """The path itself or the nearest of those above it that exists."""
    return next((p for p in (path, *path.parents) if os.path.lexists(p)), Path())


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path`, text as UTF-8; see `atomic_path`."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def natural_key(path: PurePath) -> tuple[tuple[tuple[Any, ...], ...], tuple[str, ...]]:
    """Sort key that compares numbers in names as numbers: frame2 comes before frame10."""
    parts = [
        tuple(number_key(text) if k % 2 else text for k, text in enumerate(_DIGITS.split(part)))
        for part in path.parts
    ]
    return tuple(parts), path.parts  # 1 and 01 are equal numbers: the names decide


def number_key(digits: str) -> tuple[int, str]:
    """Sort key of a number of any length in decimal digits."""
    digits = digits.lstrip("0")
    return len(digits), digits


def walk(folder: Path) -> Iterator[tuple[PurePosixPath, os.stat_result]]:
    """Everything below a folder that is not hidden: relative paths, and the status of each.

    Links are followed; a link to a folder that it lies in is left out. The order is that of the
    file system.

    Raises:
        DenfError: for what cannot be listed: a folder without permission, a broken link.
    """
    yield from _walk(folder, PurePosixPath(), ())


def _walk(
    root: Path, inside: PurePosixPath, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[PurePosixPath, os.stat_result]]:
    here = root / inside
    with _listing(here):
        own = here.stat()
        names = [name for name in os.listdir(here) if not name.startswith(".")]
    above = (*above, (own.st_dev, own.st_ino))
    for name in names:
        with _listing(here / name):
            found = (here / name).stat()
        if not stat.S_ISDIR(found.st_mode):
            yield inside / name, found
        elif (found.st_dev, found.st_ino) not in above:
            yield inside / name, found
            yield from _walk(root, inside / name, above)


@contextmanager
def _listing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DenfError(
            str(path),
            expected="to be listed",
            got=error.strerror or error,
            fix="Give permission, restore what a link leads to, or remove it.",
        ) from error


def tell_left_out(folder: object, paths: Iterable[PurePath]) -> None:
    """Say on standard error how many files of a folder are left out, and of which kinds.

    Args:
        folder: its name.
        paths: of what is left out; hidden files and those that systems write are not counted.
    """
    seen = [p for p in paths if not p.name.startswith(".") and p.name.lower() not in _SIDE_FILES]
    kinds = Counter(_kind(path) for path in seen).most_common()
    if seen:
        named = ", ".join(f"{count} {kind}" for kind, count in kinds[:_NAMED])
        more = f" and {len(kinds) - _NAMED} more" if kinds[_NAMED:] else ""
        text = f"denf: {folder}: {len(seen)} of other kinds are left out: {named}{more}"
        print(text, file=sys.stderr)


def _kind(path: PurePath) -> str:
    if isinstance(path, Path) and path.is_dir():
        return "folder"
    return path.suffix.lower() or "without suffix"
