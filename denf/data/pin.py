"""Checks of downloaded files: by the stated checksum and size, or else by those first fetched.

Where the publisher states no checksum, the first fetch pins SHA-256 and size in
`<file>.pinned.json`; every later fetch of that address must give the same file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from denf.errors import DenfError
from denf.files import write_atomically
from denf.reading import read_json_mapping, reading


@dataclass(frozen=True)
class Identity:
    """Known checksum and size of a file.

    Args:
        sha256: 64 hexadecimal digits; None: not known.
        size: bytes; None: not known.
    """

    sha256: str | None = None
    size: int | None = None


def pin_file(out: Path) -> Path:
    """Path of the pin of the file `out`."""
    return out.with_name(out.name + ".pinned.json")


def check(path: Path, url: str, out: Path, stated: Identity, *, what: str, fix: str) -> None:
    """Compare a file with the stated identity, else with its pin; without either, pin it.

    Args:
        path: the file, under its current name.
        url: where it was published.
        out: its final path, beside which the pin lies.
        stated: by the publisher or the user; a stated checksum takes precedence over the pin.
        what: the file's name in messages.
        fix: what to do about a difference from the stated identity.

    Raises:
        DenfError: when size or checksum differ (shows both values), or `out` itself is checked and
            was fetched from another address.
    """
    size = path.stat().st_size
    if stated.size is not None and size != stated.size:
        raise DenfError(what, expected=f"{stated.size} bytes", got=size, fix=fix)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if stated.sha256 is not None:
        if sha256 != stated.sha256.lower():
            raise DenfError(what, expected=f"SHA-256 {stated.sha256}", got=sha256, fix=fix)
        return
    address, pinned = read_pin(out) or (url, None)
    if address != url and path == out:
        raise DenfError(what, expected=f"a file from {url}", got=f"one from {address}", fix=fix)
    if address == url and pinned is not None and pinned != Identity(sha256, size):
        raise DenfError(
            what,
            expected=f"SHA-256 {pinned.sha256}, {pinned.size} bytes, as first fetched",
            got=f"{sha256}, {size} bytes",
            fix="The published file has changed or one of the two is damaged; if the new one is "
            f"right, remove {pin_file(out)}.",
        )
    record = {"url": url, "sha256": sha256, "bytes": size}
    write_atomically(pin_file(out), json.dumps(record, indent=2) + "\n")


def read_pin(out: Path) -> tuple[str, Identity] | None:
    """The address from which `out` was first fetched and its identity then; None without a pin.

    Raises:
        DenfError: when the pin is not readable.
    """
    path, expected, fix = pin_file(out), "a pin with url, sha256 and bytes", "Remove it."
    if not path.exists():
        return None
    record = read_json_mapping(path, expected=expected, fix=fix)
    with reading(path, expected=expected, fix=fix):
        url, sha256, size = record["url"], record["sha256"], record["bytes"]
        if not (isinstance(url, str) and isinstance(sha256, str) and isinstance(size, int)):
            raise TypeError(f"{url!r}, {sha256!r}, {size!r}")
        return url, Identity(sha256, size)
