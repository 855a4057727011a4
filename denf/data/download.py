"""Checked downloads: a file is at its path whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from denf.data.transfer import BrokenOffError, Note, Part, transfer, writing
from denf.errors import DenfError


@dataclass(frozen=True)
class Waiting:
    """How long to wait for a server.

    Args:
        connect: seconds until a connection stands.
        read: seconds until the next bytes come.
        pause: seconds before the first retry, doubled with each.
    """

    connect: float = 15.0
    read: float = 60.0
    pause: float = 1.0


def download(
    url: str,
    out: Path | str,
    *,
    sha256: str | None = None,
    mirror: Path | str | None = None,
    retries: int = 3,
    waiting: Waiting | None = None,
) -> Path:
    """Fetch `url` to `out`, continuing an earlier part; an `out` that is there is kept.

    Args:
        url: http or https address.
        out: the file to make.
        sha256: its checksum in hexadecimal; None: only its length is checked.
        mirror: folder or base URL that holds a file of the URL's name, used in place of `url` on
            machines without a network.
        retries: attempts after the first; each continues where the last one broke off.
        waiting: timeouts and pauses.

    Returns:
        `out`.

    Raises:
        DenfError: when the checksum differs (the part is removed), the server refuses, sends a
            page in place of a file or keeps breaking off, or the disk is full (the part is kept).
    """
    out = Path(out)
    if out.exists():
        _check_sha256(out, sha256, f"{out}, already there", "Remove it or correct the checksum.")
        return out
    part = Part(out)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    name = unquote(Path(urlsplit(url).path).name)
    if mirror is not None and urlsplit(str(mirror)).scheme not in ("http", "https"):
        url = str(Path(mirror) / name)
        _copy(Path(url), part)
    else:
        url = url if mirror is None else f"{str(mirror).rstrip('/')}/{name}"
        _fetch(url, part, retries, waiting or Waiting())
    try:
        _check_sha256(part.path, sha256, url, "What came was removed: call again, or correct it.")
    except DenfError:
        part.discard()
        raise
    with writing(out):
        part.publish()
    return out


def _fetch(url: str, part: Part, retries: int, waiting: Waiting) -> None:
    reason: object = None
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(waiting.pause * 2 ** (attempt - 1))
        try:
            transfer(url, part, (waiting.connect, waiting.read))
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


def _copy(source: Path, part: Part) -> None:
    if not source.is_file():
        raise DenfError(
            f"mirror {source.parent}",
            expected=f"the file {source.name}",
            got="none",
            fix="Put it there, or leave the mirror out to fetch it from its own site.",
        )
    with writing(part.path):
        part.start(Note(str(source), total=source.stat().st_size))
        shutil.copyfile(source, part.path)


def _check_sha256(path: Path, expected: str | None, what: str, fix: str) -> None:
    if expected is None:
        return
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected.lower():
        raise DenfError(what, expected=f"SHA-256 {expected}", got=got, fix=fix)
