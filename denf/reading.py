"""Reading files: each function returns a file's contents or raises one error that names the file.

Decoders raise many errors on damaged input (struct.error, SyntaxError, KeyError, RecursionError,
OverflowError, …), and the list changes with their versions. `reading` therefore turns every
exception into a `DenfError`. Use it around calls that decode a file, and around nothing else.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from denf.errors import DenfError

_ADDRESS = re.compile(r" ?<[^<>]* object at 0x[0-9a-fA-F]+>")  # Pillow's name of an open file
_LONGEST = 300  # characters of a decoder's own message


@contextmanager
def reading(what: object, *, expected: str, fix: str) -> Iterator[None]:
    """Turn any exception of the block into a `DenfError` about `what`.

    Args:
        what: the file, or the file and the place in it.
        expected: what it should hold.
        fix: what to do about it.
    """
    try:
        yield
    except DenfError:
        raise
    except Exception as error:
        raise DenfError(str(what), expected=expected, got=reason(error), fix=fix) from error


def reason(error: BaseException) -> str:
    """The message of an exception, in one line."""
    text = _ADDRESS.sub("", " ".join(str(error).split()))
    name = type(error).__name__
    if isinstance(error, OSError):
        return error.strerror or text or name
    if isinstance(error, MemoryError):
        return "more than fits into memory"
    if isinstance(error, RecursionError):
        return "values nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"bytes that are not {error.encoding}, at byte {error.start}"
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return f"missing key {text}" if isinstance(error, KeyError) else text or name


def read_bytes(path: Path, *, what: str = "", expected: str = "a readable file", fix: str) -> bytes:
    """The contents of a regular file; a pipe or device, which may never end, is refused.

    Args:
        path: the file.
        what: the file's name in errors; default: its path.
        expected: what it should hold.
        fix: what to do about it.

    Raises:
        DenfError: names the file.
    """
    what = what or str(path)
    with reading(what, expected=expected, fix=fix):
        if not stat.S_ISREG(path.stat().st_mode):
            raise DenfError(what, expected=expected, got="no regular file", fix=fix)
        return path.read_bytes()


def read_text(path: Path, *, what: str = "", expected: str = "text in UTF-8", fix: str) -> str:
    """The contents of a text file in UTF-8 without its byte order mark; see `read_bytes`.

    Raises:
        DenfError: names the file.
    """
    data = read_bytes(path, what=what, expected=expected, fix=fix)
    with reading(what or path, expected=expected, fix=fix):
        return data.decode("utf-8-sig")


def read_json(path: Path, *, expected: str, fix: str) -> Any:
    """The value in a JSON file.

    Raises:
        DenfError: names the file.
    """
    text = read_text(path, expected=expected, fix=fix)
    with reading(path, expected=expected, fix=fix):
        return json.loads(text)


def read_json_mapping(path: Path, *, expected: str, fix: str) -> dict[str, Any]:
    """The mapping in a JSON file.

    Raises:
        DenfError: names the file.
    """
    value = read_json(path, expected=expected, fix=fix)
    if not isinstance(value, dict):
        raise DenfError(str(path), expected=expected, got=type(value).__name__, fix=fix)
    return value
