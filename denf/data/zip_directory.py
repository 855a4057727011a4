"""Whether a zip archive's directory lists every entry that the archive holds.

`zipfile` trusts the directory: a flipped bit in it renames an entry or hides the next ones, and a
reader that looks for names then leaves them out. The number of entries is also in the end record,
and name, method and sizes are also before each entry's data (PKWARE APPNOTE, 4.3.7 to 4.3.16).
"""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

from denf.errors import DenfError
from denf.reading import reading

_END, _END64, _LOCATOR64, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\3\4"
_END_BYTES, _LOCATOR64_BYTES, _LOCAL_BYTES = 22, 20, 30
_COMMENT = 0xFFFF  # longest comment after the end record
_UTF8, _SIZES_BEHIND = 0x800, 0x8  # flags: the name's encoding; sizes follow the data
_EXPECTED = "a directory that fits its entries"
_FIX = "The archive is damaged: fetch it again."


def check_directory(archive: zipfile.ZipFile) -> None:
    """Compare the directory with the end record and with the header of every entry.

    Raises:
        DenfError: names the archive, the entry, and what differs.
    """
    members = archive.infolist()
    file = archive.fp
    if file is None:
        raise ValueError("archive: expected an open one, got a closed one")
    what = f"archive {archive.filename}"
    with reading(what, expected=_EXPECTED, fix=_FIX):
        stated = _stated_entries(file)  # type: ignore[arg-type]
        # writers without the 64-bit record keep the lower 16 bits
        counted = {len(members), len(members) & 0xFFFF if len(members) > 0xFFFF else len(members)}
        if stated not in counted:
            raise DenfError(
                what, expected=f"{stated} entries, as its end says", got=len(members), fix=_FIX
            )
        for member in members:
            difference = _difference(file, member)  # type: ignore[arg-type]
            if difference:
                raise DenfError(
                    f"{what}, entry {member.orig_filename!r}",
                    expected="the header before its data",
                    got=difference,
                    fix=_FIX,
                )


def _stated_entries(file: BinaryIO) -> int:
    """Number of entries according to the end record, the 64-bit one where there is one."""
    length = file.seek(0, 2)
    start = max(0, length - _END_BYTES - _COMMENT)
    file.seek(start)
    tail = file.read()
    at = len(tail) - _END_BYTES
    if tail[at : at + 4] != _END or tail[-2:] != b"\0\0":
        at = tail.rfind(_END)
    on_disk, entries = struct.unpack_from("<HH", tail, at + 8)
    if on_disk != entries:
        raise ValueError(f"{on_disk} and {entries} entries in one end record")
    locator = start + at - _LOCATOR64_BYTES
    if entries != 0xFFFF or locator < 0:
        return int(entries)
    file.seek(locator)
    signature, _, where, _ = struct.unpack("<4sLQL", file.read(_LOCATOR64_BYTES))
    if signature != _LOCATOR64:
        return int(entries)
    file.seek(where)
    record = file.read(40)
    if record[:4] != _END64:
        raise ValueError("no 64-bit end record where the locator points")
    on_disk, entries = struct.unpack_from("<QQ", record, 24)
    if on_disk != entries:
        raise ValueError(f"{on_disk} and {entries} entries in one end record")
    return int(entries)


def _difference(file: BinaryIO, member: zipfile.ZipInfo) -> str | None:
    """How a directory entry differs from the header before its data; None when it does not."""
    file.seek(member.header_offset)
    header = file.read(_LOCAL_BYTES)
    if len(header) < _LOCAL_BYTES or header[:4] != _LOCAL:
        return "no entry there"
    flags, method, _, _, crc, packed, size, length = struct.unpack_from("<6xHHHHLLLH", header)
    raw = file.read(length)
    if (flags ^ member.flag_bits) & _UTF8:
        return "another encoding of the name"
    name = raw.decode("utf-8" if flags & _UTF8 else "cp437", "surrogateescape")
    if name != member.orig_filename:
        return f"the name {name!r}"
    if method != member.compress_type:
        return f"compression method {method}"
    there = (crc, packed, size)
    in_extra = 0xFFFFFFFF in (packed, size)
    expected = (member.CRC, member.compress_size, member.file_size)
    if not flags & _SIZES_BEHIND and not in_extra and there != expected:
        return f"checksum, packed and unpacked size {there}"
    return None
