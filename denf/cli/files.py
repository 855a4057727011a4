"""Files that commands read and write themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from denf.errors import DenfError


def read_protocol(path: Path | None) -> dict[str, Any]:
    from denf.harness import protocol

    return {} if path is None else protocol.read_protocol(path)


def read_listing(path: Path | None) -> list[dict[str, Any]] | None:
    if path is None:
        return None
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _unreadable(path, "a list of experiments in JSON", error) from error
    if not isinstance(rows, list):
        raise _unreadable(path, "a list of experiments in JSON", type(rows).__name__)
    return rows


def publish(result: dict[str, Any], out: Path) -> None:
    from denf.files import write_atomically

    text = json.dumps(result, indent=2) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text)
    typer.echo(text.strip())


def refuse_existing(out: Path) -> None:
    """Said before the work, not after it."""
    if out.exists():
        raise DenfError(
            f"output folder {out}",
            expected="a path that does not exist",
            got="an existing one",
            fix="Choose another --out or remove it.",
        )


def _unreadable(path: Path, expected: str, got: object) -> DenfError:
    return DenfError(str(path), expected=expected, got=got, fix="Check the path and the file.")
