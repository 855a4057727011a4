"""Checked downloads: a file appears at its path only when it is complete and verified."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from denf.data.pin import Identity, check
from denf.data.transfer import BrokenOffError, Part, transfer, writing
from denf.errors import DenfError
from denf.files import atomic_path
from denf.locks import locked
from denf.reading import reading


@dataclass(frozen=True)
class Waiting:
    """How long to wait for a server.

    Args:
        connect: seconds until a connection is established.
        read: seconds until the next bytes arrive.
        pause: seconds before the first retry, doubled with each retry.
    """

    connect: float = 15.0
    read: float = 60.0
    pause: float = 1.0


def download(
    url: str,
    out: Path | str,
    *,
    sha256: str | None = None,
    size: int | None = None,
    mirror: Path | str | None = None,
    retries: int = 3,
    waiting: Waiting | None = None,
) -> Path:
    """Fetch `url` to `out`, continuing an earlier part; an existing `out` is kept.

    Args:
        url: http or https address.
        out: the file to make; a link when `mirror` is a folder or file on this machine.
        sha256: its checksum in hexadecimal; None: the first fetch pins it (`denf.data.pin`).
        size: its length in bytes; None: the length that the server states.
        mirror: folder or base URL that holds a file of the URL's name, or such a file, used in
            place of `url` on machines without a network.
        retries: attempts after the first; each continues where the last one broke off.
        waiting: timeouts and pauses.

    Returns:
        `out`.

    Raises:
        DenfError: when size or checksum differ (the part is removed), the server refuses, sends a
            page in place of a file or keeps closing the connection, or the disk is full (the part
            is kept).
    """
    out, stated = Path(out), Identity(sha256, size)
    if _is_there(out, url, stated):
        return out
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    name = _file_name(url)
    if mirror is not None and not str(mirror).startswith(("http://", "https://")):
        _link(Path(mirror), name, url, out, stated)
        return out
    part = Part(out)
    address = url if mirror is None else f"{str(mirror).rstrip('/')}/{quote(name)}"
    with locked(out.with_name(f".{out.name}.lock"), f"download {out}", remove=True):
        if _is_there(out, url, stated):  # another process has fetched it meanwhile
            return out
        _fetch(address, part, retries, waiting or Waiting(), stated.size)
        try:
            fix = "The file received was removed: call again, or correct what is expected."
            check(part.path, url, out, stated, what=address, fix=fix)
        except DenfError:
            part.discard()
            raise
        with writing(out):
            part.publish()
    return out


def _is_there(out: Path, url: str, stated: Identity) -> bool:
    """Whether the file exists; one that is not the expected file is refused."""
    if not out.exists():
        return False
    fix = "Remove it or correct what is expected."
    check(out, url, out, stated, what=f"{out}, already there", fix=fix)
    return True


def _file_name(url: str) -> str:
    """The last part of an address's path, checked to be a plain file name."""
    with reading(url, expected="an http or https address", fix="Correct it."):
        address = urlsplit(url)
        name = unquote(address.path.rpartition("/")[2])
    if address.scheme not in ("http", "https"):
        raise DenfError(
            url,
            expected="an http or https address",
            got=address.scheme or "none",
            fix="Correct it.",
        )
    if name in ("", ".", "..") or any(c in "/\\" or ord(c) < 32 for c in name):
        raise DenfError(
            url,
            expected="an address that ends in the name of a file",
            got=repr(name),
            fix="Give the address of the file itself.",
        )
    return name


def _fetch(url: str, part: Part, retries: int, waiting: Waiting, most: int | None) -> None:
    reason: object = None
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(waiting.pause * 2 ** (attempt - 1))
        try:
            transfer(url, part, (waiting.connect, waiting.read), most)
            return
        except BrokenOffError as error:
            reason = error
    raise DenfError(
        url,
        expected="a complete transfer",
        got=f"{reason} after {retries + 1} attempts",
        fix=f"Call again to continue from the {part.resume(url)[0]} bytes in {part.path}, or give "
        "a mirror.",
    )


def _link(mirror: Path, name: str, url: str, out: Path, stated: Identity) -> None:
    """Make `out` a link to a file on this machine; archives of gigabytes are not copied."""
    source = mirror / name if mirror.is_dir() else mirror
    if not source.is_file():
        raise DenfError(
            f"mirror {mirror}",
            expected=f"the file {name}",
            got="none",
            fix="Put it there, or leave the mirror out to fetch it from its own site.",
        )
    fix = "Replace it by the right file, or correct what is expected."
    check(source, url, out, stated, what=str(source), fix=fix)
    with writing(out), atomic_path(out) as temporary:
        try:
            temporary.symlink_to(source.resolve())
        except OSError:  # a file system without links
            shutil.copyfile(source, temporary)
    Part(out).discard()
