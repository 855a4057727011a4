"""One HTTP transfer into a part file, continued where the last one broke off.

Bytes are written to `<out>.part`; `<out>.part.json` notes the file that they are a part of, with
its length and entity tag. A part is continued only when the server confirms that it fits (RFC 9110,
section 14).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from denf.errors import DenfError
from denf.files import write_atomically
from denf.reading import reason

_CHUNK = 1 << 20
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses that may be temporary
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]{1,19}/([0-9]{1,19})")


class _TooLongError(Exception):
    """A response's body is longer than the file."""


class BrokenOffError(Exception):
    """A transfer ended early in a way that another attempt may avoid."""


@dataclass(frozen=True)
class Note:
    """The file that a part belongs to.

    Args:
        url: address of the file.
        tag: value of If-Range: a strong entity tag or the date of the last change.
        total: length of the whole file in bytes; None: not known.
    """

    url: str
    tag: str | None = None
    total: int | None = None


class Part:
    """The incomplete file, beside its final path `out`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out.with_name(out.name + ".part")
        self._note = out.with_name(out.name + ".part.json")

    def resume(self, url: str) -> tuple[int, Note]:
        """Number of bytes received from `url`, and the note about them; 0 to start again."""
        try:
            note = Note(**json.loads(self._note.read_text(encoding="utf-8")))
            size = self.path.stat().st_size
        except (OSError, ValueError, TypeError, RecursionError):
            return 0, Note(url)
        if not isinstance(note.tag, str | None) or not isinstance(note.total, int | None):
            return 0, Note(url)
        return (size, note) if note.url == url else (0, Note(url))

    def start(self, note: Note) -> None:
        """Empty the part and note the file that it belongs to."""
        self.path.write_bytes(b"")
        write_atomically(self._note, json.dumps(asdict(note)))

    def discard(self) -> None:
        """Remove the part and its note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def publish(self) -> None:
        """Rename the part, complete and on disk, to `out`."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self.path, self.out)
        self._note.unlink(missing_ok=True)


def transfer(url: str, part: Part, timeouts: tuple[float, float], most: int | None = None) -> None:
    """Try once to complete `part` from `url`.

    Args:
        url: http or https address.
        part: continued if the server confirms that it fits.
        timeouts: seconds to wait for a connection and for the next bytes.
        most: bytes of the whole file, if known; no more are accepted.

    Raises:
        BrokenOffError: when another attempt may succeed; the bytes received are kept.
        DenfError: when the server refuses, or the disk cannot be written.
    """
    have, note = part.resume(url)
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges count the file's own bytes
    if have:
        headers["Range"] = f"bytes={have}-"
        if note.tag:
            headers["If-Range"] = note.tag
    try:
        reply = requests.get(url, headers=headers, stream=True, timeout=timeouts)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise BrokenOffError(str(error)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise refused(url, reason(error)) from error  # an invalid address or header
    with reply, writing(part.path):
        start, total = _place(url, reply, have)
        # a server may not know If-Range and send a range of a file that has changed since
        changed = note.total not in (None, total) or _differ(note.tag, _tag(reply))
        if start is None or (start and changed):
            part.discard()
            raise BrokenOffError("the part kept does not fit the file")
        if start == 0:
            part.start(Note(url, _tag(reply), total))
        if reply.ok:
            bounds = [bound for bound in (total, most) if bound is not None]
            try:
                _receive(reply, part.path, start, total, min(bounds, default=None))
            except _TooLongError as error:
                part.discard()
                raise refused(url, f"more than the {min(bounds)} bytes of the file") from error
        size = part.path.stat().st_size
    if total is not None and size != total:
        raise BrokenOffError(f"{size} of {total} bytes")


def _place(url: str, reply: requests.Response, have: int) -> tuple[int | None, int | None]:
    """Where the body starts in the file (None: it does not fit the part) and the file's length."""
    status, span = reply.status_code, reply.headers.get("Content-Range", "")
    if status in _RETRIED:
        raise BrokenOffError(f"status {status}")
    if status == requests.codes.requested_range_not_satisfiable and have:
        # bytes past the end were requested: the part is complete if it has the file's length
        return (have, have) if span == f"bytes */{have}" else (None, None)
    if status == requests.codes.partial_content and have:
        match = _CONTENT_RANGE.fullmatch(span)
        return (have, int(match[2])) if match and int(match[1]) == have else (None, None)
    if status != requests.codes.ok:
        raise refused(url, f"status {status} {reply.reason}")
    if reply.headers.get("Content-Type", "").startswith("text/html"):
        raise refused(url, "a web page")
    length = reply.headers.get("Content-Length")
    if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 20):
        raise refused(url, f"the length {length!r}")
    if length is None and reply.headers.get("Transfer-Encoding") != "chunked":
        raise refused(url, "a body of unstated length, whose end cannot be told from a break")
    return 0, None if length is None else int(length)


def _tag(reply: requests.Response) -> str | None:
    tag = reply.headers.get("ETag", "W/")  # If-Range accepts no weak tag (RFC 9110, 13.1.5)
    return reply.headers.get("Last-Modified") if tag.startswith("W/") else tag


def _differ(one: str | None, other: str | None) -> bool:
    """Whether both are entity tags, or both are dates, and not equal."""
    if one is None or other is None or (one[0] == '"') != (other[0] == '"'):
        return False
    return one != other


def _receive(
    reply: requests.Response, path: Path, start: int, total: int | None, most: int | None
) -> None:
    bar = tqdm(total=total, initial=start, desc=path.stem, unit="B", unit_scale=True, disable=None)
    with bar, path.open("r+b", buffering=0) as file:
        file.truncate(start)
        file.seek(start)
        for chunk in _chunks(reply):
            start += len(chunk)
            if most is not None and start > most:
                raise _TooLongError
            written = 0
            while written < len(chunk):  # unbuffered: a full disk may take a part of a chunk
                written += file.write(chunk[written:])
            bar.update(len(chunk))


def _chunks(reply: requests.Response) -> Iterator[bytes]:
    # translated here, where no disk error can occur: both kinds of error derive from OSError
    try:
        yield from reply.raw.stream(_CHUNK, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise BrokenOffError(str(error)) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, such as a full disk, into a `DenfError` about `path`."""
    try:
        yield
    except OSError as error:
        raise DenfError(
            str(path),
            expected="to be written",
            got=reason(error),
            fix="Free some space or choose another place; the part received is kept.",
        ) from error


def refused(url: str, got: object) -> DenfError:
    """The error for a server that does not send the file."""
    return DenfError(
        url,
        expected="the file",
        got=got,
        fix="Check the address, or fetch the file by hand and give its folder as the mirror.",
    )
