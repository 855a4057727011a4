"""TFRecord framing, without TensorFlow: a stream of checked payloads.

A record is a little-endian uint64 length, the masked CRC-32C of those 8 bytes, the payload, and
the masked CRC-32C of the payload; the whole stream may be gzipped, and is then read once, in order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crc32c import crc32c

from denf.data.inflate import DAMAGE, Inflater
from denf.errors import DenfError
from denf.reading import reason

MAX_PAYLOAD = 1 << 28  # 256 MiB; a record of CLEVR with masks has 3.2 MB
_FETCH_AGAIN = "The file is damaged or cut short: fetch it again."


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Record:
    """One record of a TFRecord file.

    Args:
        index: its number in the file, from 0.
        offset: start of its frame, in bytes of the uncompressed stream.
        payload: its contents, checked against their checksum.
        file: the file's path, for messages.
    """

    index: int
    offset: int
    payload: memoryview
    file: Path

    @property
    def name(self) -> str:
        """Name of this record in messages: file, number and byte offset."""
        return _name(self.file, self.index, self.offset)


def _name(path: Path, index: int, offset: int) -> str:
    return f"{path}: record {index} at byte {offset} of the uncompressed stream"


def read_records(path: Path | str) -> Iterator[Record]:
    """Yield the records of a TFRecord file, gzipped or plain, one in memory at a time.

    Args:
        path: the file; gzip is recognised by its first bytes.

    Raises:
        DenfError: when the file cannot be opened, ends inside a record, or a length or payload
            does not match its checksum; the message has the record's number and byte offset.

    Source: TensorFlow, "TFRecord and tf.train.Example", section "TFRecords format details".
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            zipped = file.read(3) == b"\x1f\x8b\x08"
            file.seek(0)
            stream: _Stream = Inflater(file) if zipped else file
            yield from _frames(stream, path)
    except OSError as error:
        raise DenfError(
            str(path), expected="a readable TFRecord file", got=reason(error), fix="Check the path."
        ) from error


def _frames(stream: _Stream, path: Path) -> Iterator[Record]:
    index = offset = 0
    while True:
        name = _name(path, index, offset)
        header = _read(stream, 12, name, may_end=True)
        if not header:
            return
        length, length_crc = struct.unpack("<QI", header)
        _check(header[:8], length_crc, f"{name}, length")
        if length > MAX_PAYLOAD:
            raise DenfError(
                name,
                expected=f"a payload of at most {MAX_PAYLOAD} bytes",
                got=f"{length} bytes",
                fix="This is not a file of scenes: check the path.",
            )
        body = _read(stream, length + 4, name)
        payload = memoryview(body)[:-4]
        _check(payload, struct.unpack("<I", body[-4:])[0], f"{name}, payload")
        yield Record(index, offset, payload, path)
        index, offset = index + 1, offset + length + 16


def _read(stream: _Stream, size: int, name: str, *, may_end: bool = False) -> bytes:
    try:
        data = stream.read(size)
    except DAMAGE as error:
        raise DenfError(
            name, expected="a whole gzip stream", got=error, fix=_FETCH_AGAIN
        ) from error
    if len(data) == size or (may_end and not data):
        return data
    raise DenfError(
        name, expected=f"{size} more bytes", got=f"{len(data)} (short read)", fix=_FETCH_AGAIN
    )


def _check(data: bytes | memoryview, expected: int, what: str) -> None:
    got = masked_crc32c(data)
    if got != expected:
        raise DenfError(
            what, expected=f"checksum {expected:#010x}", got=f"{got:#010x}", fix=_FETCH_AGAIN
        )


def masked_crc32c(data: bytes | memoryview) -> int:
    """The masked CRC-32C of TFRecord frames: rotate right by 15, add 0xA282EAD8 (mod 2^32)."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
