"""Files of a source, a folder or a zip archive: listed, and read in place.

No file is skipped silently: links are followed, a file that cannot be listed is an error, and an
archive's directory is compared with its end record and with the headers of its entries. Nothing is
unpacked to disk. An archive that could write outside a target folder or expand without bound is
refused nevertheless, because it is not the data set that it claims to be.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from denf.data.zip_directory import check_directory
from denf.errors import DenfError
from denf.files import natural_key, walk
from denf.reading import read_bytes, reason

_GIB = 1 << 30
_DAMAGED = (  # errors of zipfile for files that are not archives, damage, and unknown compression
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
)


@dataclass(frozen=True)
class Limits:
    """How far an archive may expand.

    Args:
        entries: number of entries.
        total: bytes of all entries together, unpacked.
        member: bytes of one entry, unpacked.
        ratio: unpacked bytes per byte of archive; pictures are already compressed, so the ratio of
            their archives is near 1. Applied from `ratio_from` unpacked bytes on.
    """

    entries: int = 2_000_000
    total: int = 256 * _GIB
    member: int = _GIB // 4
    ratio: float = 100.0
    ratio_from: int = _GIB // 16


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Args:
        path: relative to the source, with forward slashes.
        size: bytes, unpacked.
        read: returns its contents.
        modified: time of the last change in nanoseconds; for an entry, that of its archive.
    """

    path: PurePosixPath
    size: int
    read: Callable[[], bytes]
    modified: int = 0


@contextmanager
def open_source(source: Path | str, limits: Limits | None = None) -> Iterator[list[SourceFile]]:
    """List the files of a folder or zip archive in natural order; readable inside the `with`.

    Hidden files and folders and `__MACOSX` are left out. Links in a folder are followed.

    Raises:
        DenfError: when `source` is neither, a part of it cannot be listed, or it is an archive
            whose directory does not fit its entries, with an entry outside the target folder, a
            link, an encrypted entry, or more than `limits` allow.
    """
    source = Path(source)
    if source.is_dir():
        yield _sorted(_folder_files(source))
        return
    try:
        if source.exists() and not source.is_file():  # reading a pipe may never end
            raise ValueError("neither")
        archive = zipfile.ZipFile(source)
    except _DAMAGED as error:
        raise DenfError(
            str(source),
            expected="a folder or a whole zip archive",
            got=reason(error),
            fix="Check the path, or fetch the archive again.",
        ) from error
    with archive:
        check_archive(archive, limits or Limits())
        check_directory(archive)
        modified = source.stat().st_mtime_ns
        yield _sorted(
            SourceFile(
                PurePosixPath(m.filename), m.file_size, partial(_read_member, archive, m), modified
            )
            for m in archive.infolist()
            if not m.is_dir()
        )


def listing_digest(*sources: Path | str) -> str:
    """Hash of the names, sizes and times of all files of some sources; reads no contents.

    Data prepared from the sources are up to date as long as the hash is unchanged.

    Args:
        sources: folders, or files (a zip archive is one file).

    Raises:
        DenfError: when a part of a source cannot be listed.
    """
    digest = hashlib.sha256()
    for source in map(Path, sources):
        if source.is_dir():
            files = _sorted(_folder_files(source))
            lines = [f"{f.path}\0{f.size}\0{f.modified}\n" for f in files]
        elif source.is_file():
            found = source.stat()
            lines = [f"{found.st_size}\0{found.st_mtime_ns}\n"]
        else:
            raise DenfError(
                str(source), expected="a folder or a file", got="none", fix="Check the path."
            )
        for line in (f"{len(lines)} files\n", *lines):
            digest.update(os.fsencode(line))
    return digest.hexdigest()


def _folder_files(folder: Path) -> Iterator[SourceFile]:
    for relative, found in walk(folder):
        if not stat.S_ISDIR(found.st_mode):
            read = partial(read_bytes, folder / relative, fix="Restore or remove it.")
            yield SourceFile(relative, found.st_size, read, found.st_mtime_ns)


def _sorted(files: Iterator[SourceFile]) -> list[SourceFile]:
    seen = [f for f in files if not any(p[0] == "." or p == "__MACOSX" for p in f.path.parts)]
    return sorted(seen, key=lambda f: natural_key(f.path))


def check_archive(archive: zipfile.ZipFile, limits: Limits) -> None:
    """Refuse an archive that reaches outside its folder or expands without bound.

    Only the directory is read; its sizes are binding, since no member is read beyond its size.

    Raises:
        DenfError: names the archive, the entry, and the bound.
    """
    members = archive.infolist()
    if len(members) > limits.entries:
        raise _refused(archive, f"at most {limits.entries} entries", len(members))
    for member in members:
        _check_member(archive, member, limits)
    names = {m.filename for m in members}
    if len(names) < len(members):
        raise _refused(archive, "entries of different names", "two entries of one name")
    total = sum(m.file_size for m in members)
    if total > limits.total:
        raise _refused(archive, f"at most {limits.total} bytes unpacked", total)
    packed = os.path.getsize(str(archive.filename))
    if total > limits.ratio_from and total > limits.ratio * packed:
        raise _refused(
            archive, f"at most {limits.ratio:g} times its {packed} bytes unpacked", total
        )


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> None:
    name = member.orig_filename.replace("\\", "/")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":" or "\0" in name:
        raise _refused(archive, "entries inside the target folder", repr(member.orig_filename))
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(archive, "plain files and folders", f"a link or device, {name!r}")
    if member.flag_bits & 1:
        raise _refused(archive, "entries without a password", repr(name))
    if member.file_size > limits.member:
        raise _refused(
            archive, f"entries of at most {limits.member} bytes", f"{name!r}, {member.file_size}"
        )


def _refused(archive: zipfile.ZipFile, expected: str, got: object) -> DenfError:
    return DenfError(
        f"archive {archive.filename}",
        expected=expected,
        got=got,
        fix="It is refused; fetch it from its own site.",
    )


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as file:
            data = file.read(member.file_size)
            file.read(1)  # reaching the end makes zipfile compare the checksum
    except _DAMAGED as error:
        raise DenfError(
            f"archive {archive.filename}, entry {member.filename!r}",
            expected="an entry that matches its checksum",
            got=error,
            fix="The archive is damaged or cut short: fetch it again.",
        ) from error
    if len(data) != member.file_size:
        raise DenfError(
            f"archive {archive.filename}, entry {member.filename!r}",
            expected=f"{member.file_size} bytes",
            got=f"{len(data)} (short read)",
            fix="The archive is damaged or cut short: fetch it again.",
        )
    return data
