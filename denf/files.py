"""Atomic writing of files, and listings of folders that skip nothing silently."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from uuid import uuid4

from denf.errors import DenfError

_DIGITS = re.compile("([0-9]+)")


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
    """Name `path` in an OSError of the block; the error of a full disk names no file."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error


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
