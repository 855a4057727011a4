"""Files that the commands read and write themselves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer

from denf.errors import DenfError


def read_protocol(path: Path | None) -> dict[str, Any]:
    """The protocol of a file; `-` reads standard input, None gives an empty protocol."""
    from denf.harness import protocol

    if path is None:
        return {}
    if str(path) == "-":
        return protocol.parse_protocol(sys.stdin.read())
    return protocol.read_protocol(path)


def read_listing(path: Path | None) -> list[dict[str, Any]] | None:
    """The experiments of a listing (`denf.harness.plan.listing_rows`); None without a file.

    Raises:
        DenfError: for a file that is not one.
    """
    from denf.reading import read_json

    if path is None:
        return None
    expected, fix = "a list of experiments in JSON", "Check the path and the file."
    rows = read_json(path, expected=expected, fix=fix)
    if not isinstance(rows, list) or not all(isinstance(r, dict) and "name" in r for r in rows):
        raise DenfError(str(path), expected=expected, got=type(rows).__name__, fix=fix)
    return rows


def publish(result: dict[str, Any], out: Path) -> None:
    """Write a result as JSON, and print it."""
    from denf.files import write_atomically

    text = json.dumps(result, indent=2) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, text)
    typer.echo(text.strip())


def refuse_existing(out: Path) -> None:
    """Raise an error for an existing output folder before any work is done."""
    if out.exists():
        raise DenfError(
            f"output folder {out}",
            expected="a path that does not exist",
            got="an existing one",
            fix="Choose another --out or remove it.",
        )
