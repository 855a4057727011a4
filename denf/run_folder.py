"""The small files of a run folder, read as plain values; free of torch."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from denf.errors import DenfError


def read_record(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run folder, `run.json` for one; empty where there is none.

    Raises:
        DenfError: when it cannot be read.
    """
    path = folder / name
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise DenfError(
            str(path), expected="valid JSON", got=error, fix="Make the file again."
        ) from error
    if not isinstance(values, dict):
        raise DenfError(
            str(path), expected="a mapping", got=type(values).__name__, fix="Make the file again."
        )
    return values


def read_scores(folder: Path) -> dict[str, Any]:
    """What `denf evaluate` and `denf fid` wrote into a run folder; of the latter under `fid`."""
    scores, distance = read_record(folder, "metrics.json"), read_record(folder, "fid.json")
    return {**scores, "fid": distance} if distance else scores


def read_history(folder: Path) -> list[dict[str, float]]:
    """Rows of `history.csv`, `step` and means of the logged scalars; empty where there is none.

    Raises:
        DenfError: when a value is no number.
    """
    path = folder / "history.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        try:
            return [
                {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)
            ]
        except (TypeError, ValueError, csv.Error) as error:
            raise DenfError(
                str(path), expected="numbers", got=error, fix="Train the run again."
            ) from error
